// SPDX-License-Identifier: Apache-2.0
// judged.mjs: runs the package in a Node process with other flags. The package chooses its variant by the
// features of the JavaScript engine, so only a flag can force a variant.
//   node [flags] judged.mjs fixtures|NAME '{"threads":2,...}'
// It prints one line of JSON. NAME is a real model.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { argmax, nmse, readGolden, score, stepRegret } from '../reference/golden.mjs';
import { fileOf } from '../reference/real.mjs';

const GOLDEN = new URL('../golden/', import.meta.url);

// Node 20's baseline compiler computes a wrong relaxed dot product, so the package refuses the variant
// there.
const RELAXED = ['--experimental-wasm-relaxed-simd', '--no-liftoff'];
const isOld = Number(process.versions.node.split('.')[0]) < 22;
export const VARIANTS = {
  'wasm32-simd': isOld ? [] : ['--no-experimental-wasm-relaxed-simd'],
  'wasm32-relaxed': isOld ? RELAXED : [],
};

/** Runs `task` with this variant and resolves to what it prints. */
export async function judged(task, variant, options) {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [...VARIANTS[variant], fileURLToPath(import.meta.url), task, JSON.stringify(options)],
    { maxBuffer: 1 << 26 },
  );
  return JSON.parse(stdout);
}

export async function fixtureNames() {
  return (await readdir(GOLDEN)).filter((file) => file.endsWith('.gguf')).map((file) => file.slice(0, -5));
}

/** The module that runs. Whether its multiply-adds are fused (`+fma`) depends on the machine. */
const moduleOf = ({ info }) => info.variant.replace('+fma', '');

const rowsOf = (logits, vocabulary, rows) =>
  rows.map((row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));

async function collect(generation) {
  const tokens = [];
  for await (const { token } of generation) tokens.push(token);
  return tokens;
}

async function fixture(loadModel, name, options) {
  const golden = await readGolden(name);
  const model = await loadModel(new URL(`${name}.gguf`, GOLDEN), options);
  const wrongTexts = [];
  for (const { text, flags, ids } of golden.texts) {
    const ours = await model.tokenize(text, {
      addSpecial: (flags & 1) !== 0,
      parseSpecial: (flags & 2) !== 0,
    });
    if (ours.join() !== ids.join()) wrongTexts.push({ text, flags, ours, ids });
  }
  const hash = createHash('sha256');
  const pairs = [],
    greedy = [];
  for (const { ids, sequence, rows, logits: exact } of golden.prompts) {
    const logits = await model.logits(sequence, { all: true });
    hash.update(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength));
    pairs.push(...rowsOf(logits, golden.vocabulary, rows).map((row, k) => [row, exact[k]]));
    const last = await model.logits(ids);
    if (
      nmse([
        [last, logits.subarray((ids.length - 1) * golden.vocabulary, ids.length * golden.vocabulary)],
      ]) !== 0
    )
      throw new Error(`${name}: the logits of the last position alone aren't bitwise equal`);
    greedy.push(await collect(model.generate(ids, { maxTokens: 40, temperature: 0, ignoreEos: true })));
  }
  const { threads } = model.info;
  const variant = moduleOf(model);
  await model.dispose();
  return { variant, threads, wrongTexts, greedy, ...score(pairs), hash: hash.digest('hex') };
}

/**
 * Compares each step of a real model's prompts with the golden: how many argmax differ, the largest regret,
 * and the first step that differs (`parted`).
 */
async function real(loadModel, name, options) {
  const golden = await readGolden(name);
  const { prompts } = golden;
  const contextLength = Math.max(...prompts.map(({ sequence }) => sequence.length)) + 1;
  const model = await loadModel(fileOf(name), { contextLength, ...options });
  const found = {
    variant: moduleOf(model),
    threads: model.info.threads,
    wrongPrompts: [],
    ways: {},
    texts: [],
  };
  for (const { text, ids } of prompts) {
    const ours = await model.tokenize(text, { addSpecial: true, parseSpecial: true });
    if (ours.join() !== ids.join()) found.wrongPrompts.push(text);
  }
  const { every, stride } = golden.sample;
  for (const way of ['prefill', 'one-by-one']) {
    const sum = { differ: 0, regret: 0, parted: [] };
    const pairs = [];
    for (const prompt of prompts) {
      const { ids, greedy, sequence } = prompt;
      const all = way === 'prefill' ? await model.logits(sequence, { all: true }) : undefined;
      let parted = greedy.length;
      for (let k = 0; k < greedy.length; k++) {
        const end = ids.length + k;
        const row = all
          ? all.subarray((end - 1) * golden.vocabulary, end * golden.vocabulary)
          : await model.logits(sequence.slice(0, end));
        const token = argmax(row);
        sum.regret = Math.max(sum.regret, stepRegret(prompt, k, token));
        if (token !== greedy[k]) {
          sum.differ += 1;
          parted = Math.min(parted, k);
        }
        if (k % every === 0)
          pairs.push([
            Float32Array.from(prompt.sample[k / every], (_, i) => row[i * stride]),
            prompt.sample[k / every],
          ]);
      }
      sum.parted.push(parted);
    }
    found.ways[way] = { ...sum, nmse: nmse(pairs) };
  }
  for (const { ids, greedy } of prompts)
    found.texts.push(
      await collect(model.generate(ids, { maxTokens: greedy.length, temperature: 0, ignoreEos: true })),
    );
  found.counters = await model.counters();
  await model.dispose();
  return found;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { loadModel } = await import('../../dist/index.js');
  const options = JSON.parse(process.argv[3]);
  const result = {};
  if (process.argv[2] === 'fixtures')
    for (const name of await fixtureNames()) result[name] = await fixture(loadModel, name, options);
  else Object.assign(result, await real(loadModel, process.argv[2], options));
  console.log(JSON.stringify(result)); // Infinity becomes null, which no bound allows
}
