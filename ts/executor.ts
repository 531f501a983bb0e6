// SPDX-License-Identifier: Apache-2.0
// What computes, as its callers see it: level 1, the engine worker and the one loop of generation. An executor gets
// batches of tokens and returns output rows. It knows no session: prompts, sampling, queues and text stay above it.
//
// ts/wasm/executor.ts is the CPU's; tests/executor/interpreter.ts puts the float64 interpreter in its place.
//
// Left out until something calls it: tensors placed outside the instance (today the loader places all of them inside);
// a token id in place of rows, and cancel of a run under way (both need an executor that answers later); copyPage,
// readPages, writePages and the same for states (sessions that are saved). `fork` covers what a fork needs of these.

/** Consecutive tokens of one sequence. */
export interface Batch {
  /** Position of the first token. The executor holds keys and values of the positions before it. */
  readonly firstPosition: number;
  readonly ids: Int32Array;
  /** Which of the tokens give an output row, ascending. */
  readonly rows: Int32Array;
}

/** The pending tokens of one sequence, and nothing else of its session. */
export interface Batches {
  /** Where the sequence is in the model's instance. The CPU's executor works there, and accepts batches there. */
  readonly address: number;
  /** For every other executor: the batch under way, or the next one; undefined when no token is pending. */
  nextBatch(): Batch | undefined;
  /** The batch is computed. `outputs`: its output rows, one after another. */
  acceptBatch(outputs: Float32Array): void;
}

export interface Ran {
  /** True: output rows can be read. False: the budget is spent, `run` goes on at the same place. */
  readonly isDone: boolean;
  /** Multiply-adds computed, as planned. */
  readonly work: number;
}

export interface Executor {
  readonly name: 'cpu' | 'webgpu';
  /**
   * Computes pending batches for about `budget` multiply-adds, at least one unit, up to the first that has output rows.
   * A promise from executors that can't answer at once. After an error the caller truncates the sequence.
   */
  run(batches: Batches, budget: number): Ran | Promise<Ran>;
  /** `to` is a copy of `from` in the instance; an executor that holds keys and values elsewhere copies them. */
  fork?(from: Batches, to: Batches): void;
  /** Stops everything and frees what is held outside the instance. */
  free(): void;
}
