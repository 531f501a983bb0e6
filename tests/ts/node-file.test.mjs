// SPDX-License-Identifier: Apache-2.0
// node-file.test.mjs: a file in Node is read ahead, and gives the bytes of the place that was asked for.
import assert from 'node:assert/strict';
import { mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { build } from 'esbuild';
import { root } from '../e2e/browser.mjs';

const { outputFiles } = await build({
  entryPoints: [`${root}ts/load/node-file.ts`],
  bundle: true,
  format: 'esm',
  platform: 'node',
  write: false,
});
const { streamOfFile } = await import(`data:text/javascript;base64,${btoa(outputFiles[0].text)}`);

const MIB = 1 << 20;
const bytes = Uint8Array.from({ length: 3.5 * MIB }, (_, i) => (i * 2654435761) >>> 24);
const fail = (cause) => {
  throw new Error('a failed read', { cause });
};

/** Calls `use` with a stream over `bytes` and with its file. */
async function withStream(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-file-'));
  try {
    await writeFile(`${folder}/data`, bytes);
    const file = await open(`${folder}/data`);
    const stream = streamOfFile(file, 'data', bytes.byteLength, fail);
    try {
      await use(stream, file);
    } finally {
      await stream.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Reads to the end. A chunk is copied late: it's valid until the next call. */
async function rest(stream) {
  const parts = [];
  for (let chunk = await stream.read(); chunk; chunk = await stream.read()) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    parts.push(Buffer.from(chunk));
  }
  return Buffer.concat(parts);
}

test('a file is read whole, and a chunk keeps its bytes until the next call', () =>
  withStream(async (stream) => assert.ok((await rest(stream)).equals(Buffer.from(bytes)))));

test('a skip goes on at its place, whatever was read ahead', () =>
  withStream(async (stream) => {
    await stream.read();
    const to = 2.25 * MIB + 3;
    stream.skip(to);
    assert.ok((await rest(stream)).equals(Buffer.from(bytes.subarray(to))));
    assert.equal(await stream.read(), undefined);
  }));

test("a read ahead that fails is the next call's error", () =>
  withStream(async (stream, file) => {
    const read = file.read.bind(file);
    file.read = (buffer, from, length, at) =>
      at === 0 ? read(buffer, from, length, at) : Promise.reject(new Error('EIO'));
    assert.equal((await stream.read()).byteLength, MIB);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await assert.rejects(stream.read(), (error) => error.cause.message === 'EIO');
  }));

test('a stream closes while a read is on its way, and a second close does nothing', () =>
  withStream(async (stream) => {
    await stream.read();
    await stream.close();
    await stream.close();
  }));
