// SPDX-License-Identifier: Apache-2.0
// past-4gib.test.mjs: files whose tensors lie past 4 GiB and 8 GiB, alone and in shards, from disk. The
// gaps are multiples of 4 GiB: what cuts an offset to 32 bits reads other bytes.
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { estimateModel, loadModel } from '../../dist/index.js';
import { refused, withModel } from './level2.mjs';
import { spread } from './spread.mjs';

const GAP = 2 ** 32;
const golden = (name) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
const logitsOf = (source, options = {}) =>
  withModel(source, { threads: 1, ...options }, (model) => model.logits([1, 2, 3, 4, 5], { all: true }));

async function inFolder(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-spread-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('tensors past 4 GiB and 8 GiB of a file give the same logits', () =>
  inFolder(async (folder) => {
    const plain = golden('mixed.gguf');
    const file = path.join(folder, 'spread.gguf');
    const bytes = await spread(plain, file, GAP);
    assert.ok(bytes > 2 * GAP);
    const { fileBytes, memory } = await estimateModel(file);
    assert.equal(fileBytes, bytes);
    assert.equal(memory.weights, (await estimateModel(plain)).memory.weights);
    assert.deepEqual(await logitsOf(file), await logitsOf(plain));
  }));

test('a shard whose tensors lie past 4 GiB gives the same logits', () =>
  inFolder(async (folder) => {
    const names = [1, 2, 3].map((i) => `f16-fused-0000${i}-of-00003.gguf`);
    for (const name of names)
      await spread(golden(`shards/${name}`), path.join(folder, name), name.includes('2-of') ? GAP : 0);
    assert.ok((await stat(path.join(folder, names[1]))).size > GAP);
    assert.deepEqual(
      await logitsOf(path.join(folder, names[0]), { worker: false }),
      await logitsOf(golden('f16-fused.gguf')),
    );
  }));

test('a file that ends past 4 GiB and before its last tensor is refused by its length', () =>
  inFolder(async (folder) => {
    const file = path.join(folder, 'cut.gguf');
    const bytes = await spread(golden('mixed.gguf'), file, GAP);
    await truncate(file, bytes - GAP);
    await refused(loadModel(file), 'invalid-gguf');
  }));
