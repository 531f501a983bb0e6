// SPDX-License-Identifier: Apache-2.0
// streams.test.mjs: a residual of four streams (Gemma 3n) as the executor runs it. tests/families compares it
// with llama.cpp.
import test from 'node:test';
import { modelOf } from '../families/models.mjs';
import { missing, openGpu } from './gpu.mjs';
import { everyWay } from './ways.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const ids = Array.from({ length: 13 }, (_, i) => (i * 37 + 11) % 256);

test('gemma3n: dispatches of a decoded token, and every way is the same', { skip }, (t) =>
  everyWay(t, gpu, new Uint8Array(modelOf('gemma3n-own')), ids, { 0: 33 }),
);
