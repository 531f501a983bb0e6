// SPDX-License-Identifier: Apache-2.0
// run.mjs: models of any family beside llama.cpp, which takes turns with this package in Node 24: a prompt of
// 512 ids and 32 tokens behind it, at each depth: the number of ids before the prompt. tools/make_large.py
// makes models of real shapes.
// usage: node bench/files/run.mjs [--threads 2] [--repeat 3] [--prompt 512] [--tokens 32] [--depths 0,4096]
//   FILE ...
//   PYTHON: a python with llama_cpp.
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { inProcess, nodeProgram } from '../peers.mjs';

const text = { type: 'string' };
const options = { threads: text, repeat: text, prompt: text, tokens: text, depths: text };
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [threads, repeat, prompt, tokens] = [
  values.threads ?? 2,
  values.repeat ?? 3,
  values.prompt ?? 512,
  values.tokens ?? 32,
].map(Number);
const depths = (values.depths ?? '0').split(',').map(Number);
let state = 1;
const ids = Array.from(
  { length: prompt + Math.max(...depths) },
  () => 300 + ((state = (state * 48271) % 0x7fffffff) % 30_000),
);

const measure = (program, script, file) =>
  inProcess(program, [`files/${script}`], { file: path.resolve(file), threads, ids, depths, prompt, tokens });

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const node = await nodeProgram();
console.log(`${threads} thread(s), medians of ${repeat}: tokens/s, and the ratio to llama.cpp`);
for (const file of positionals) {
  const found = { ours: [], native: [] };
  for (let i = 0; i < repeat; i++) {
    found.ours.push(await measure(node, 'ours.mjs', file));
    found.native.push(await measure(process.env.PYTHON ?? 'python3', 'native.py', file));
  }
  const rate = (who, what, per, i) => (1000 * per) / median(found[who].map((runs) => runs[i][what]));
  depths.forEach((depth, i) => {
    const shown = [
      ['prompt', prompt],
      ['token', 1],
    ].map(([what, per]) => {
      const [ours, native] = [rate('ours', what, per, i), rate('native', what, per, i)];
      return `${what} ${ours.toFixed(1)}, llama.cpp ${native.toFixed(1)}, ratio ${(ours / native).toFixed(2)}`;
    });
    const where = depth > 0 ? `, behind ${depth}` : '';
    console.log(`  ${path.basename(file)}, ${found.ours[0][i].variant}${where}: ${shown.join('; ')}`);
  });
}
