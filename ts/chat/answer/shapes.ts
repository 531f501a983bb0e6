// SPDX-License-Identifier: Apache-2.0
// What an answer reader takes and gives.

/** A tool as OpenAI's API describes it. Only functions can be called. */
export interface Tool {
  readonly type: string;
  readonly function?:
    | {
        readonly name: string;
        readonly description?: string | undefined;
        /** A JSON schema of the arguments. */
        readonly parameters?: unknown;
      }
    | undefined;
}

/**
 * A piece of an answer. A `call` comes before its `arguments`. The arguments of a call, joined, are JSON text
 * of an object. Where the answer was cut off, or its JSON broke, they are the beginning of one.
 */
export type AnswerPart =
  | { type: 'content'; text: string }
  | { type: 'reasoning'; text: string }
  | { type: 'call'; index: number; id: string; name: string }
  | { type: 'arguments'; index: number; text: string };
