// SPDX-License-Identifier: Apache-2.0
// cache.test.mjs: the cache in Node: what is kept, continued, replaced and refused, and its files.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, readdir, rm, truncate, unlink, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheUsage, deleteModel, downloadModel, listModels, loadModel } from '../../dist/index.js';
import { sha256, startHostile } from './hostile-server.mjs';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const model = new Uint8Array(await readFile(FIXTURE));
const CHILD = fileURLToPath(new URL('./download-child.mjs', import.meta.url));
const folders = [];
let expected;

/** The fixture with bytes behind its last tensor, which no load needs. */
function padded(bytes, seed = 1) {
  const file = new Uint8Array(bytes);
  file.set(model);
  for (let i = model.length; i < bytes; i++) file[i] = (i * seed) ^ (i >> 8);
  return file;
}

async function newFolder() {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-cache-'));
  folders.push(folder);
  return folder;
}

/** Runs `use` with a server of `bytes` and an empty cache. */
async function withHostile(bytes, given, use) {
  const server = await startHostile(bytes, given);
  try {
    await use(server, await newFolder());
  } finally {
    await server.close();
  }
}

const textOf = (source, options) =>
  withModel(source, { worker: false, ...options }, (loaded) => loaded.generate('Hello', GREEDY).text());
const download = (server, options) => downloadModel(server.url, { worker: false, ...options });
const journals = async (cache) => (await readdir(cache)).filter((name) => /\.[ab]$/.test(name));

before(async () => {
  expected = await textOf(FIXTURE);
});
after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true, force: true }))));

test('a model is downloaded once, listed, loaded without its server, and deleted', () =>
  withHostile(padded(9e6), {}, async (server, cache) => {
    const { state } = server;
    for (const options of [{}, { worker: true }]) {
      assert.equal(await textOf(server.url, { cache, ...options }), expected);
      assert.ok(state.sent < 9e6 + 10, `${state.sent} bytes were sent`);
    }
    const [entry, ...others] = await listModels({ cache });
    assert.equal(others.length, 0);
    assert.ok(Date.now() - entry.usedAt < 60_000);
    const { usedAt, ...rest } = entry;
    assert.ok(usedAt instanceof Date);
    assert.deepEqual(rest, {
      source: server.url,
      name: server.url,
      bytes: 9e6,
      totalBytes: 9e6,
      isComplete: true,
      etag: state.etag,
    });
    const usage = await cacheUsage({ cache });
    assert.ok(usage.bytes === 9e6 && usage.quota > 9e6 && usage.persisted);
    await server.close();
    assert.equal(await textOf(server.url, { cache }), expected);
    assert.ok((await listModels({ cache }))[0].usedAt > usedAt, 'a load of the copy is a use');
    assert.equal(await deleteModel(server.url, { cache }), true);
    assert.equal(await deleteModel(server.url, { cache }), false);
    assert.deepEqual(await readdir(cache), []);
    await refused(textOf(server.url, { cache }), 'io', server.url);
  }));

test("cache: 'none' keeps nothing; a place that can't be used stops a named cache and no other", () =>
  withHostile(model, {}, async (server, cache) => {
    const before = process.env.WASM_CHORD_CACHE;
    try {
      process.env.WASM_CHORD_CACHE = cache;
      assert.equal(await textOf(server.url, { cache: 'none' }), expected);
      assert.deepEqual(await readdir(cache), []);
      assert.equal(await textOf(server.url), expected);
      assert.equal((await listModels()).length, 1);
      process.env.WASM_CHORD_CACHE = path.join(FIXTURE, 'inside a file');
      assert.equal(await textOf(server.url), expected);
      await refused(textOf(server.url, { cache: process.env.WASM_CHORD_CACHE }), 'io', 'inside a file');
    } finally {
      if (before === undefined) delete process.env.WASM_CHORD_CACHE;
      else process.env.WASM_CHORD_CACHE = before;
    }
  }));

test('servers without ranges, without a length, with a content encoding, and without a version work', async () => {
  for (const given of [{ ranges: false }, { gzip: true }, { etag: null }, { etag: null, ranges: false }])
    await withHostile(padded(5e6), given, async (server, cache) => {
      assert.equal(await textOf(server.url, { cache }), expected, JSON.stringify(given));
      const [entry] = await listModels({ cache });
      assert.ok(entry.isComplete && entry.bytes === 5e6, JSON.stringify([given, entry]));
      server.state.onRequest = (_, response) => response.destroy() || true;
      assert.equal(await textOf(server.url, { cache }), expected);
    });
});

