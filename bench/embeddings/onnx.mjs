// SPDX-License-Identifier: Apache-2.0
// onnx.mjs: embeddings by onnxruntime-web in wasm, which computes for transformers.js; as native.py, with the
// model of make_onnx.py. Texts of a batch are filled up to the longest, as transformers.js does.
import { readFileSync } from 'node:fs';

const { model, threads, texts, repeat, runtime, perBatch = 32 } = JSON.parse(readFileSync(0, 'utf8'));
const ort = await import(runtime);
ort.env.wasm.numThreads = threads;
const session = await ort.InferenceSession.create(readFileSync(model), { executionProviders: ['wasm'] });

async function compute(batch) {
  const length = Math.max(...batch.map((ids) => ids.length));
  const [ids, mask] = [new BigInt64Array(batch.length * length), new BigInt64Array(batch.length * length)];
  batch.forEach((text, k) =>
    text.forEach((id, i) => {
      ids[k * length + i] = BigInt(id);
      mask[k * length + i] = 1n;
    }),
  );
  const tensor = (data) => new ort.Tensor('int64', data, [batch.length, length]);
  const { last_hidden_state: out } = await session.run({
    input_ids: tensor(ids),
    attention_mask: tensor(mask),
  });
  // the mean over each text's tokens
  const width = out.dims[2];
  return batch.map((text, k) => {
    const mean = new Float32Array(width);
    for (let i = 0; i < text.length; i++)
      for (let j = 0; j < width; j++) mean[j] += out.data[(k * length + i) * width + j] / text.length;
    return mean;
  });
}

await compute(texts.slice(0, perBatch));
const found = { together: [], each: [] };
for (let r = 0; r < repeat; r++) {
  const begin = performance.now();
  for (let i = 0; i < texts.length; i += perBatch) await compute(texts.slice(i, i + perBatch));
  const middle = performance.now();
  for (const text of texts) await compute([text]);
  found.together.push(middle - begin);
  found.each.push(performance.now() - middle);
}
console.log(JSON.stringify(found));
process.exit(0);
