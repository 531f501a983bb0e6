// SPDX-License-Identifier: Apache-2.0
// level2-load.test.mjs: every kind of source, progress, aborts at every phase, and bad input: each a
// ChordError with the right code, and the next load works.
import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { openAsBlob } from 'node:fs';
import { readFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { gzipSync } from 'node:zlib';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { estimateModel, loadModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const bytes = new Uint8Array(await readFile(FIXTURE));
const longer = new Uint8Array(bytes.length + 130_000);
longer.set(bytes);
const zipped = gzipSync(bytes);
/** What a web server of a clone without Git LFS delivers. */
const POINTER = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 42\n`;
let expected, folder, server, address;
let openConnections = 0;
/** Waits without a limit. The runner names a test that hangs. */
const until = async (isTrue) => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
};

function countOpen(response) {
  openConnections += 1;
  response.on('close', () => {
    openConnections -= 1;
  });
}

/** The server's answers, by path. */
const answers = {
  '/model.gguf': (response) => response.writeHead(200, { 'content-length': bytes.length }).end(bytes),
  '/chunked.gguf': (response) => response.writeHead(200).end(bytes), // no content-length
  '/longer.gguf': (response) => {
    // no content-length, and bytes after the last tensor
    const send = (at) =>
      at < longer.length &&
      !response.destroyed &&
      response.write(longer.subarray(at, at + 50_000), () => setTimeout(send, 1, at + 50_000));
    response.writeHead(200);
    send(0);
  },
  '/zipped.gguf': (response) =>
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': zipped.length }).end(zipped),
  '/page.gguf': (response) =>
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<p>not here'),
  '/untyped.gguf': (response) => response.writeHead(200).end('\n<html><body>log in first</body></html>'),
  '/pointer.gguf': (response) => response.writeHead(200).end(POINTER),
  '/truncated.gguf': (response) =>
    response
      .writeHead(200, { 'content-length': bytes.length >> 1 })
      .end(bytes.subarray(0, bytes.length >> 1)),
  '/broken.gguf': (response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    response.write(bytes.subarray(0, 100000), () => response.destroy());
  },
  '/slow.gguf': (response) => {
    response.writeHead(200, { 'content-length': bytes.length }).write(bytes.subarray(0, 100000));
    countOpen(response);
  },
  '/bad.gguf': (response) => {
    response.writeHead(200).write(new Uint8Array(5000)); // the rest never comes
    countOpen(response);
  },
  '/silent.gguf': (response) => countOpen(response),
  '/empty.gguf': (response) => response.writeHead(200, { 'content-length': 0 }).end(),
  '/forbidden.gguf': (response) => response.writeHead(403).end('no'),
};

before(async () => {
  expected = await withModel(FIXTURE, {}, (model) => model.generate('Hello', GREEDY).text());
  folder = await mkdtemp(path.join(tmpdir(), 'chord-'));
  server = createServer((request, response) =>
    (answers[request.url] ?? ((other) => other.writeHead(404).end('not here')))(response),
  );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  address = `http://127.0.0.1:${server.address().port}`;
});
after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true });
});

const stillWorks = async (options = {}) =>
  assert.equal(
    await withModel(FIXTURE, options, (model) => model.generate('Hello', GREEDY).text()),
    expected,
  );
const streamOf = (data, step) => {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= data.length) return controller.close();
      controller.enqueue(data.slice(at, at + step));
      at += step;
    },
  });
};

