// SPDX-License-Identifier: Apache-2.0
// Models that don't fit: said from the header alone, with the bytes needed and those that are there.
import assert from 'node:assert/strict';
import test from 'node:test';
import { loadModel } from '../../dist/index.js';
import { llamaHeader } from './header.mjs';
import { refused } from './level2.mjs';

/** A source that gives `bytes` and then never another one. */
function stalled(bytes) {
  return new ReadableStream({
    pull(controller) {
      if (bytes === undefined) return new Promise(() => undefined);
      controller.enqueue(bytes);
      bytes = undefined;
    },
  });
}

test('Llama 7B in F16 is out-of-memory on wasm32, from its header, with the bytes needed and available', async () => {
  const bytes = llamaHeader({ layers: 32, width: 4096, ff: 11008, heads: 32, vocabulary: 32000 });
  for (const worker of [true, false]) {
    const error = await refused(loadModel(stalled(bytes), { worker }), 'out-of-memory');
    const [needed, available] = error.message.match(/\d{6,}/g).map(Number);
    assert.ok(needed > 13.4e9 && needed < 15e9, error.message); // 2 bytes for each of 6.74e9 weights, and the activations
    assert.ok(available > 2 ** 28 - 2 ** 26 && available <= 2 ** 32, error.message);
    assert.match(error.hint, /smaller model/);
  }
});

test('a plan whose low 32 bits are small is not taken for a small one', async () => {
  // a layer of 7 matrices of 2^29 bytes, 4 layers: what 32 bits leave of 14 GiB is 2 GiB
  const bytes = llamaHeader({ layers: 4, width: 16384, ff: 16384, heads: 128, vocabulary: 300 });
  await refused(loadModel(stalled(bytes), { contextLength: 32 }), 'out-of-memory');
});

test('one shard of a model is said to be sound', async () => {
  const pairs = [['split.no', 'u16', 0], ['split.count', 'u16', 2], ['split.tensors.count', 'i32', 21]];
  const bytes = llamaHeader({ layers: 2, width: 64, ff: 64, heads: 2, vocabulary: 300, pairs });
  await refused(loadModel(bytes), 'invalid-argument', 'shard 1 of 2', 'the file is sound');
});