test('an abort ends a download whose body neither goes on nor fails', async () => {
  const cache = await newFolder();
  const [url, real] = ['http://localhost:1/model.gguf', globalThis.fetch];
  const body = new ReadableStream({ start: (controller) => controller.enqueue(model.slice(0, 9000)) });
  globalThis.fetch = async () => new Response(body, { headers: { 'content-length': String(model.length) } });
  try {
    const reason = new Error('enough');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), 100);
    const aborted = downloadModel(url, { cache, worker: false, signal: controller.signal });
    await assert.rejects(aborted, (error) => error === reason);
    assert.equal(await deleteModel(url, { cache }), false); // `busy` if its lock were held
  } finally {
    globalThis.fetch = real;
  }
});

for (const kind of ['tells another length with the same ETag', 'sends the whole file once, asked for a part'])
  test(`a server that ${kind} makes nothing kept old`, () => keepsWhatCame(kind));

const keepsWhatCame = (kind) =>
  withHostile(padded(9e6), {}, async (server, cache) => {
    const { state } = server;
    let lies = 0;
    const lie = (request, response) => {
      const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range) ?? [];
      if (from === undefined || lies-- <= 0) return false;
      if (kind.startsWith('sends')) {
        response.writeHead(200, { etag: state.etag, 'content-length': state.bytes.length });
        return response.end(state.bytes);
      }
      const part = state.bytes.subarray(Number(from), Number(to) + 1);
      response.writeHead(206, {
        etag: state.etag,
        'content-range': `bytes ${from}-${to}/${state.bytes.length + 1}`,
        'content-length': part.length,
      });
      return response.end(part);
    };
    state.onRequest = lie;
    state.bytesPerSecond = 4e6;
    const signal = AbortSignal.timeout(700);
    await assert.rejects(download(server, { cache, signal, connections: 2 }));
    const [{ bytes: kept }] = await listModels({ cache });
    assert.ok(kept > 1e5, `${kept} bytes are kept`);
    state.bytesPerSecond = 0;
    const before = state.sent;
    lies = 1; // the first answer, by which the download decides whether it continues
    await download(server, { cache, connections: 2 });
    assert.ok(state.sent - before <= 9e6 - kept, `${state.sent - before} bytes were sent for the rest`);
    lies = 1; // the answer whether the copy is current
    const whole = state.sent;
    await download(server, { cache });
    assert.equal(state.sent, whole);
  });

test('a copy is replaced when its server has another file, also in the middle of a download', () =>
  withHostile(padded(9e6), {}, async (server, cache) => {
    const { state } = server;
    await download(server, { cache });
    [state.bytes, state.etag] = [padded(9e6, 3), '"other"'];
    assert.equal((await download(server, { cache, sha256: sha256(state.bytes) })).etag, '"other"');
    // A hash that the copy has is enough: no request is made.
    const before = state.requests.length;
    await download(server, { cache, sha256: sha256(state.bytes) });
    assert.equal(state.requests.length, before);

    await deleteModel(server.url, { cache });
    state.bytesPerSecond = 4e6;
    const onProgress = ({ loaded }) => {
      if (loaded > 2e6) state.etag = '"third"';
    };
    const error = await refused(
      download(server, { cache, onProgress, connections: 2 }),
      'integrity',
      server.url,
    );
    assert.match(error.message, /"other".*"third"/);
    state.bytesPerSecond = 0;
    assert.equal((await download(server, { cache })).etag, '"third"');
  }));

test('a server that says nothing delays a copy by two seconds at most', () =>
  withHostile(model, {}, async (server, cache) => {
    await download(server, { cache });
    server.state.onRequest = () => true; // never answers
    const begin = performance.now();
    assert.equal(await textOf(server.url, { cache }), expected);
    const ms = performance.now() - begin;
    // The load itself takes some 0.2 s; the rest is for a busy machine.
    assert.ok(ms > 1900 && ms < 5000, `${ms} ms`);
  }));