test('every kind of source loads the same model, in a worker and without', async () => {
  const padded = new Uint8Array(bytes.length + 300);
  padded.set(bytes, 100);
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  const sources = {
    'a path': () => FIXTURE,
    'a relative path': () => path.relative(process.cwd(), FIXTURE),
    'a file URL': () => pathToFileURL(FIXTURE),
    'a file URL as a string': () => pathToFileURL(FIXTURE).href,
    'an http URL': () => `${address}/model.gguf`,
    'an http URL without length': () => new URL('/chunked.gguf', address),
    'an http URL with content encoding': () => `${address}/zipped.gguf`,
    'a Blob': () => new Blob([bytes.subarray(0, 1000), bytes.subarray(1000)]),
    'a File': () => new File([bytes], 'tiny.gguf'),
    'a Blob of a file': () => openAsBlob(FIXTURE),
    'a file handle': () => ({ getFile: async () => new File([bytes], 'tiny.gguf') }),
    'an ArrayBuffer': () => bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length),
    'a Uint8Array': () => bytes,
    'a Buffer': () => readFile(FIXTURE),
    'a DataView in the middle of a buffer': () => new DataView(padded.buffer, 100, bytes.length),
    'shared memory': () => shared,
    'a Response': () => fetch(`${address}/model.gguf`),
    'a Response without a URL': () => new Response(bytes),
    'a ReadableStream': () => streamOf(bytes, 70001),
    'a ReadableStream of single bytes at first': () => {
      const small = [...bytes.subarray(0, 3000)].map((byte) => Uint8Array.of(byte));
      return new ReadableStream({
        start(controller) {
          for (const chunk of [...small, bytes.slice(3000)]) controller.enqueue(chunk);
          controller.close();
        },
      });
    },
    'a data URL': () => `data:application/octet-stream;base64,${Buffer.from(bytes).toString('base64')}`,
    'a blob URL': () => URL.createObjectURL(new Blob([bytes])),
  };
  for (const options of [{}, { worker: false }]) {
    for (const [kind, open] of Object.entries(sources)) {
      const text = await withModel(await open(), options, (model) => model.generate('Hello', GREEDY).text());
      assert.equal(text, expected, kind);
    }
  }
  assert.equal(bytes.byteLength, padded.length - 300, "the caller's bytes must not be detached");
});

test("the caller's bytes are neither detached nor changed", async () => {
  const copy = bytes.slice();
  await withModel(copy, {}, () => {});
  assert.deepEqual(copy, bytes);
});

test('progress names the phases in order, counts every byte and never decreases', async () => {
  for (const [source, phase, knowsTotal] of [
    [FIXTURE, 'read', true],
    [`${address}/model.gguf`, 'download', true],
    [`${address}/chunked.gguf`, 'download', false],
    [bytes, 'read', true],
  ]) {
    const reports = [];
    const onProgress = (progress) => reports.push(progress);
    await withModel(source, { onProgress, cache: 'none' }, () => {});
    const phases = reports.map((report) => report.phase).filter((name, i, all) => name !== all[i - 1]);
    assert.deepEqual(phases, ['compile', phase, 'ready']);
    for (let i = 1; i < reports.length; i++) {
      assert.ok(
        reports[i].progress >= reports[i - 1].progress && reports[i].loaded >= reports[i - 1].loaded,
        JSON.stringify(reports),
      );
    }
    assert.ok(reports.every((report) => report.progress >= 0 && report.progress <= 1));
    const last = reports.at(-1);
    assert.equal(last.progress, 1);
    assert.equal(last.loaded, bytes.length);
    if (knowsTotal) assert.equal(last.total, bytes.length);
    if (typeof source === 'string') assert.equal(last.file, source);
  }
});

test('progress never reports more than the total, and a known total never decreases or disappears', async () => {
  const sources = {
    'a URL without length': () => `${address}/chunked.gguf`,
    'a URL without length, with bytes after the last tensor': () => `${address}/longer.gguf`,
    'a URL with content encoding': () => `${address}/zipped.gguf`,
    'a stream in large pieces': () => streamOf(longer, longer.length),
    'a stream in pieces': () => streamOf(longer, 10_000),
    bytes: () => longer,
  };
  for (const [kind, open] of Object.entries(sources)) {
    const reports = [];
    await withModel(open(), { onProgress: (progress) => reports.push(progress) }, () => {});
    for (const [i, { phase, loaded, total, progress }] of reports.entries()) {
      const where = `${kind}: ${JSON.stringify(reports[i])} after ${JSON.stringify(reports[i - 1])}`;
      assert.ok(total === undefined ? progress === 0 : loaded <= total, where);
      if (total !== undefined && phase !== 'ready') assert.ok(progress <= loaded / total, where);
      if (i > 0 && reports[i - 1].total !== undefined) assert.ok(total >= reports[i - 1].total, where);
    }
    assert.ok(reports.at(-1).total >= bytes.length, kind);
    assert.equal(reports.at(-1).progress, 1);
  }
});

