// SPDX-License-Identifier: Apache-2.0
// proof.mjs: writes docs/PROOF.md from what the tests left in a folder (tests/reference/proof.mjs): which
// architecture ran with which types, and how near its logits came to llama.cpp's.
// usage: node tools/proof.mjs FOLDER
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { inspectModel } from '../dist/index.js';
import { encoderOf } from '../tests/families/encoders.mjs';
import { modelOf } from '../tests/families/models.mjs';

const folder = process.argv[2];
const golden = (name) => new URL(`../tests/golden/${name}.gguf`, import.meta.url);
const sources = {
  families: (name) => modelOf(name),
  embeddings: (name) => encoderOf(name),
  fixtures: (name) => (name.includes('.') ? undefined : readFileSync(golden(name))),
};

const records = readdirSync(folder)
  .sort()
  .flatMap((file) => readFileSync(`${folder}/${file}`, 'utf8').trim().split('\n'))
  .map((line) => JSON.parse(line));

/** One entry a model: what it holds, and the last result on each backend. */
const models = new Map();
for (const { suite, model, backend, ...result } of records.filter(({ suite }) => suite in sources)) {
  const key = `${suite}/${model}`;
  if (!models.has(key)) {
    const { architecture, tensorTypes } = await inspectModel(sources[suite](model));
    const types = tensorTypes.map(({ type }) => type);
    // Vectors are F32 in every file. The types of matrices are what a user asks for.
    const matrices = types.filter((type) => type !== 'F32');
    models.set(key, { model, architecture, types: matrices.length > 0 ? matrices : types, results: {} });
  }
  models.get(key).results[backend] = result;
}

const error = (result) =>
  result === undefined ? '' : result.nmse === 0 ? '0' : result.nmse.toExponential(1);
const tokens = ({ greedy } = {}) => (greedy === undefined ? '' : `${greedy[0]} of ${greedy[1]}`);
const row = (cells) => `| ${cells.join(' | ')} |\n`;
const lines = [...models.values()].map(({ model, architecture, types, results: { cpu, webgpu } }) => [
  architecture,
  model,
  types.sort().join(', '),
  error(cpu),
  cpu === undefined ? '' : cpu.part.toFixed(2),
  tokens(cpu),
  error(webgpu),
]);
lines.sort(([a, b], [c, d]) => a.localeCompare(c) || b.localeCompare(d));
const texts = new Map();
for (const { vocabulary, texts: n } of records) if (vocabulary) texts.set(vocabulary, n);
const table = (heads, rows) => [heads, heads.map(() => '---'), ...rows].map(row).join('');
const heads = ['architecture', 'model', 'types of the matrices', 'NMSE, CPU', 'part', 'greedy', 'NMSE, GPU'];
const architectures = new Set(lines.map(([architecture]) => architecture));
const vocabularies = `\nTokens: ids of texts that were llama.cpp's.\n\n${table(['vocabulary', 'texts'], texts)}`;

writeFileSync(
  new URL('../docs/PROOF.md', import.meta.url),
  `# What was compared with llama.cpp

\`make proof\` runs the tests that compare this runtime with llama.cpp and writes this page from what they
found. The models are small and have random weights; scripts make them (CONTRIBUTING.md). NMSE is the squared
error of the logits divided by their squares. "Part" is the NMSE on the CPU divided by its tolerance, which
comes from llama.cpp's own noise: a pass is at most 1. "Greedy" counts the tokens in a row that were
llama.cpp's, of those compared; a comparison ends early where two tokens are nearer than the noise.

${architectures.size} architectures, ${lines.length} models.

${table(heads, lines)}${texts.size > 0 ? vocabularies : ''}`,
);
