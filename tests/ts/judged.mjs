// SPDX-License-Identifier: Apache-2.0
// judged.mjs: runs the package in a Node process with other flags. The package chooses its variant by the
// features of the JavaScript engine, so only a flag can force a variant.
//   node [flags] judged.mjs fixtures|NAME '{"threads":2,...}'
// It prints one line of JSON. NAME is a real model.
import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { judgeFixture, judgeReal } from '../reference/judge.mjs';
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

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { loadModel } = await import('../../dist/index.js');
  const options = JSON.parse(process.argv[3]);
  const result = {};
  if (process.argv[2] === 'fixtures')
    for (const name of await fixtureNames()) result[name] = await judgeFixture(loadModel, name, options);
  else Object.assign(result, await judgeReal(loadModel, process.argv[2], fileOf(process.argv[2]), options));
  console.log(JSON.stringify(result)); // Infinity becomes null, which no bound allows
}
