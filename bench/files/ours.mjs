// SPDX-License-Identifier: Apache-2.0
// ours.mjs: a prompt of ids and a greedy continuation by this package in Node; as native.py.
import { readFileSync } from 'node:fs';
import { loadModel } from '../../dist/index.js';

const { file, threads, ids, depths, prompt, tokens } = JSON.parse(readFileSync(0, 'utf8'));
const contextLength = ids.length + tokens + 256;
const model = await loadModel(file, { backend: 'cpu', threads, cache: 'none', contextLength });
const greedy = { temperature: 0, ignoreEos: true };
const run = async (text, maxTokens) => {
  const generation = model.generate(text, { ...greedy, maxTokens });
  await generation.text();
  return generation.stats;
};
await run(ids.slice(1, 65), 3);
const found = [];
for (const depth of depths) {
  if (depth > 0) await run(ids.slice(0, depth), 1);
  const { promptMs, decodeMs, cachedTokens } = await run(ids.slice(0, depth + prompt), tokens + 1);
  if (cachedTokens !== depth) throw new Error(`${cachedTokens} tokens were in the cache, not ${depth}`);
  found.push({ prompt: promptMs, token: decodeMs / tokens, variant: model.info.variant });
}
await model.dispose();
console.log(JSON.stringify(found));