test('bad answers are typed errors that name the URL, and nothing is kept of them', () =>
  withHostile(model, {}, async (server, cache) => {
    const { state } = server;
    const answer = (status, headers, body = '') => {
      state.onRequest = (_, response) => response.writeHead(status, headers).end(body) && true;
    };
    const html = { 'content-type': 'text/html' };
    const cases = [
      [() => answer(404, {}), 'http', '404'],
      [() => answer(401, {}), 'http', '401'],
      [() => answer(200, html, '<p>'), 'invalid-gguf', 'web page'],
      [() => answer(200, {}, 'version https://git-lfs.github.com/spec/v1\n'), 'invalid-gguf', 'LFS'],
      [() => answer(200, {}, 'no model at all'), 'invalid-gguf', 'not a GGUF'],
      [() => answer(503, { 'retry-after': '3600' }), 'http', '503'],
    ];
    for (const [prepare, code, detail] of cases) {
      prepare();
      const before = state.requests.length;
      await refused(download(server, { cache }), code, server.url, detail);
      assert.equal(state.requests.length, before + 1, `${detail} is asked for once`);
      assert.deepEqual(await listModels({ cache }), [], detail);
    }
    state.onRequest = () => false;
    const wrong = '0'.repeat(64);
    for (const run of [download, (_, options) => textOf(server.url, options)]) {
      const error = await refused(run(server, { cache, sha256: wrong }), 'integrity', server.url, wrong);
      assert.ok(error.message.includes(sha256(model)) && error.hint);
      assert.deepEqual(await listModels({ cache }), [], 'a file with another hash is dropped');
    }
    await refused(textOf(FIXTURE, { sha256: wrong }), 'integrity', FIXTURE);
    assert.equal(await textOf(model, { sha256: sha256(model).toUpperCase() }), expected);
    state.headers = { 'x-linked-etag': `"${wrong}"` };
    await refused(download(server, { cache }), 'integrity', wrong);
    state.headers = { 'x-linked-etag': `"${sha256(model)}"` };
    assert.equal((await download(server, { cache })).sha256, sha256(model));
  }));

test('failures that may pass are repeated: 503 with Retry-After, broken bodies, refused connections', () =>
  withHostile(padded(6e6), { faults: { cut: 0.5, status: 0.4 } }, async (server, cache) => {
    const times = [];
    server.state.onRequest = (request, response) => {
      if (times.push(performance.now()) > 1) return false;
      response.writeHead(503, { 'retry-after': '1' }).end();
      return true;
    };
    await download(server, { cache, sha256: sha256(server.state.bytes) });
    assert.ok(times[1] - times[0] >= 990, `Retry-After: 1, and asked again after ${times[1] - times[0]} ms`);
    // Uncached, one stream continues where it broke.
    server.state.faults = { cut: 0.5 };
    assert.equal(await textOf(server.url, { cache: 'none', sha256: sha256(server.state.bytes) }), expected);
  }));

test('an aborted download continues from the bytes that are there', () =>
  withHostile(padded(9e6), { bytesPerSecond: 8e6 }, async (server, cache) => {
    const { state } = server;
    const stop = new AbortController();
    const reason = new Error('enough');
    const onProgress = ({ loaded }) => loaded > 5e6 && stop.abort(reason);
    const aborted = download(server, { cache, signal: stop.signal, onProgress });
    await assert.rejects(aborted, (error) => error === reason);
    const [{ bytes, isComplete }] = await listModels({ cache });
    assert.ok(bytes > 4e6 && bytes < 9e6 && !isComplete, `${bytes} bytes are kept`);
    const before = state.sent;
    const reports = [];
    await download(server, {
      cache,
      sha256: sha256(state.bytes),
      onProgress: (report) => reports.push(report),
    });
    assert.equal(state.sent - before, 9e6 - bytes, 'no byte comes twice');
    const first = reports.find(({ phase }) => phase === 'download');
    assert.ok(first.loaded >= bytes, `the first report has ${first.loaded} bytes, ${bytes} were there`);
  }));

test('a torn journal is never believed: the older one is, or the download begins anew', () =>
  withHostile(padded(9e6), { bytesPerSecond: 8e6 }, async (server, cache) => {
    const { state } = server;
    const stop = new AbortController();
    const onProgress = ({ loaded }) => loaded > 5e6 && stop.abort();
    await assert.rejects(download(server, { cache, signal: stop.signal, onProgress }));
    const [{ bytes }] = await listModels({ cache });
    assert.ok(bytes > 4e6, `${bytes} bytes are kept`);
    const files = await journals(cache);
    const whole = await Promise.all(files.map((name) => readFile(path.join(cache, name))));
    for (const length of [0, 1, 7, 8, 100, -1]) {
      // One torn record: the other one counts.
      await writeFile(path.join(cache, files[0]), whole[0].subarray(0, length));
      assert.equal((await listModels({ cache })).length, 1);
      await writeFile(path.join(cache, files[0]), whole[0]);
    }
    const flipped = Buffer.from(whole[0]);
    flipped[whole[0].indexOf('ranges')] ^= 1;
    await writeFile(path.join(cache, files[0]), flipped);
    await writeFile(path.join(cache, files[1]), whole[1].subarray(0, 50));
    assert.deepEqual(await listModels({ cache }), []);
    state.bytesPerSecond = 0;
    assert.ok((await download(server, { cache, sha256: sha256(state.bytes) })).isComplete);

    // Data that is gone or short under a good journal.
    const data = (await readdir(cache)).find((name) => name.endsWith('.gguf'));
    for (const damage of [truncate, unlink]) {
      const file = (await readdir(cache)).find((name) => name.endsWith('.gguf'));
      await damage(path.join(cache, file));
      assert.equal(await textOf(server.url, { cache }), expected);
      assert.ok((await readdir(cache)).every((name) => name !== data));
    }
    await writeFile(path.join(cache, 'notes.txt'), 'mine');
    assert.equal((await listModels({ cache })).length, 1);
  }));