test('a throw in onProgress ends the load with that error', async () => {
  const mine = new Error('mine');
  for (const options of [{}, { worker: false }]) {
    await assert.rejects(
      loadModel(FIXTURE, {
        ...options,
        onProgress: () => {
          throw mine;
        },
      }),
      (error) => error === mine,
    );
    await stillWorks(options);
  }
});

test('an async onProgress that rejects ends the load with that error', async () => {
  const mine = new Error('mine');
  for (const options of [{}, { worker: false }])
    for (const load of [loadModel, estimateModel]) {
      const reject = (phase) => async (progress) => {
        if (progress.phase === phase) throw mine;
      };
      const is = (error) => error === mine;
      await assert.rejects(load(FIXTURE, { ...options, onProgress: reject('compile') }), is);
      if (load === loadModel)
        await assert.rejects(load(FIXTURE, { ...options, onProgress: reject('ready') }), is);
      await stillWorks(options);
    }
});

test("an abort ends the load at every phase with the signal's reason, closes its source, and the next load works", async () => {
  const reason = new Error('enough');
  const is = (error) => error === reason;
  for (const options of [{}, { worker: false }]) {
    await assert.rejects(loadModel(FIXTURE, { ...options, signal: AbortSignal.abort(reason) }), is);
    for (const phase of ['compile', 'read', 'ready']) {
      const controller = new AbortController();
      const onProgress = (progress) => progress.phase === phase && controller.abort(reason);
      await assert.rejects(
        loadModel(FIXTURE, { ...options, signal: controller.signal, onProgress }),
        is,
        phase,
      );
    }
    for (const url of ['/slow.gguf', '/silent.gguf']) {
      const controller = new AbortController();
      const load = loadModel(address + url, { ...options, signal: controller.signal });
      load.catch(() => {});
      await until(() => openConnections === 1);
      controller.abort(reason);
      await assert.rejects(load, is, url);
      await until(() => openConnections === 0);
    }
    let isCancelled = false;
    const controller = new AbortController();
    const silent = new ReadableStream({
      pull: () => new Promise(() => {}),
      cancel: () => {
        isCancelled = true;
      },
    });
    setTimeout(() => controller.abort(reason), 50);
    await assert.rejects(loadModel(silent, { ...options, signal: controller.signal }), is);
    assert.ok(isCancelled, 'the stream must be cancelled');
    await stillWorks(options);
  }
});

test('bad bytes are invalid-gguf from every kind of source, and the next load works', async () => {
  const header = (...fields) => {
    const view = new DataView(new ArrayBuffer(100));
    view.setUint32(0, 0x46554747, true); // 'GGUF'
    fields.forEach(([offset, kind, value]) => view[kind](offset, value, true));
    return new Uint8Array(view.buffer);
  };
  const bad = {
    empty: new Uint8Array(),
    zeros: new Uint8Array(5000),
    text: new TextEncoder().encode('this is no model\n'.repeat(50)),
    'a count of 2^63 tensors in 100 bytes': header(
      [4, 'setUint32', 3],
      [8, 'setBigUint64', 2n ** 63n],
      [16, 'setBigUint64', 1n],
    ),
    'a count of 2^63 keys in 100 bytes': header(
      [4, 'setUint32', 3],
      [8, 'setBigUint64', 1n],
      [16, 'setBigUint64', 2n ** 63n],
    ),
    'a key of 2^63 bytes': header(
      [4, 'setUint32', 3],
      [8, 'setBigUint64', 1n],
      [16, 'setBigUint64', 1n],
      [24, 'setBigUint64', 2n ** 63n],
    ),
    'version 99': header([4, 'setUint32', 99]),
    'a web page': new TextEncoder().encode('<!doctype html><html></html>'),
  };
  for (const [name, data] of Object.entries(bad)) {
    const file = path.join(folder, 'bad.gguf');
    await writeFile(file, data);
    await refused(loadModel(file), 'invalid-gguf', file);
    await refused(loadModel(data), 'invalid-gguf');
    await refused(loadModel(new File([data], 'bad.gguf')), 'invalid-gguf', 'bad.gguf');
    await refused(loadModel(streamOf(data, 7), { worker: false }), 'invalid-gguf');
    await refused(loadModel(new Response(data)), 'invalid-gguf');
    assert.ok(name);
  }
  await stillWorks();
});

