// SPDX-License-Identifier: Apache-2.0
// run.mjs: models of any family beside llama.cpp, which takes turns with this package in Node 24: a prompt of
// 512 ids and 32 tokens behind it. tools/make_large.py makes models of real shapes.
// usage: node bench/files/run.mjs [--threads 2] [--repeat 3] [--prompt 512] [--tokens 32] FILE ...
//   PYTHON: a python with llama_cpp.
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { inProcess, nodeProgram } from '../peers.mjs';

const text = { type: 'string' };
const options = { threads: text, repeat: text, prompt: text, tokens: text };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [threads, repeat, n, tokens] = [
  values.threads ?? 2,
  values.repeat ?? 3,
  values.prompt ?? 512,
  values.tokens ?? 32,
].map(Number);
let state = 1;
const prompt = Array.from({ length: n }, () => 300 + ((state = (state * 48271) % 0x7fffffff) % 30_000));

const measure = (program, script, file) =>
  inProcess(program, [`files/${script}`], { file: path.resolve(file), threads, prompt, tokens });

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const node = await nodeProgram();
console.log(`${threads} thread(s), medians of ${repeat}: tokens/s, and the ratio to llama.cpp`);
for (const file of positionals) {
  const found = { ours: [], native: [] };
  for (let i = 0; i < repeat; i++) {
    found.ours.push(await measure(node, 'ours.mjs', file));
    found.native.push(await measure(process.env.PYTHON ?? 'python3', 'native.py', file));
  }
  const rate = (who, what, per) => (1000 * per) / median(found[who].map((result) => result[what]));
  const shown = [
    ['prompt', n],
    ['token', 1],
  ].map(([what, per]) => {
    const [ours, native] = [rate('ours', what, per), rate('native', what, per)];
    return `${what} ${ours.toFixed(1)}, llama.cpp ${native.toFixed(1)}, ratio ${(ours / native).toFixed(2)}`;
  });
  console.log(`  ${path.basename(file)}, ${found.ours[0].variant}: ${shown.join('; ')}`);
}
