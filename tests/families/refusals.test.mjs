// SPDX-License-Identifier: Apache-2.0
// refusals.test.mjs: hyper-parameters of the hybrid families that contradict themselves or the tensors are
// typed errors that name the key or the tensor.
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { modelOf } from './models.mjs';

/** [model, changed metadata, the error's code, a text of its message] */
const REFUSED = [
  ['lfm2', { '.shortconv.l_cache': undefined }, 'invalid-gguf', 'lfm2.shortconv.l_cache'],
  ['lfm2', { '.shortconv.l_cache': 1 }, 'invalid-gguf', 'lfm2.shortconv.l_cache'],
  ['lfm2', { '.shortconv.l_cache': 1 << 30 }, 'invalid-gguf', 'lfm2.shortconv.l_cache'],
  ['lfm2', { '.shortconv.l_cache': 4 }, 'invalid-gguf', 'shortconv.conv.weight'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 2] }, 'invalid-gguf', 'lfm2.attention.head_count_kv'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 3, 0, 0, 3] }, 'invalid-gguf', '3 KV heads'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 2, 0, 0, 1] }, 'unsupported-architecture', 'head_count_kv'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 0, 0, 0, 0] }, 'invalid-gguf', 'attention.head_count_kv'],
  ['lfm2', { '.attention.head_count_kv': [2, 0, 2, 0, 0, 2] }, 'invalid-gguf', 'blk.0.attn_q'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, -2, 0, 0, 2] }, 'invalid-gguf', 'head_count_kv'],
  ['lfm2', { '.attention.head_count': 0 }, 'invalid-gguf', 'attention.head_count'],
  ['lfm2', { '.feed_forward_length': [96, 96] }, 'invalid-gguf', 'lfm2.feed_forward_length'],
  ['lfm2', { '.embedding_length': 62, '.rope.dimension_count': 8 }, 'invalid-gguf', 'token_embd'],
];

for (const [name, changes, code, text] of REFUSED)
  test(`${name} with ${JSON.stringify(changes, (_, v) => v ?? null)} is ${code} and names ${text}`, async () => {
    const load = loadModel(modelOf(name, changes), { backend: 'cpu', cache: 'none' });
    await assert.rejects(load, (error) => {
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.includes(text), error.message);
      return true;
    });
  });
