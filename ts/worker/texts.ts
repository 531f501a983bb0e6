// SPDX-License-Identifier: Apache-2.0
// Texts for embeddings in the engine worker: a batch of them, and what the classifier of a reranker reads.
import { ChordError } from '../errors.js';
import { poolings } from '../options.js';
import type { Pooling } from '../options.js';
import type { WasmEngine } from '../wasm/engine.js';
import type { WasmSession } from '../wasm/session.js';
import { toIds } from '../wasm/vocabulary.js';

/** The pooling that the file names; without one the mean of an encoder's rows, and a decoder's last row. */
export function usualPooling({ file }: WasmEngine): Pooling {
  return poolings[file.modelInfo().pooling] ?? 'last';
}

/** A session of texts: those of one batch, and their rows. */
export class TextBatch {
  readonly #session: WasmSession;
  readonly #width: number;
  readonly #isRank: boolean;
  readonly #isEach: boolean;
  /** What else helps where a text is too long. */
  readonly #elsewise: string;
  #rows = 0;

  /** Throws `invalid-argument`. */
  constructor(session: WasmSession, pooling: Pooling, width: number, { file }: WasmEngine) {
    session.truncate(0);
    session.setPooling(pooling);
    const { is_encoder: isEncoder, n_ctx_train: trained } = file.modelInfo();
    this.#elsewise =
      !isEncoder && pooling !== 'last' && pooling !== 'rank'
        ? ", or take the pooling 'last'"
        : file.planInfo.n_ctx < trained
          ? ', or load the model with a larger contextLength'
          : '';
    this.#session = session;
    this.#width = width;
    this.#isRank = pooling === 'rank';
    this.#isEach = pooling === 'none';
  }

  /** Adds text `index`. Returns false when the batch has no room for it. */
  push(ids: ArrayLike<number>, index: number): boolean {
    try {
      const isAdded = this.#session.pushText(toIds(ids));
      if (isAdded) this.#rows += this.#isEach ? ids.length : 1;
      return isAdded;
    } catch (error) {
      if (!ChordError.isInstance(error)) throw error;
      throw new ChordError(error.code, `text ${index}: ${error.message}`, {
        cause: error,
        ...(error.code === 'context-full' && { hint: `split the text${this.#elsewise}` }),
      });
    }
  }

  /** The rows of the batch, which has been computed. The next one begins. */
  read(normalize: boolean): Float32Array<ArrayBuffer> {
    const values = this.#session.embeddings(this.#rows, this.#width);
    this.#rows = 0;
    for (let at = 0; normalize && !this.#isRank && at < values.length; at += this.#width)
      toUnit(values.subarray(at, at + this.#width));
    return values;
  }
}

/** Divides a row by its length; a row of zeros stays. */
function toUnit(row: Float32Array): void {
  let sum = 0;
  for (const x of row) sum += x * x;
  if (sum > 0) for (let i = 0, by = 1 / Math.sqrt(sum); i < row.length; i++) row[i]! *= by;
}

type Tokenize = (text: string, addSpecial: boolean, parseSpecial?: boolean) => Promise<Int32Array>;

/**
 * Returns what makes the ids of a document for `query`: as llama.cpp's server does, by the template `rerank`
 * of the file, or BOS, the query, EOS, SEP, the document and EOS, as far as the vocabulary adds them.
 */
export async function pairOf(
  { file }: WasmEngine,
  query: string,
  tokenize: Tokenize,
): Promise<(document: string) => Promise<Int32Array>> {
  const template = file.chatTemplates().includes('rerank') ? file.chatTemplate('rerank') : undefined;
  if (template !== undefined)
    return (document) => {
      const values: { [name: string]: string } = { query, document };
      return tokenize(
        template.replaceAll(/\{(query|document)\}/g, (_, name: string) => values[name]!),
        false,
      );
    };
  const { bos, eos, add_bos: addBos, add_eos: addEos } = file.modelInfo();
  const isWordPiece = file.meta('tokenizer.ggml.model') === 'bert';
  const sep = Number(file.meta('tokenizer.ggml.seperator_token_id') ?? (isWordPiece ? 102 : -1));
  const addSep = (file.meta('tokenizer.ggml.add_sep_token') ?? String(isWordPiece)) === 'true';
  const end = addEos > 0 ? [eos >= 0 ? eos : sep] : [];
  const list = (ids: number[]): number[] => ids.filter((id) => id >= 0);
  const head = [
    ...list(addBos > 0 ? [bos] : []),
    ...(await tokenize(query, false, false)),
    ...list([...end, ...(addSep ? [sep] : [])]),
  ];
  const tail = list(end);
  return async (document) => Int32Array.from([...head, ...(await tokenize(document, false, false)), ...tail]);
}
