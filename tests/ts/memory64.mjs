// SPDX-License-Identifier: Apache-2.0
// memory64.mjs: a Node that has Memory64, and models whose plan is above 4 GiB.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { capabilities } from '../../dist/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const NODE = `${root}build/stacks/tools/node_modules/node24/bin/node`;

/** This Node if it has Memory64, else the Node 24 of tests/stacks, which `make test-ts` installs. */
export const node = (await capabilities()).memory64 ? process.execPath : NODE;

/** Options of a test that runs `node`. */
export const needsNode = {
  skip: existsSync(node) || process.env.CI === 'true' ? false : 'no Node 24: run `make test-stacks`',
  timeout: 240_000,
};

/**
 * The bytes of a golden fixture of llama's, trained for 2^24 tokens: with a context of so many its plan is
 * above 4 GiB. Pages of the KV cache are taken as tokens come.
 */
export async function longContext(name) {
  const bytes = await readFile(new URL(`../golden/${name}.gguf`, import.meta.url));
  const at = bytes.indexOf('llama.context_length') + 'llama.context_length'.length;
  bytes.writeUInt32LE(2 ** 24, at + 4); // behind the value's type
  return bytes;
}

/** Runs the body of an async function in `node`, with `given`, and resolves to what it returns. */
export async function inNode(node, given, body) {
  const program = `
    const chord = await import(${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)});
    const body = ${body};
    console.log(JSON.stringify(await body(chord, ${JSON.stringify(given)})));`;
  const { stdout } = await promisify(execFile)(node, ['--input-type=module', '-e', program]);
  return JSON.parse(stdout);
}

export const moduleUrl = (variant) => new URL(`../../dist/${variant}.wasm`, import.meta.url).href;
