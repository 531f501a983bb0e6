// SPDX-License-Identifier: Apache-2.0
// What the rooms above (model, worker) and the backends below have in common. A backend runs batches and
// knows no session's policy: prompts, sampling options, queues and text stay above it.
//
// The CPU executes batch after batch inside one C call on the session's cursor, so all that shows of it
// here is `run`, `cancel` and `free`; a backend that takes the batches out of the wasm instance will add
// its tensors, KV pages and readback to this interface.

/** `done`: the last finished batch has output rows. `more`: the budget is spent. Call again at the same cursor. */
export type StepResult = 'done' | 'more' | 'cancelled';

export interface Backend<Session> {
  readonly name: 'cpu' | 'webgpu';
  /** Go on with the session's pending tokens for about `budget` multiply-adds; at least one unit. */
  run(session: Session, budget: number): StepResult | Promise<StepResult>;
  /** Ask the step under way, or the next one, to stop at its next unit. */
  cancel(session: Session): void;
  /** Let go of everything; further calls throw `disposed`. */
  free(): void;
}

/** How a model is laid out; 0 or absent takes the library's default. */
export interface PlanOptions {
  /** Context length; default min(the model's, 4096). */
  readonly contextLength?: number | undefined;
  /** Most tokens in a batch; default 256. */
  readonly batchTokens?: number | undefined;
  readonly kvType?: KvTypeName | undefined;
  /** Threads that compute, the caller's included; default 1. */
  readonly threads?: number | undefined;
}
export type KvTypeName = 'f16' | 'q8_0' | 'f32';

/** Sampling as the sampler takes it: complete, in llama.cpp's order. */
export interface Sampling {
  /** 0: argmax, lowest id on a tie. */
  readonly temperature: number;
  /** 0: off. */
  readonly topK: number;
  /** 1: off. */
  readonly topP: number;
  /** 0: off. */
  readonly minP: number;
  /** 1: off; over the last 64 tokens, as the next two. */
  readonly repetitionPenalty: number;
  readonly frequencyPenalty: number;
  readonly presencePenalty: number;
  /** Added to the logits of these ids first; -Infinity forbids one. */
  readonly bias?: readonly (readonly [id: number, bias: number])[] | undefined;
}

export interface TokenizeOptions {
  /** Add BOS/EOS as the file says; default true. */
  readonly addSpecial?: boolean | undefined;
  /** Take special tokens written in the text as such; default true. */
  readonly parseSpecial?: boolean | undefined;
}
