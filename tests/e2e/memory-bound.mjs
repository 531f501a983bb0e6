// SPDX-License-Identifier: Apache-2.0
// memory-bound.mjs: the bytes that docs/DESIGN.md allows a model to hold, from the file and the plan:
//   1.05 x (weights as in the file + KV pages in use) + vocabulary (at most 2.5 x its bytes in the file)
//   + activations as planned + 8 MiB
import { open } from 'node:fs/promises';

const PAGE_TOKENS = 32;
const SLACK = 8 * 2 ** 20;
const VOCABULARY = ['tokens', 'scores', 'token_type', 'merges'].map((name) => `tokenizer.ggml.${name}`);
const HEADER = 16 * 2 ** 20; // larger than the header of any file that the tests load
const widths = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/**
 * Resolves to { weights, vocabulary, numbers } of a GGUF file: bytes of all tensors, bytes of the
 * vocabulary's arrays, and 32-bit integers by key.
 */
async function sizesOf(file) {
  const handle = await open(file);
  const { size } = await handle.stat();
  const bytes = new Uint8Array(Math.min(HEADER, size));
  await handle.read(bytes, 0, bytes.length, 0);
  await handle.close();
  const view = new DataView(bytes.buffer);
  let at = 8;
  const whole = (width) => {
    const value =
      width === 8
        ? Number(view.getBigUint64(at, true))
        : width === 4
          ? view.getUint32(at, true)
          : view.getUint8(at);
    at += width;
    return value;
  };
  const string = () => {
    const n = whole(8);
    at += n;
    return new TextDecoder().decode(bytes.subarray(at - n, at));
  };
  const skip = (type) => {
    if (type === 8) string();
    else if (type === 9) {
      const inner = whole(4);
      for (let n = whole(8); n > 0; n--) skip(inner);
    } else at += widths[type];
  };

  const [tensors, pairs] = [whole(8), whole(8)];
  const numbers = {};
  let vocabulary = 0;
  for (let i = 0; i < pairs; i++) {
    const key = string(),
      type = whole(4),
      begin = at;
    if (type === 4 || type === 5) numbers[key] = view.getUint32(at, true);
    skip(type);
    if (VOCABULARY.includes(key)) vocabulary += at - begin;
  }
  for (let i = 0; i < tensors; i++) {
    string();
    const dimensions = whole(4);
    at += 8 * dimensions + 4 + 8; // dimensions, type, offset
  }
  const alignment = numbers['general.alignment'] ?? 32;
  return { weights: size - Math.ceil(at / alignment) * alignment, vocabulary, numbers };
}

/** Resolves to [bytes that the model may hold, the terms as a line of text]. KV pages count as F16. */
export async function memoryBound(file, info, counters) {
  const { weights, vocabulary, numbers } = await sizesOf(file);
  const of = (key) => numbers[`${info.architecture}.${key}`];
  const head = of('attention.key_length') ?? of('embedding_length') / of('attention.head_count');
  const page = of('block_count') * 2 * of('attention.head_count_kv') * head * PAGE_TOKENS * 2;
  const kv = counters.kvPages * page;
  const words = Math.min(info.memory.vocabulary, 2.5 * vocabulary);
  const bound = 1.05 * (weights + kv) + words + info.memory.activations + SLACK;
  const mb = (bytes) => (bytes / 1e6).toFixed(1);
  return [
    bound,
    `1.05 x (${mb(weights)} weights + ${mb(kv)} KV) + ${mb(words)} vocabulary + ${mb(info.memory.activations)} activations + ${mb(SLACK)} = ${mb(bound)} MB`,
  ];
}
