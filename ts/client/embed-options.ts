// SPDX-License-Identifier: Apache-2.0
// The public types of embeddings and ranks.
import type { Pooling } from '../options.js';

/** A text, or its token ids, which are used unchanged. */
export type TextInput = string | ArrayLike<number>;

export interface EmbedProgress {
  /** Texts that are complete, of `total`. */
  readonly done: number;
  readonly total: number;
}

export interface EmbedOptions {
  /**
   * How the rows of a text's tokens become one: their `mean`, the first (`cls`) or the `last`; `none` gives a
   * row for each token, one after another; `rank` the outputs of the model's classifier. Default: what the
   * file names; without that the mean of an encoder's rows, and a decoder's last row.
   */
  pooling?: Pooling | undefined;
  /** Divide each row by its length; default true. The outputs of `rank` never are. */
  normalize?: boolean | undefined;
  signal?: AbortSignal | undefined;
  /** Called after each batch of texts. */
  onProgress?: ((progress: EmbedProgress) => void) | undefined;
}

export interface RerankOptions {
  /** Return only so many of the best documents; default all. */
  topN?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Called after each batch of documents. */
  onProgress?: ((progress: EmbedProgress) => void) | undefined;
}

/** A document, by its index in the list, and the classifier's first output for it: larger is better. */
export interface RankedDocument {
  readonly index: number;
  readonly score: number;
}

/** A request of OpenAI's `embeddings.create`. */
export interface EmbeddingCreateParams {
  input: string | readonly string[] | readonly number[] | readonly (readonly number[])[];
  /** Any name: the answer repeats it. */
  model?: string | undefined;
  encoding_format?: 'float' | 'base64' | undefined;
  /** Keep only so many numbers, and make a unit vector of them. The model must be trained for it. */
  dimensions?: number | undefined;
  user?: string | undefined;
}

export interface Embedding {
  readonly object: 'embedding';
  readonly index: number;
  /** A text in base64 if `encoding_format` asks for it: little-endian floats. */
  readonly embedding: number[] | string;
}

export interface EmbeddingsResponse {
  readonly object: 'list';
  readonly data: Embedding[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}
