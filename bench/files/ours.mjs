// SPDX-License-Identifier: Apache-2.0
// ours.mjs: a prompt of ids and a greedy continuation by this package in Node; as native.py.
import { readFileSync } from 'node:fs';
import { loadModel } from '../../dist/index.js';

const { file, threads, prompt, tokens } = JSON.parse(readFileSync(0, 'utf8'));
const model = await loadModel(file, { backend: 'cpu', threads, cache: 'none', contextLength: 1024 });
const greedy = { temperature: 0, ignoreEos: true };
await model.generate(prompt.slice(1, 65), { ...greedy, maxTokens: 3 }).text();
const run = model.generate(prompt, { ...greedy, maxTokens: tokens + 1 });
await run.text();
const { promptMs, decodeMs, cachedTokens } = run.stats;
await model.dispose();
const { variant } = model.info;
console.log(JSON.stringify({ prompt: promptMs, token: decodeMs / tokens, variant, cachedTokens }));