test('a journal names only bytes that were flushed before, and no file as whole whose hash is wrong', () =>
  withHostile(padded(9e6), { bytesPerSecond: 8e6 }, async (server, cache) => {
    const file = await open(FIXTURE);
    const handles = Object.getPrototypeOf(file);
    await file.close();
    const { write, datasync, writeFile: save } = handles;
    const written = new WeakMap();
    const flushed = new Uint8Array(9e6);
    const named = [];
    const early = [];
    let whole = 0;
    handles.write = async function (bytes, from, length, at) {
      const result = await write.call(this, bytes, from, length, at);
      written.set(this, [...(written.get(this) ?? []), [at, at + result.bytesWritten]]);
      return result;
    };
    handles.datasync = async function () {
      const ranges = written.get(this) ?? [];
      written.delete(this);
      await datasync.call(this);
      for (const [from, to] of ranges) flushed.fill(1, from, to);
    };
    handles.writeFile = function (bytes) {
      const [json = '{}'] = /\{.*"ranges".*/.exec(Buffer.from(bytes).toString()) ?? [];
      const { ranges = [], isComplete = false } = JSON.parse(json);
      if (isComplete) whole += 1;
      for (const range of ranges) {
        named.push(range);
        if (flushed.subarray(...range).includes(0)) early.push(range);
      }
      return save.call(this, bytes);
    };
    try {
      await download(server, { cache });
      assert.equal(whole, 1);
      await deleteModel(server.url, { cache });
      flushed.fill(0);
      server.state.bytesPerSecond = 0;
      await refused(download(server, { cache, sha256: '0'.repeat(64) }), 'integrity');
      assert.equal(whole, 1, 'a file is whole after its hash was compared');
    } finally {
      Object.assign(handles, { write, datasync, writeFile: save });
    }
    assert.ok(named.length > 2, `${named.length} ranges were named`);
    assert.deepEqual(early, []);
  }));

test('two processes and a load share one download; a lock of a dead process is taken over', () =>
  withHostile(padded(6e6), { bytesPerSecond: 6e6 }, async (server, cache) => {
    const children = [0, 1].map(() =>
      spawn(process.execPath, [CHILD, server.url, cache], { stdio: 'ignore' }),
    );
    const text = textOf(server.url, { cache });
    const codes = await Promise.all(children.map(async (child) => (await once(child, 'exit'))[0]));
    assert.deepEqual(codes, [0, 0]);
    assert.equal(await text, expected);
    assert.ok(server.state.sent < 6e6 + 10, `${server.state.sent} bytes were sent`);
    const name = (await journals(cache))[0].replace(/\.[ab]$/, '');
    const lock = path.join(cache, `${name}.lock`);
    await writeFile(lock, `999999999 ${hostname()} 0.5`);
    assert.equal(await deleteModel(server.url, { cache }), true);
    // Another machine's lock, renewed a moment ago, is respected.
    await writeFile(lock, `999999999 another-machine 0.5`);
    await refused(deleteModel(server.url, { cache }), 'busy', server.url);
    const waiting = download(server, { cache, signal: AbortSignal.timeout(300) });
    await assert.rejects(waiting, (error) => error.name === 'TimeoutError');
  }));

test('progress has a rate and the time left, comes every 200 ms, and ends at exactly 1', () =>
  withHostile(padded(6e6), { bytesPerSecond: 2e6 }, async (server, cache) => {
    const reports = [];
    const begin = performance.now();
    await download(server, { cache, onProgress: (report) => reports.push(report), connections: 2 });
    const seconds = (performance.now() - begin) / 1000;
    assert.ok(reports.length <= seconds * 5 + 5, `${reports.length} reports in ${seconds} s`);
    assert.ok(reports.every(({ progress, loaded, total }) => progress <= 1 && !(loaded > total)));
    assert.equal(reports.at(-1).progress, 1);
    const [middle] = reports.filter(({ bytesPerSecond }) => bytesPerSecond > 0);
    assert.ok(middle.secondsLeft > 0, JSON.stringify(middle));
    assert.ok(Math.abs(middle.secondsLeft * middle.bytesPerSecond - (middle.total - middle.loaded)) < 1);
  }));
