// SPDX-License-Identifier: Apache-2.0
// cache-servers.test.mjs: servers and networks that fail: what stays of a copy, how long a download waits,
// and what the errors say.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile, readdir } from 'node:fs/promises';
import { downloadModel, listModels, loadModel } from '../../dist/index.js';
import { withCache, withFastTimers } from './cached.mjs';
import { sha256 } from './hostile-server.mjs';
import { FIXTURE, refused } from './level2.mjs';

const model = new Uint8Array(await readFile(FIXTURE));
const WRONG = '0'.repeat(64);
const download = (server, options) => downloadModel(server.url, { worker: false, ...options });
const load = async (server, options) =>
  (await loadModel(server.url, { worker: false, ...options })).dispose();

/** The fixture with bytes behind its last tensor, which no load needs. */
function padded(bytes) {
  const file = new Uint8Array(bytes);
  file.set(model);
  return file;
}

const offline = (_, response) => response.destroy() || true;
const json = (_, response) =>
  response.writeHead(200, { 'content-type': 'application/json', etag: '"j"' }).end('{"login":"required"}') &&
  true;

/** Asserts that the copy of before is listed whole, and can be loaded without its server. */
async function isStillThere(server, cache, bytes) {
  const [entry, ...others] = await listModels({ cache });
  assert.equal(others.length, 0);
  assert.deepEqual([entry.isComplete, entry.bytes, entry.totalBytes], [true, bytes, bytes]);
  const { onRequest } = server.state;
  server.state.onRequest = offline;
  await load(server, { cache });
  server.state.onRequest = onRequest;
}

test("a gateway that answers in the server's place leaves a copy as it is", () =>
  withCache(model, {}, async (server, cache) => {
    await download(server, { cache });
    server.state.onRequest = json;
    await load(server, { cache });
    assert.equal((await download(server, { cache })).isComplete, true);
    await isStillThere(server, cache, model.length);
  }));

test('a copy stays until the file that replaces it is whole', () =>
  withCache(padded(9e6), {}, async (server, cache) => {
    const { state } = server;
    await download(server, { cache });
    state.bytes = padded(9.5e6);
    state.etag = '"new"';
    // The new file breaks off at once, for good.
    state.random = () => 0;
    state.onRequest = ({ headers }) => {
      state.faults = headers.range === 'bytes=0-3' ? {} : { cut: 1 };
      return false;
    };
    await refused(load(server, { cache }), 'io', server.url);
    await isStillThere(server, cache, 9e6);
    // Part of it comes.
    state.onRequest = () => false;
    state.faults = {};
    state.bytesPerSecond = 8e6;
    const stop = new AbortController();
    const onProgress = ({ loaded }) => loaded > 5e6 && stop.abort();
    await assert.rejects(download(server, { cache, signal: stop.signal, onProgress }));
    await isStillThere(server, cache, 9e6);
    const before = state.sent;
    const { etag, bytes } = await download(server, { cache });
    assert.deepEqual([etag, bytes], ['"new"', 9.5e6]);
    assert.ok(state.sent - before < 6e6, 'the part is continued');
    const data = (await readdir(cache)).filter((name) => name.endsWith('.gguf'));
    assert.equal(data.length, 1, 'the older file is gone');
  }));

test('an older file goes whatever its name begins with', () =>
  withCache(model, {}, async (server, cache) => {
    const { random } = Math;
    try {
      for (const letter of ['a', 'b', 'u']) {
        // Data files are named by random letters; journals end in .a and .b, the time of use in .used.
        Math.random = () => parseInt(letter, 36) / 36 + random() / 36;
        server.state.etag = `"of ${letter}"`;
        await download(server, { cache });
        Math.random = random;
        server.state.etag = `"after ${letter}"`;
        await download(server, { cache });
        const data = (await readdir(cache)).filter((name) => name.endsWith('.gguf'));
        assert.equal(data.length, 1, `the file whose name begins with ${letter} is gone`);
      }
    } finally {
      Math.random = random;
    }
  }));

