// SPDX-License-Identifier: Apache-2.0
// level2-memory.test.mjs: SmolLM2 stays within the promised memory bound by the package's counters. By the
// JavaScript engine's count of ArrayBuffers after a forced gc, the caller's thread and the engine worker
// grow by at most 8 MiB.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createReadStream, openAsBlob, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import { memoryBound } from '../e2e/memory-bound.mjs';
import { GREEDY, SMOLLM2, needsModel, withModel } from './level2.mjs';

const MiB = 2 ** 20;
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc');

/** Returns a stream of chunks of `step` bytes. A Blob's own stream is one chunk in Node. */
function streamOf(bytes, step) {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= bytes.length) return controller.close();
      controller.enqueue(bytes.slice(at, (at += step)));
    },
  });
}

/** Returns the bytes of this thread's live ArrayBuffers. */
function buffersNow() {
  gc();
  gc();
  return process.memoryUsage().arrayBuffers;
}

async function withServer(use) {
  const size = needsModel.skip ? 0 : statSync(SMOLLM2).size;
  const server = createServer((_, response) =>
    createReadStream(SMOLLM2).pipe(response.writeHead(200, { 'content-length': size })),
  );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://127.0.0.1:${server.address().port}/model.gguf`);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('a load and a generation stay within the memory bound from every source', needsModel, (t) =>
  withServer(async (url) => {
    const bytes = new Uint8Array(await readFile(SMOLLM2));
    const sources = {
      path: SMOLLM2,
      bytes,
      blob: await openAsBlob(SMOLLM2),
      url,
      response: await fetch(url),
      stream: streamOf(bytes, 100_000),
    };
    for (const [kind, source] of Object.entries(sources)) {
      await withModel(source, { threads: 2 }, async (model) => {
        const loaded = await model.counters();
        const [atLoad] = await memoryBound(SMOLLM2, model.info, loaded);
        assert.ok(
          loaded.wasmBytes + loaded.bufferBytesPeak <= atLoad,
          `${kind}: ${loaded.wasmBytes + loaded.bufferBytesPeak} bytes at load, the bound is ${atLoad}`,
        );
        await model
          .generate('The keeper of the lighthouse climbed the stairs. '.repeat(20), {
            ...GREEDY,
            maxTokens: 24,
          })
          .text();
        const used = await model.counters();
        assert.ok(used.kvPages >= 6, `${used.kvPages} KV pages are used, at least 6 were expected`);
        const [bound, terms] = await memoryBound(SMOLLM2, model.info, used);
        const held = used.wasmBytes + used.bufferBytesPeak;
        t.diagnostic(
          `${kind}: ${(held / 1e6).toFixed(1)} MB (buffers ${(used.bufferBytesPeak / 1e6).toFixed(1)}) of ${terms}`,
        );
        assert.ok(
          used.bufferBytesPeak > 0 && used.bufferBytesPeak <= 6 * MiB,
          `the buffers had ${used.bufferBytesPeak} bytes, 1 to ${6 * MiB} are allowed`,
        );
        assert.ok(held <= bound, `${kind}: ${held} bytes, the bound is ${bound}`);
      });
    }
  }),
);

test("the caller's thread grows by at most 8 MiB from every source", needsModel, (t) =>
  withServer(async (url) => {
    const bytes = new Uint8Array(await readFile(SMOLLM2));
    // Memory that the first load keeps allocated isn't measured.
    await withModel(bytes.subarray(), { threads: 1 }, () => {});
    const sources = {
      path: () => SMOLLM2,
      bytes: () => bytes,
      blob: () => openAsBlob(SMOLLM2),
      url: () => url,
      response: () => fetch(url),
    };
    for (const [kind, open] of Object.entries(sources)) {
      const before = buffersNow();
      await withModel(await open(), { threads: 1 }, async (model) => {
        const loaded = buffersNow() - before;
        await model.generate('Hello', { ...GREEDY, maxTokens: 4 }).text();
        const used = buffersNow() - before;
        t.diagnostic(
          `${kind}: ${(loaded / MiB).toFixed(2)} MiB after the load, ${(used / MiB).toFixed(2)} after a run`,
        );
        assert.ok(loaded <= 8 * MiB && used <= 8 * MiB, kind);
      });
      assert.ok(buffersNow() - before <= 8 * MiB, `${kind}: after dispose`);
    }
  }),
);

test('the engine worker grows by at most 8 MiB', needsModel, (t) =>
  withServer(async (url) => {
    for (const source of [
      { kind: 'path', path: SMOLLM2 },
      { kind: 'url', file: { url, name: url } },
    ]) {
      const worker = new Worker(new URL('./measured-worker.mjs', import.meta.url));
      await new Promise((resolve) => worker.once('message', resolve)); // the worker listens
      const ask = (message, isAnswer) =>
        new Promise((resolve, reject) => {
          const listen = (reply) => {
            if (reply.type === 'failed' && reply.call >= 0) reject(new Error(reply.error.message));
            if (!isAnswer(reply)) return;
            worker.off('message', listen);
            resolve(reply);
          };
          worker.on('message', listen);
          worker.postMessage(message);
        });
      const memory = async () => (await ask('memory', (reply) => reply.type === 'memory')).arrayBuffers;
      const result = (message) =>
        ask(message, (reply) => reply.type === 'result' && reply.call === message.call);
      const before = await memory();
      await result({ op: 'load', call: 0, source, options: { threads: 1 } });
      const loaded = (await memory()) - before;
      await result({ op: 'logits', call: 1, ids: [1, 2, 3], all: false });
      const used = (await memory()) - before;
      const { value } = await result({ op: 'counters', call: 2 });
      t.diagnostic(
        `${source.kind}: ${(loaded / MiB).toFixed(2)} MiB after the load, ${(used / MiB).toFixed(2)} after a run; counted at most ${(value.bufferBytesPeak / MiB).toFixed(2)}`,
      );
      assert.ok(loaded <= 8 * MiB && used <= 8 * MiB);
      await result({ op: 'dispose', call: 3 });
      await worker.terminate();
    }
  }),
);

test(
  "a model that is disposed of is released: the memory of eight loads in turn doesn't add up",
  needsModel,
  async (t) => {
    const resident = [];
    for (let i = 0; i < 8; i++) {
      await withModel(SMOLLM2, { threads: 1, worker: i % 2 === 0 }, (model) =>
        model.generate('Hello', { ...GREEDY, maxTokens: 2 }).text(),
      );
      gc();
      await new Promise((resolve) => setTimeout(resolve, 50));
      gc();
      resident.push(process.memoryUsage().rss);
    }
    t.diagnostic(`resident after each: ${resident.map((bytes) => (bytes / MiB).toFixed(0)).join(' ')} MiB`);
    assert.ok(
      resident.at(-1) - resident[1] < 150 * MiB,
      'the process may grow by at most 150 MiB, and a model needs 105 MiB',
    );
  },
);
