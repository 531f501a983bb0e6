// SPDX-License-Identifier: Apache-2.0
// cached.mjs: a server and a cache folder for a test, and a file system that fails on request.
import { createHash } from 'node:crypto';
import fsp from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { startHostile } from './hostile-server.mjs';

/** Runs `use` with a server of `bytes` and an empty cache, which is removed afterwards. */
export async function withCache(bytes, given, use) {
  const cache = await fsp.mkdtemp(path.join(tmpdir(), 'chord-cache-'));
  const server = await startHostile(bytes, given);
  try {
    return await use(server, cache);
  } finally {
    await server.close();
    await fsp.rm(cache, { recursive: true, force: true });
  }
}

export const keyOf = (url) => createHash('sha256').update(url).digest('hex').slice(0, 32);

/**
 * While `use` runs in this thread, no file takes a byte: `code` is thrown, after the file was made (ENOSPC),
 * or in its place (any other code).
 */
export async function withoutWrites(code, use) {
  const { open, writeFile } = fsp;
  const fail = () => {
    throw Object.assign(new Error(`${code}: no byte is written`), { code });
  };
  const isWriting = (flags) => (typeof flags === 'string' ? /[wa+]/.test(flags) : flags & 3);
  fsp.open = async (file, flags = 'r', ...rest) => {
    if (isWriting(flags) && code !== 'ENOSPC') fail();
    const handle = await open(file, flags, ...rest);
    if (isWriting(flags)) handle.write = handle.writeFile = async () => fail();
    return handle;
  };
  fsp.writeFile = async (file, bytes, options) => {
    if (code === 'ENOSPC') await writeFile(file, '', options);
    return fail();
  };
  syncBuiltinESMExports();
  try {
    return await use();
  } finally {
    Object.assign(fsp, { open, writeFile });
    syncBuiltinESMExports();
  }
}

/**
 * While `use` runs in this thread, timers and the clock run `times` as fast. `use` gets a function that
 * returns the milliseconds of the timers that were set since its last call.
 */
export async function withFastTimers(times, use) {
  const { setTimeout, performance } = globalThis;
  const now = performance.now.bind(performance);
  let waits = [];
  performance.now = () => times * now();
  globalThis.setTimeout = (run, ms = 0, ...rest) => {
    waits.push(ms);
    return setTimeout(run, ms / times, ...rest);
  };
  try {
    return await use(() => waits.splice(0));
  } finally {
    globalThis.setTimeout = setTimeout;
    delete performance.now;
  }
}
