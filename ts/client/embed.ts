// SPDX-License-Identifier: Apache-2.0
// Embeddings and ranks: the calls of LanguageModel, and OpenAI's shape of them. A chunk that is loaded with
// the first call.
import {
  asBoolean,
  asIdList,
  asOneOf,
  asOptional,
  asOptions,
  asString,
  asWhole,
  isObject,
  refuse,
  wrong,
} from '../check.js';
import { poolings } from '../options.js';
import type { Embedded } from '../worker/protocol.js';
import type { Calls } from './calls.js';
import type { OpenCall } from './connection.js';
import type { EmbedProgress, Embedding, EmbeddingsResponse, RankedDocument } from './embed-options.js';

type Texts = readonly (string | number[] | Int32Array)[];

/**
 * Runs the worker's call. Returns its floats, one message after another. What `onProgress` throws ends the
 * call, which rejects with it.
 */
async function run(
  calls: Calls,
  texts: Texts,
  message: { readonly pooling?: (typeof poolings)[number] | undefined; normalize: boolean; query?: string },
  given: { readonly signal?: unknown; readonly onProgress?: unknown },
): Promise<Embedded & { values: Float32Array[] }> {
  const onProgress = asOptional(given.onProgress, (f) =>
    typeof f === 'function' ? (f as (progress: EmbedProgress) => void) : wrong('onProgress', f, 'a function'),
  );
  const values: Float32Array[] = [];
  let thrown: { readonly error: unknown } | undefined;
  const open = (): OpenCall<Embedded> => {
    const call: OpenCall<Embedded> = calls.open<'embed'>(
      { op: 'embed', texts, ...message },
      {
        onEvent: (reply) => {
          if (reply.type !== 'rows') return;
          values.push(reply.values);
          call.post({ op: 'taken', count: 1 });
          const progress = { done: reply.texts ?? 0, total: texts.length };
          (async () => onProgress?.(progress))().catch((error: unknown) => {
            thrown ??= { error };
            call.post({ op: 'cancel' });
          });
        },
      },
    );
    return call;
  };
  try {
    const ended = await calls.run(given.signal, open);
    if (thrown === undefined) return { ...ended, values };
  } catch (error) {
    thrown ??= { error };
  }
  throw thrown.error;
}

/** The floats of each text, in an array of its own. */
function rowsOf({ values, pooling, width, tokens }: Embedded & { values: Float32Array[] }): Float32Array[] {
  const out: Float32Array[] = [];
  for (const message of values)
    for (let at = 0; at < message.length;) {
      const n = width * (pooling === 'none' ? tokens[out.length]! : 1);
      out.push(message.slice(at, at + n));
      at += n;
    }
  return out;
}

/** One text, or a list of them. A list of numbers is the ids of one text. */
function textsOf(name: string, input: unknown): { texts: Texts; isOne: boolean } {
  if (typeof input === 'string') return { texts: [input], isOne: true };
  if (!Array.isArray(input) || typeof input[0] === 'number')
    return { texts: [asIdList(name, input)], isOne: true };
  return {
    texts: Array.from(input, (text: unknown, i) =>
      typeof text === 'string' ? text : asIdList(`${name}[${i}]`, text),
    ),
    isOne: false,
  };
}

export async function embed(
  calls: Calls,
  input: unknown,
  options: unknown,
): Promise<Float32Array | Float32Array[]> {
  const given = asOptions('embed', options, ['pooling', 'normalize', 'signal', 'onProgress']);
  const { texts, isOne } = textsOf('the text', input);
  const pooling = asOptional(given['pooling'], (name) => asOneOf('pooling', name, poolings));
  const normalize = asBoolean('normalize', given['normalize'] ?? true);
  const rows = rowsOf(await run(calls, texts, { pooling, normalize }, given));
  return isOne ? rows[0]! : rows;
}

export async function rerank(
  calls: Calls,
  query: unknown,
  documents: unknown,
  options: unknown,
): Promise<RankedDocument[]> {
  const given = asOptions('rerank', options, ['topN', 'signal', 'onProgress']);
  if (!Array.isArray(documents)) wrong('documents', documents, 'a list of texts');
  const texts = Array.from(documents, (text: unknown, i) => asString(`documents[${i}]`, text));
  const most = asOptional(given['topN'], (n) => asWhole('topN', n, 1, 2 ** 31 - 1)) ?? texts.length;
  const rows = rowsOf(await run(calls, texts, { normalize: false, query: asString('query', query) }, given));
  const ranked = rows.map(([score], index) => ({ index, score: score! }));
  return ranked.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, most);
}

/** The first `n` numbers of an embedding that allows it (Matryoshka), as a unit vector again. */
function shortened(row: Float32Array, n: number): Float32Array {
  const cut = row.slice(0, n);
  const length = Math.hypot(...cut);
  return length > 0 ? cut.map((x) => x / length) : cut;
}

function base64(row: Float32Array): string {
  let text = '';
  for (const byte of new Uint8Array(row.buffer, row.byteOffset, row.byteLength))
    text += String.fromCharCode(byte);
  return btoa(text);
}

/** OpenAI's embeddings.create. */
export async function create(calls: Calls, params: unknown, options: unknown): Promise<EmbeddingsResponse> {
  if (!isObject(params)) wrong('the request', params, 'an object');
  const { input: given, model, user: _, ...rest } = params;
  const { encoding_format: format, dimensions } = asOptions('embeddings.create', rest, [
    'encoding_format',
    'dimensions',
  ]);
  const { signal } = asOptions('embeddings.create', options, ['signal']);
  const { texts } = textsOf('input', given);
  if (texts.length === 0) refuse('input has no text');
  const encoding = asOneOf('encoding_format', format ?? 'float', ['float', 'base64']);
  const { embeddingLength, name, architecture } = calls.loaded.info;
  const width = asOptional(dimensions, (n) => asWhole('dimensions', n, 1, embeddingLength));
  const result = await run(calls, texts, { normalize: true }, { signal });
  const data = rowsOf(result).map((row, index): Embedding => {
    const values = width === undefined || width === row.length ? row : shortened(row, width);
    return {
      object: 'embedding',
      index,
      embedding: encoding === 'base64' ? base64(values) : Array.from(values),
    };
  });
  const tokens = result.tokens.reduce((sum, n) => sum + n, 0);
  return {
    object: 'list',
    data,
    model: typeof model === 'string' ? model : name || architecture,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}