test('a Git LFS pointer is refused by that name, with a hint, from a path and from bytes', async () => {
  const file = path.join(folder, 'pointer.gguf');
  await writeFile(file, POINTER);
  for (const [source, name] of [
    [file, file],
    [new TextEncoder().encode(POINTER), 'the given bytes'],
  ]) {
    const { hint } = await refused(loadModel(source), 'invalid-gguf', name, 'Git LFS pointer');
    assert.match(hint, /git lfs pull/);
  }
});

test('a file cut at any byte is invalid-gguf, and the message says what is missing', async () => {
  const cuts = new Set([1, 3, 4, 8, 23, 24, 100, 5000, bytes.length - 1]);
  let random = 1;
  while (cuts.size < 40) cuts.add((random = (random * 48271) % 2147483647) % bytes.length);
  let named = 0;
  for (const cut of cuts) {
    // A source that knows its length is refused early. A source that doesn't is refused at its end.
    const early = await refused(loadModel(bytes.subarray(0, cut), { threads: 1 }), 'invalid-gguf');
    const late = await refused(
      loadModel(streamOf(bytes.subarray(0, cut), 50000), { threads: 1, worker: cut % 2 === 0 }),
      'invalid-gguf',
    );
    for (const { message } of [early, late]) if (/tensor|header|byte/.test(message)) named += 1;
  }
  assert.equal(named, 2 * cuts.size);
  await stillWorks();
});

test('a bad answer of the network is http, io or invalid-gguf, and the message names the URL', async () => {
  for (const options of [{}, { worker: false }]) {
    const cases = [
      ['/missing.gguf', 'http', '404'],
      ['/forbidden.gguf', 'http', '403'],
      ['/page.gguf', 'invalid-gguf', 'web page'],
      ['/untyped.gguf', 'invalid-gguf', 'web page'],
      ['/pointer.gguf', 'invalid-gguf', 'Git LFS pointer'],
      ['/truncated.gguf', 'invalid-gguf', ''],
      ['/empty.gguf', 'invalid-gguf', ''],
      ['/broken.gguf', 'io', ''],
    ];
    for (const [url, code, detail] of cases)
      await refused(loadModel(address + url, options), code, address + url, detail);
    await refused(
      fetch(`${address}/missing.gguf`).then((response) => loadModel(response, options)),
      'http',
      '404',
      `${address}/missing.gguf`,
    );
    await refused(loadModel('http://127.0.0.1:1/model.gguf', options), 'io', 'http://127.0.0.1:1/model.gguf');
    await refused(loadModel(path.join(folder, 'nothing.gguf'), options), 'io', 'nothing.gguf');
    await refused(loadModel(folder, options), 'io', folder);
    await refused(loadModel(`${address}/bad.gguf`, options), 'invalid-gguf', `${address}/bad.gguf`);
    await until(() => openConnections === 0);
    const broken = new ReadableStream({
      pull(controller) {
        controller.error(new Error('unplugged'));
      },
    });
    await refused(loadModel(broken, options), 'io', 'unplugged');
    await stillWorks(options);
  }
});

test('a wrong address of a file of the package is an io error that names the option; a wrong threadUrl is a reason', async () => {
  const away = new URL('none.js', import.meta.url);
  const noModule = new URL('header.mjs', import.meta.url);
  for (const workerUrl of [away, noModule])
    await refused(loadModel(FIXTURE, { workerUrl }), 'io', `workerUrl ${workerUrl.href}`);
  await refused(loadModel(FIXTURE, { wasmUrl: away }), 'io', 'none.js');
  await refused(loadModel(FIXTURE, { wasmUrl: noModule }), 'io', 'wasmUrl', noModule.href);
  for (const threadUrl of [away, noModule])
    await withModel(FIXTURE, { threadUrl, threads: 2 }, (model) => {
      assert.equal(model.info.threads, 1);
      assert.match(model.info.threadsReason, /^1 thread: .*threadUrl/);
    });
});