test('a new file that is refused leaves the copy of before', () =>
  withCache(model, {}, async (server, cache) => {
    const { state } = server;
    await download(server, { cache });
    // It begins as a model does, so only the loader sees that it is none. It is whole by then.
    state.bytes = new TextEncoder().encode('GGUF{"login":"required"}');
    state.etag = '"other"';
    await refused(load(server, { cache }), 'invalid-gguf', server.url);
    await isStillThere(server, cache, model.length);
    state.headers = { 'x-linked-etag': `"${WRONG}"` };
    await refused(download(server, { cache }), 'integrity', WRONG);
    await isStillThere(server, cache, model.length);
  }));

test('a wrong sha256 leaves the copy, and the right one replaces a copy that is not it', () =>
  withCache(model, {}, async (server, cache) => {
    const { state } = server;
    await download(server, { cache });
    for (let i = 0; i < 3; i++) {
      await refused(load(server, { cache, sha256: WRONG }), 'integrity', server.url, WRONG);
      await isStillThere(server, cache, model.length);
    }
    const right = sha256(model);
    const before = state.requests.length;
    assert.equal((await download(server, { cache, sha256: right })).sha256, right);
    assert.equal(state.requests.length, before, 'the hash of the copy is known by now');
    // The copy was damaged unseen, before its hash was known.
    state.bytes = Uint8Array.from(model);
    state.bytes[model.length - 1] ^= 1;
    state.etag = '"damaged"';
    await download(server, { cache });
    state.bytes = model;
    await refused(download(server, { cache, sha256: right }), 'integrity', server.url);
    assert.equal((await download(server, { cache, sha256: right })).sha256, right);
  }));

test('an answer that is no model, or of an architecture that is not known, leaves no part behind', () =>
  withCache(padded(9e6), { bytesPerSecond: 4e6 }, async (server, cache) => {
    const { state } = server;
    const name = Buffer.from(model).indexOf('llama', Buffer.from(model).indexOf('general.architecture'));
    state.bytes.set(new TextEncoder().encode('lxmxa'), name);
    await refused(load(server, { cache, connections: 1 }), 'unsupported-architecture', server.url);
    assert.deepEqual(await readdir(cache), []);
    state.bytes = new TextEncoder().encode(`<!doctype html>${' '.repeat(9e6)}`);
    await refused(download(server, { cache, connections: 1 }), 'invalid-gguf', 'web page');
    assert.deepEqual(await readdir(cache), []);
  }));

test('a server that answers the request for a whole file with a part is an http error that says so', () =>
  withCache(model, {}, async (server, cache) => {
    const answers = [
      [416, {}, '416'],
      [206, {}, '206'],
      [206, { 'content-encoding': 'gzip' }, '206'],
    ];
    for (const [status, headers, detail] of answers)
      for (const options of [{ cache }, { cache: 'none' }]) {
        server.state.onRequest = (_, response) => response.writeHead(status, headers).end(model) && true;
        const error = await refused(load(server, options), 'http', server.url, detail);
        assert.ok(error.hint);
      }
  }));

test('the SHA-256 that a server names is checked without a cache too', () =>
  withCache(model, { headers: { 'x-linked-etag': `"${WRONG}"` } }, async (server) => {
    await refused(load(server, { cache: 'none' }), 'integrity', WRONG);
    server.state.headers = { 'x-linked-etag': `"${sha256(model)}"` };
    await load(server, { cache: 'none' });
  }));

test('a weak and a strong ETag of the same value are the same version', () =>
  withCache(padded(9e6), {}, async (server, cache) => {
    const { state } = server;
    state.onRequest = () => {
      state.etag = state.requests.length % 2 ? '"x"' : 'W/"x"';
      return false;
    };
    await download(server, { cache });
    const before = state.sent;
    await download(server, { cache });
    await download(server, { cache });
    assert.ok(state.sent - before < 10, 'the copy is current');
  }));

