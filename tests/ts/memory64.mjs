// SPDX-License-Identifier: Apache-2.0
// memory64.mjs: a Node that has Memory64, and the 64-bit module with its heap at another address.
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

/**
 * `module` with another value of its global __heap_base, from which on a model's memory is given out. What
 * lies before is never touched, so it takes no memory of the machine.
 */
export function withHeapAt(module, address) {
  const sections = [];
  for (let at = 8; at < module.length;) {
    const [bytes, begin] = leb(module, at + 1);
    sections.push({ id: module[at], body: module.subarray(begin, begin + bytes) });
    at = begin + bytes;
  }
  const index = exportIndex(sections.find(({ id }) => id === 7).body, '__heap_base');
  const globals = sections.find(({ id }) => id === 6);
  let [count, at] = leb(globals.body, 0);
  const parts = [globals.body.subarray(0, at)];
  for (let i = 0; i < count; i++) {
    const begin = at;
    at += 3; // type, mutability, i64.const
    while (globals.body[at++] & 0x80);
    at += 1; // end
    const isIt = i === index;
    parts.push(isIt ? [0x7e, 0, 0x42, ...signed(BigInt(address)), 0x0b] : globals.body.subarray(begin, at));
  }
  globals.body = Buffer.concat(parts.map((part) => Buffer.from(part)));
  return Buffer.concat([
    module.subarray(0, 8),
    ...sections.flatMap(({ id, body }) => [Buffer.from([id, ...unsigned(body.length)]), body]),
  ]);
}

function exportIndex(body, wanted) {
  let [count, at] = leb(body, 0);
  for (; count > 0; count--) {
    const [length, begin] = leb(body, at);
    const name = Buffer.from(body.subarray(begin, begin + length)).toString();
    const [index, next] = leb(body, begin + length + 1);
    if (name === wanted && body[begin + length] === 3) return index;
    at = next;
  }
  throw new Error(`no export ${wanted}`);
}

function leb(bytes, at) {
  for (let value = 0, factor = 1; ; factor *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at];
  }
}

function unsigned(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

function signed(value) {
  const bytes = [];
  for (; value > 63n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value)];
}
