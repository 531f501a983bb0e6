// SPDX-License-Identifier: Apache-2.0
// ours.mjs: embeddings by this package in Node; as native.py.
import { readFileSync } from 'node:fs';
import { loadModel } from '../../dist/index.js';

const { file, threads, texts, repeat } = JSON.parse(readFileSync(0, 'utf8'));
const model = await loadModel(file, { backend: 'cpu', threads, cache: 'none' });
await model.embed(texts.slice(0, 100));
const found = { together: [], each: [], variant: model.info.variant };
for (let i = 0; i < repeat; i++) {
  const begin = performance.now();
  await model.embed(texts);
  const middle = performance.now();
  for (const text of texts) await model.embed(Int32Array.from(text));
  found.together.push(middle - begin);
  found.each.push(performance.now() - middle);
}
await model.dispose();
console.log(JSON.stringify(found));
