// SPDX-License-Identifier: Apache-2.0
// The interface of an executor. Level 1, the engine worker and the loop of generation call it. An executor
// computes batches of tokens and returns output rows. Sessions, prompts, sampling, queues and text belong to
// its callers.
//
// ts/wasm/executor.ts is the CPU executor. tests/executor/interpreter.ts puts the float64 interpreter behind
// the same interface.
//
// These members aren't here, because nothing would call them yet:
//   tensors outside the instance                 the loader places all tensors inside
//   a token id instead of output rows            needs an executor that answers later
//   cancel of a `run` under way                  needs an executor that answers later
//   readPages, writePages, also for states       needed to save the sessions of an executor outside the
//                                                instance; until then chord_session_save() refuses them

/** Consecutive tokens of one sequence. */
export interface Batch {
  /** Position of the first token. The executor holds keys and values of the positions before it. */
  readonly firstPosition: number;
  readonly ids: Int32Array;
  /** Indices of the tokens that have an output row, ascending. */
  readonly rows: Int32Array;
}

/** The pending tokens of one sequence. An executor sees nothing else of the session. */
export interface Batches {
  /** Address of the session in the model's instance. The CPU executor computes and accepts batches there. */
  readonly address: number;
  /**
   * For other executors: returns the batch under way, or the next one; undefined when no token is pending.
   */
  nextBatch(): Batch | undefined;
  /** For other executors: accepts the computed batch. `outputs` holds its output rows, one after another. */
  acceptBatch(outputs: Float32Array): void;
}

/** The result of one `run`. */
export interface Ran {
  /** True: output rows can be read. False: the budget is spent, and the next `run` continues there. */
  readonly isDone: boolean;
  /** Planned work of the units computed, in multiply-adds. */
  readonly work: number;
}

export interface Executor {
  readonly name: 'cpu' | 'webgpu';
  /** True: keys and values are outside the instance. Its sessions can't be saved or restored yet. */
  readonly holdsCaches?: boolean;
  /**
   * Computes pending batches until one has output rows, or until about `budget` multiply-adds are spent. At
   * least one unit is computed. An executor that can't answer at once returns a promise. After an error the
   * caller truncates the sequence.
   */
  run(batches: Batches, budget: number): Ran | Promise<Ran>;
  /**
   * Called after the instance has made `to` a copy of `from`. An executor that holds keys and values outside
   * the instance copies them here.
   */
  fork?(from: Batches, to: Batches): void;
  /**
   * Called before the sequence is closed. An executor that holds keys and values outside the instance frees
   * them here.
   */
  close?(batches: Batches): void;
  /** Stops all work and frees what the executor holds outside the instance. */
  free(): void;
}
