// SPDX-License-Identifier: Apache-2.0
// run.mjs: 1,000 short texts through an encoder of MiniLM's shape: in one call, and one call each; beside
// llama.cpp and onnxruntime-web, which take turns with it. Prints texts a second.
// usage: node bench/embeddings/run.mjs [--threads 2] [--repeat 3] [--texts 1000]
//   PYTHON: a python with llama_cpp for llama.cpp; with numpy, onnx and onnxruntime for onnxruntime-web.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { inProcess, nodeProgram, prepareOnnx } from '../peers.mjs';
import { miniLm, texts } from './model.mjs';

const text = { type: 'string' };
const { values } = parseArgs({ options: { threads: text, repeat: text, texts: text } });
const [threads, repeat, n] = [values.threads ?? 2, values.repeat ?? 3, values.texts ?? 1000].map(Number);
const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const folder = here('../../build/bench');
mkdirSync(folder, { recursive: true });
const file = `${folder}/minilm.gguf`;
writeFileSync(file, miniLm());
const python = process.env.PYTHON ?? 'python3';

const measure = (program, script, plan) =>
  inProcess(program, [`embeddings/${script}`], { file, threads, texts: texts(n), repeat: 1, ...plan });

const node = await nodeProgram();
const runs = { 'wasm-chord': () => measure(node, 'ours.mjs', {}) };
const missing = (name, error) => console.error(`${name} is left out: ${error.message.split('\n')[0]}`);
try {
  execFileSync(python, ['-c', 'import llama_cpp'], { stdio: 'pipe' });
  runs['llama.cpp'] = () => measure(python, 'native.py', {});
} catch (error) {
  missing('llama.cpp', error);
}
try {
  const model = `${folder}/minilm.onnx`;
  if (!existsSync(model)) execFileSync(python, [here('make_onnx.py'), model], { stdio: 'pipe' });
  const runtime = await prepareOnnx();
  runs['onnxruntime-web'] = () => measure(node, 'onnx.mjs', { model, runtime });
} catch (error) {
  missing('onnxruntime-web', error);
}

const found = Object.fromEntries(Object.keys(runs).map((name) => [name, { together: [], each: [] }]));
for (let i = 0; i < repeat; i++)
  for (const [name, run] of Object.entries(runs)) {
    const { together, each } = await run();
    found[name].together.push(...together);
    found[name].each.push(...each);
  }
const rate = (ms) => (1000 * n) / ms.toSorted((a, b) => a - b)[ms.length >> 1];
console.log(`${n} texts, ${threads} thread(s), medians of ${repeat}: texts a second`);
for (const [name, { together, each }] of Object.entries(found))
  console.log(
    `  ${name.padEnd(16)} in one call ${rate(together).toFixed(0)}, one call each ${rate(each).toFixed(0)}`,
  );