test('a download that has begun survives half a minute without a network; one that has not fails fast', () =>
  withCache(padded(9e6), {}, async (server, cache) => {
    const { state } = server;
    for (const options of [{ cache }, { cache: 'none' }])
      await withFastTimers(100, async (waits) => {
        let requests = 0;
        state.onRequest = offline;
        await refused(load(server, { ...options, connections: 1 }), 'io', server.url);
        const first = waits().reduce((sum, ms) => sum + (ms < 9000 ? ms : 0), 0);
        assert.ok(first < 5000, `${first} ms`);

        const headers = { etag: '"x"', 'accept-ranges': 'bytes', 'content-length': 9e6 };
        state.onRequest = (_, response) => {
          if (requests++ > 0) return offline(_, response);
          response.writeHead(200, headers).write(model.subarray(0, 1000));
          setTimeout(() => response.destroy(), 10_000);
          return true;
        };
        const error = await refused(load(server, { ...options, connections: 1 }), 'io', server.url);
        const waited = waits().reduce((sum, ms) => sum + (ms < 9000 ? ms : 0), 0);
        assert.ok(waited > 30_000 && waited < 120_000, `${waited} ms`);
        assert.ok(error.hint);
      });
  }));

test('a body that stalls and headers that never come are an io error after a bounded time', () =>
  withCache(padded(9e6), { etag: null }, async (server, cache) => {
    const { state } = server;
    for (const options of [{ cache }, { cache: 'none' }])
      await withFastTimers(100, async (waits) => {
        state.onRequest = (_, response) => response.writeHead(200).write(model.subarray(0, 1000)) || true;
        const stalled = await refused(load(server, options), 'io', server.url, 'no byte came for 60 s');
        assert.ok(stalled.hint && stalled.message.includes('byte 1000'), stalled.message);
        waits();
        state.onRequest = () => true;
        const silent = await refused(load(server, options), 'io', server.url, 'no answer came for 60 s');
        assert.ok(silent.hint);
        const most = waits().filter((ms) => ms >= 60_000);
        assert.ok(most.length <= 3, `${most.length} times a minute`);
      });
  }));

test('a body of ranges that stalls is asked for again, for three minutes at most', () =>
  withCache(padded(9e6), {}, async (server, cache) => {
    await withFastTimers(100, async (waits) => {
      const headers = { etag: '"x"', 'content-range': 'bytes 0-4194303/9000000' };
      server.state.onRequest = (_, response) => response.writeHead(206, headers).flushHeaders() || true;
      const error = await refused(download(server, { cache, connections: 1 }), 'io', 'no byte came for 30 s');
      assert.ok(!error.message.includes('broke off'), error.message);
      const stalls = waits().filter((ms) => ms === 30_000).length;
      assert.ok(stalls >= 2 && stalls <= 6, `${stalls} times half a minute`);
    });
  }));

test('errors of servers and files have a hint', () =>
  withCache(model, {}, async (server) => {
    const { state } = server;
    const hintOf = async (code, answer) => {
      state.onRequest = answer;
      const { hint } = await refused(load(server, { cache: 'none' }), code);
      assert.ok(hint, String(answer));
      return hint;
    };
    const status = (code) => (_, response) =>
      response.writeHead(code, { 'retry-after': '3600' }).end() && true;
    for (const code of [404, 410, 429, 500, 503]) await hintOf('http', status(code));
    assert.match(await hintOf('http', status(403)), /expired/);
    await hintOf('invalid-gguf', json);
    await hintOf(
      'invalid-gguf',
      (_, response) => response.writeHead(200).end(model.subarray(0, 900)) && true,
    );
    const error = await refused(loadModel(new URL('.', import.meta.url).href, { worker: false }), 'io');
    assert.ok(error.hint, 'a folder');
  }));

test('sixteen connections make Node warn of nothing', () =>
  withCache(padded(80e6), { bytesPerSecond: 40e6 }, async ({ url }, cache) => {
    const warnings = [];
    const note = (warning) => warnings.push(String(warning));
    process.on('warning', note);
    await downloadModel(url, { cache, worker: false, connections: 16 });
    await new Promise(setImmediate);
    process.off('warning', note);
    assert.deepEqual(warnings, []);
  }));
