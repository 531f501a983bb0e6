// SPDX-License-Identifier: Apache-2.0
// cache-places.test.mjs: places of the cache that fail: full, read-only, no folder, locks and files that a
// process left behind.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, readFile, readdir, truncate, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { cacheUsage, deleteModel, downloadModel, listModels, loadModel } from '../../dist/index.js';
import { keyOf, withCache, withoutWrites } from './cached.mjs';
import { FIXTURE, refused } from './level2.mjs';

const model = new Uint8Array(await readFile(FIXTURE));
const download = (server, options) => downloadModel(server.url, { worker: false, ...options });
const locks = async (cache) => (await readdir(cache)).filter((name) => name.endsWith('.lock'));

test('on a full disk a model is deleted, a download ends with quota, and no lock stays', () =>
  withCache(model, {}, async (server, cache) => {
    await download(server, { cache });
    const other = { ...server, url: `${server.url}?other` };
    await withoutWrites('ENOSPC', async () => {
      await refused(download(other, { cache }), 'quota', cache);
      assert.deepEqual(await locks(cache), []);
      assert.equal(await deleteModel(server.url, { cache }), true);
    });
    assert.deepEqual(await readdir(cache), []);
    assert.equal((await download(server, { cache })).isComplete, true);
  }));

test('a lock without an owner is dead after five seconds', () =>
  withCache(model, {}, async (server, cache) => {
    const lock = path.join(cache, `${keyOf(server.url)}.lock`);
    await writeFile(lock, '');
    await refused(deleteModel(server.url, { cache }), 'busy', server.url);
    const before = new Date(Date.now() - 6000);
    await utimes(lock, before, before);
    await deleteModel(server.url, { cache });
    assert.deepEqual(await readdir(cache), []);
  }));

test(
  'a lock of a process that had this process id before is dead at once',
  { skip: process.platform !== 'linux' },
  () =>
    withCache(model, {}, async (server, cache) => {
      const lock = path.join(cache, `${keyOf(server.url)}.lock`);
      await writeFile(lock, `${process.pid} ${hostname()} 0.5 1`);
      await deleteModel(server.url, { cache });
      assert.deepEqual(await locks(cache), []);
      await writeFile(lock, `${process.pid} ${hostname()} 0.5 1`);
      const begin = performance.now();
      await download(server, { cache });
      assert.ok(performance.now() - begin < 5000);
    }),
);

test('a place that takes no files is an io error that names it', () =>
  withCache(model, {}, async (server, cache) => {
    await download(server, { cache });
    const other = { ...server, url: `${server.url}?other` };
    await withoutWrites('EROFS', async () => {
      for (const run of [() => download(other, { cache }), () => deleteModel(server.url, { cache })])
        await refused(run(), 'io', cache, 'EROFS');
    });
    const inFile = path.join(FIXTURE, 'x');
    const before = process.env.WASM_CHORD_CACHE;
    try {
      process.env.WASM_CHORD_CACHE = inFile;
      await refused(download(server), 'io', inFile, 'ENOTDIR');
    } finally {
      process.env.WASM_CHORD_CACHE = before;
    }
    await refused(download(server, { cache: 'none' }), 'invalid-argument', "cache: 'none'");
  }));

test('journals that are folders make the calls fail with io', () =>
  withCache(model, {}, async (server, cache) => {
    for (const slot of ['a', 'b']) await mkdir(path.join(cache, `${keyOf(server.url)}.${slot}`));
    const calls = [listModels, cacheUsage, (options) => deleteModel(server.url, options)];
    for (const call of calls) await refused(call({ cache }), 'io', cache, 'EISDIR');
  }));

test('a URL and the home folder are no cache folders', () =>
  withCache(model, {}, async (server) => {
    for (const cache of ['~/models', `file://${tmpdir()}/models`]) {
      const error = await refused(listModels({ cache }), 'invalid-argument', cache);
      assert.ok(error.hint);
      await refused(download(server, { cache }), 'invalid-argument', cache);
    }
  }));

test('files that no journal names go when the models are listed, unless they are in use', () =>
  withCache(model, {}, async (server, cache) => {
    await download(server, { cache });
    const key = keyOf(server.url);
    for (const slot of ['a', 'b']) await writeFile(path.join(cache, `${key}.${slot}`), 'garbage');
    const lock = path.join(cache, `${key}.lock`);
    await writeFile(lock, `1 another-machine 0.5 1`);
    assert.deepEqual(await listModels({ cache }), []);
    assert.ok(
      (await readdir(cache)).some((name) => name.endsWith('.gguf')),
      'it is in use',
    );
    await writeFile(lock, `999999999 ${hostname()} 0.5 1`);
    assert.deepEqual(await listModels({ cache }), []);
    assert.deepEqual(await readdir(cache), []);

    await download(server, { cache });
    const old = path.join(cache, `${key}.older.gguf`);
    await writeFile(old, 'of a process that ended before it removed this file');
    assert.equal((await listModels({ cache })).length, 1);
    assert.ok(!(await readdir(cache)).includes(path.basename(old)));
    assert.equal((await download(server, { cache })).isComplete, true);
  }));

test('a copy that was cut is not listed as complete, and without its server the error says so', () =>
  withCache(model, {}, async (server, cache) => {
    await download(server, { cache });
    const data = (await readdir(cache)).find((name) => name.endsWith('.gguf'));
    await truncate(path.join(cache, data), 1000);
    const [entry] = await listModels({ cache });
    assert.deepEqual([entry.isComplete, entry.bytes], [false, 1000]);
    server.state.onRequest = (_, response) => response.destroy() || true;
    const load = loadModel(server.url, { cache, worker: false });
    await refused(load, 'io', server.url, 'damaged', cache);
  }));
