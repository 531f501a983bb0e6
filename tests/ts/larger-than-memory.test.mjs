// SPDX-License-Identifier: Apache-2.0
// larger-than-memory.test.mjs: a model that doesn't fit is refused after its header.
import assert from 'node:assert/strict';
import test from 'node:test';
import { capabilities, loadModel } from '../../dist/index.js';
import { llamaHeader } from './header.mjs';
import { refused } from './level2.mjs';

/** With Memory64 only a budget keeps a model in 4 GiB. */
const narrow = (await capabilities()).memory64 ? { memoryBudget: 2 ** 32 } : {};

/** A source that delivers `bytes` and then stalls. */
function stalled(bytes) {
  return new ReadableStream({
    pull(controller) {
      if (bytes === undefined) return new Promise(() => undefined);
      controller.enqueue(bytes);
      bytes = undefined;
    },
  });
}

test('Llama 7B in F16 is out-of-memory on wasm32 after its header, and the message has the bytes needed and available', async () => {
  const bytes = llamaHeader({ layers: 32, width: 4096, ff: 11008, heads: 32, vocabulary: 32000 });
  for (const worker of [true, false]) {
    const error = await refused(loadModel(stalled(bytes), { ...narrow, worker }), 'out-of-memory');
    const [needed, available] = error.message.match(/\d{6,}/g).map(Number);
    // The model has 6.74e9 weights of 2 bytes, and its activations.
    assert.ok(needed > 13.4e9 && needed < 15e9, error.message);
    assert.ok(available > 2 ** 28 - 2 ** 26 && available <= 2 ** 32, error.message);
    assert.match(error.hint, /smaller model/);
  }
});

test('a plan above 4 GiB is out-of-memory even if its low 32 bits are small', async () => {
  // 4 layers of 7 matrices of 2^29 bytes are 14 GiB. The low 32 bits of that are 2 GiB.
  const bytes = llamaHeader({ layers: 4, width: 16384, ff: 16384, heads: 128, vocabulary: 300 });
  await refused(loadModel(stalled(bytes), { ...narrow, contextLength: 32 }), 'out-of-memory');
});

test('one shard of a model is refused with its number, and the message says that the file is sound', async () => {
  const pairs = [
    ['split.no', 'u16', 0],
    ['split.count', 'u16', 2],
    ['split.tensors.count', 'i32', 21],
  ];
  const bytes = llamaHeader({ layers: 2, width: 64, ff: 64, heads: 2, vocabulary: 300, pairs });
  await refused(loadModel(bytes), 'invalid-argument', 'shard 1 of 2', 'the file is sound');
});