test("values that aren't a source and wrong options are invalid-argument; backend webgpu is no-webgpu", async () => {
  const locked = new Response(bytes);
  locked.body.getReader();
  const used = new Response(bytes);
  await used.arrayBuffer();
  const detached = bytes.slice().buffer;
  structuredClone(detached, { transfer: [detached] });
  for (const source of [
    undefined,
    null,
    5,
    {},
    '',
    [],
    [[FIXTURE]],
    () => {},
    'hf:owner',
    'hf:owner/repo:',
    locked,
    used,
    detached,
    streamOf(['no bytes'], 1),
  ])
    await refused(loadModel(source), 'invalid-argument');
  for (const [name, value] of [
    ['threads', 0],
    ['threads', 1.5],
    ['threads', 65],
    ['threads', '2'],
    ['contextLength', -1],
    ['contextLength', 1e12],
    ['kvType', 'q1'],
    ['backend', 'gpu'],
    ['gpu', 'backend=vulkan'],
    ['gpu', [5]],
    ['webgpuUrl', 5],
    ['cache', ''],
    ['cache', 5],
    ['sha256', 'abc'],
    ['sha256', 5],
    ['connections', 0],
    ['connections', 17],
    ['cache', {}],
    ['cache', { getDirectoryHandle() {} }],
    ['cache', { getDirectoryHandle() {}, getFileHandle() {}, keys() {}, removeEntry() {} }],
    ['worker', 'yes'],
    ['signal', 5],
    ['headers', 5],
    ['headers', { 'no name': 'x' }],
    ['headers', { range: 'bytes=0-1' }],
    ['credentials', 'maybe'],
    ['fetch', 'x'],
    ['hub', 5],
    ['hub', { endpoint: 'ftp://x' }],
    ['hub', { token: 'a\nb' }],
    ['onProgress', 5],
    ['thread', 2],
  ])
    await refused(loadModel(FIXTURE, { [name]: value }), 'invalid-argument', name);
  const error = await refused(
    loadModel(FIXTURE, { backend: 'webgpu', gpu: ['adapter=there is no such adapter'] }),
    'no-webgpu',
  );
  assert.match(error.message, /adapter/);
  await withModel(
    FIXTURE,
    { backend: 'cpu', cache: 'none', kvType: 'f32', contextLength: 100, threads: undefined },
    (model) => {
      assert.equal(model.info.backend, 'cpu');
      assert.equal(model.info.contextLength, 100);
      assert.match(model.info.backendReason, /CPU.*thread.*wasm32/);
    },
  );
});

test('a hundred failed loads and twenty good ones leave at most two handles open', async (t) => {
  const threadsBefore = process._getActiveHandles?.().length ?? 0;
  for (let i = 0; i < 100; i++) await refused(loadModel(bytes.subarray(0, 1000 + i)), 'invalid-gguf');
  for (let i = 0; i < 20; i++) await stillWorks();
  const handles = process._getActiveHandles?.().length ?? 0;
  t.diagnostic(`${handles - threadsBefore} handles more than before`);
  assert.ok(handles - threadsBefore <= 2);
});

test('an unknown pre-tokenizer is refused by name, and read as `default` on request', async () => {
  const source = Uint8Array.from(bytes);
  const at = Buffer.from(source.buffer).indexOf('tokenizer.ggml.pre') + 'tokenizer.ggml.pre'.length + 12;
  source[at] = 'x'.charCodeAt(0); // smollm
  await assert.rejects(loadModel(source.slice(), { backend: 'cpu' }), {
    code: 'unsupported-tokenizer',
    hint: /unknownPreTokenizer: 'default' \(--any-pre\)/,
    message: /'xmollm'/,
  });
  await assert.rejects(loadModel(source.slice(), { backend: 'cpu', unknownPreTokenizer: 'guess' }), {
    code: 'invalid-argument',
    message: /unknownPreTokenizer/,
  });
  const model = await loadModel(source, { backend: 'cpu', unknownPreTokenizer: 'default' });
  assert.ok((await model.tokenize('1234 words')).length > 2);
  await model.dispose();
});
