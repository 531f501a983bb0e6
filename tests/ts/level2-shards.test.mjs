// SPDX-License-Identifier: Apache-2.0
// level2-shards.test.mjs: a model in several files, from every kind of source.
import assert from 'node:assert/strict';
import { openAsBlob } from 'node:fs';
import { copyFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import test from 'node:test';
import init, { WasmModel, deleteModel, downloadModel, listModels } from '../../dist/index.js';
import { refused, withModel } from './level2.mjs';

const GOLDEN = fileURLToPath(new URL('../golden', import.meta.url));
const WHOLE = join(GOLDEN, 'f16-fused.gguf');
const shard = (no, stem = 'f16-fused') => join(GOLDEN, `shards/${stem}-0000${no}-of-00003.gguf`);
const SHARDS = [1, 2, 3].map((no) => shard(no));
const SMALL_FIRST = [1, 2, 3].map((no) => shard(no, 'f16-fused-small-first'));
const IDS = [1, 2, 3, 250, 4, 5];

const logitsOf = (source, options = {}) =>
  withModel(source, { threads: 1, cache: 'none', ...options }, async (model) =>
    Buffer.from((await model.logits(IDS, { all: true })).buffer),
  );
const whole = await logitsOf(WHOLE);

async function sameLogits(source, options) {
  assert.ok(
    (await logitsOf(source, options)).equals(whole),
    'the logits differ from those of the whole file',
  );
}

const files = (paths) =>
  Promise.all(paths.map(async (path) => new File([await readFile(path)], basename(path))));
const bytes = (paths) => Promise.all(paths.map(async (path) => new Uint8Array(await readFile(path))));

/** Serves the files of `folder`. `use` gets the address and the list of requests. */
async function withFiles(folder, use) {
  const requests = [];
  const server = createServer(async (request, response) => {
    requests.push(request.url);
    try {
      const body = await readFile(join(folder, decodeURIComponent(request.url.split('?')[0])));
      response.writeHead(200, { 'content-length': body.byteLength }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${server.address().port}`, requests);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test('a list of shards has the logits of the whole file, whatever the sources are', async () => {
  await sameLogits(SHARDS);
  await sameLogits(SMALL_FIRST);
  await sameLogits(await files(SHARDS));
  await sameLogits(await bytes(SMALL_FIRST));
  await sameLogits(await Promise.all(SHARDS.map((path) => openAsBlob(path))));
  await sameLogits((await files(SHARDS)).map((file) => file.stream()));
  await sameLogits((await files(SHARDS)).map((file) => new Response(file)));
  await sameLogits([SHARDS[0], pathToFileURL(SHARDS[1]), (await bytes(SHARDS))[2]]);
  await sameLogits(SHARDS, { worker: false });
  await sameLogits([WHOLE]);
});

test('the name of any shard is enough, as a path or a URL', async () => {
  for (const path of SHARDS) await sameLogits(path);
  await sameLogits(pathToFileURL(SMALL_FIRST[1]));
  await withFiles(join(GOLDEN, 'shards'), async (url, requests) => {
    await sameLogits(`${url}/${basename(SHARDS[1])}?download=true`);
    // The first file stays open. The others are closed behind their headers and opened again for their data:
    // many open requests would block each other.
    const [first, second, third] = SHARDS.map((path) => `/${basename(path)}?download=true`);
    assert.deepEqual(requests, [first, second, third, second, third]);
  });
});

test('files with the names of shards may come in any order', async () => {
  await sameLogits([SHARDS[2], SHARDS[0], SHARDS[1]]);
  await sameLogits((await files(SHARDS)).reverse());
  const [first, second, third] = await bytes(SHARDS);
  const error = await refused(
    withModel([first, third, second], {}, () => {}),
    'invalid-argument',
    'shard 2 of 3',
    "'split.no' is 2 instead of 1",
  );
  assert.match(error.hint, /all shards in a list/);
});

test('a missing, extra, foreign or damaged shard is named', async () => {
  await refused(
    withModel(SHARDS.slice(0, 2), {}, () => {}),
    'invalid-argument',
    'shard 2 of 3',
    'the file is sound',
    basename(SHARDS[1]),
  );
  await refused(
    withModel([...SHARDS, WHOLE], {}, () => {}),
    'invalid-argument',
    '4 files were given, but the model has 3',
  );
  await refused(
    withModel([WHOLE, SHARDS[1]], {}, () => {}),
    'invalid-argument',
    '2 files were given, but the model has 1',
  );
  await refused(
    withModel([SHARDS[0], WHOLE, SHARDS[2]], {}, () => {}),
    'invalid-argument',
    WHOLE,
    "lacks the key 'split.no'",
  );
  const [first, second, third] = await bytes(SHARDS);
  await refused(
    withModel([first, second, third.subarray(0, 900)], {}, () => {}),
    'invalid-gguf',
    'shard 3',
  );
  await refused(
    withModel([first, new Uint8Array(100), third], {}, () => {}),
    'invalid-gguf',
    'shard 2 of 3',
    'not a GGUF file',
  );
  await refused(
    withModel([], {}, () => {}),
    'invalid-argument',
    'an empty list',
  );
  await refused(
    withModel([first, 42], {}, () => {}),
    'invalid-argument',
    'the model source is a number',
  );
  await refused(
    withModel([[first]], {}, () => {}),
    'invalid-argument',
    'class Array',
  );
  await init();
  assert.throws(() => new WasmModel(first), { code: 'invalid-argument', message: /shard 1 of 3/ });
});

test('shards of URLs are kept one by one, and load from the cache when the server is gone', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'wasm-chord-shards-'));
  try {
    const url = await withFiles(join(GOLDEN, 'shards'), async (url) => {
      await sameLogits(`${url}/${basename(SHARDS[0])}`, { cache });
      const kept = await listModels({ cache });
      assert.deepEqual(
        kept.map(({ isComplete }) => isComplete),
        [true, true, true],
      );
      return url;
    });
    await sameLogits(`${url}/${basename(SHARDS[2])}`, { cache });
    assert.equal(await deleteModel(`${url}/${basename(SHARDS[1])}`, { cache }), true);
    assert.deepEqual(await listModels({ cache }), []);
    await withFiles(join(GOLDEN, 'shards'), async (url) => {
      const reports = [];
      const onProgress = (report) => reports.push(report);
      const model = await downloadModel(`${url}/${basename(SHARDS[1])}`, { cache, onProgress });
      assert.equal((await listModels({ cache })).length, 3);
      const sizes = (await bytes(SHARDS)).map(({ byteLength }) => byteLength);
      assert.equal(
        model.bytes,
        sizes.reduce((a, b) => a + b),
      );
      assert.equal(reports.at(-1).progress, 1);
      assert.equal(reports.filter(({ phase }) => phase === 'ready').length, 1);
    });
  } finally {
    await rm(cache, { recursive: true });
  }
  await refused(
    withModel(SHARDS, { sha256: '0'.repeat(64) }, () => {}),
    'invalid-argument',
    'sha256',
  );
});

test('a shard that is missing beside the named one is an error that names it', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'wasm-chord-shards-'));
  try {
    for (const path of SHARDS.slice(0, 2)) await copyFile(path, join(folder, basename(path)));
    await refused(
      withModel(join(folder, basename(SHARDS[0])), {}, () => {}),
      'io',
      basename(SHARDS[2]),
    );
    await withFiles(folder, (url) =>
      refused(
        withModel(`${url}/${basename(SHARDS[0])}`, { cache: 'none' }, () => {}),
        'http',
        '404',
        basename(SHARDS[2]),
      ),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('progress sums over the files and ends at the whole', async () => {
  for (const source of [SHARDS, await files(SHARDS)]) {
    const reports = [];
    await withModel(source, { onProgress: (report) => reports.push(report) }, () => {});
    const last = reports.at(-1);
    const sizes = await Promise.all(SHARDS.map(async (path) => (await readFile(path)).byteLength));
    assert.equal(
      last.total,
      sizes.reduce((a, b) => a + b),
    );
    assert.ok(last.loaded <= last.total && last.loaded > last.total - 100, `${last.loaded} of ${last.total}`);
    assert.equal(last.progress, 1);
    reports.reduce((before, report) => {
      assert.ok(report.loaded >= before.loaded && report.progress >= before.progress);
      assert.ok(report.total === undefined || report.loaded <= report.total);
      return report;
    });
  }
});

test('shards hold no more buffers than one file', async () => {
  for (const source of [
    SHARDS,
    await files(SHARDS),
    await bytes(SHARDS),
    (await files(SHARDS)).map((f) => f.stream()),
  ])
    await withModel(source, {}, async (model) => {
      const { bufferBytesPeak } = await model.counters();
      assert.ok(bufferBytesPeak > 0 && bufferBytesPeak <= 6 << 20, `${bufferBytesPeak} bytes`);
    });
});

test('an aborted load of shards ends, and the next one works', async () => {
  const stop = new AbortController();
  const stalled = new ReadableStream({ pull: () => new Promise(() => {}) });
  const [first, , third] = await bytes(SHARDS);
  const load = withModel([first, stalled, third], { signal: stop.signal }, () => {});
  setTimeout(() => stop.abort(new Error('enough')), 100);
  await assert.rejects(load, /enough/);
  await sameLogits(SHARDS);
});
