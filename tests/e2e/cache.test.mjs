// SPDX-License-Identifier: Apache-2.0
// cache.test.mjs: the cache in Chromium: continued after a reload, shared by two tabs, listed, deleted, full;
// in the origin's private directory by a worker and by a page's own thread, and in the Cache API.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createReadStream, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { sha256, startHostile } from '../ts/hostile-server.mjs';
import { MODEL, needs, openPage, root, withBrowser } from './browser.mjs';

const FIXTURE = 'tests/golden/q4_1-smollm.gguf';
const BYTES = 24_000_001;
const TYPES = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.html': 'text/html',
  '.wasm': 'application/wasm',
};
const ISOLATED = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};

/** A model with bytes behind its last tensor, so that its download takes a while. */
async function longModel() {
  const bytes = new Uint8Array(BYTES);
  bytes.set(await readFile(path.join(root, FIXTURE)));
  for (let i = 2_000_000; i < BYTES; i++) bytes[i] = (i * 31) ^ (i >> 8);
  return bytes;
}

/** The project's files and, as model.gguf, `bytes` from the hostile server. */
async function withModelServer(given, use) {
  const server = await startHostile(given.bytes ?? (await longModel()), {
    bytesPerSecond: 6e6,
    ...given,
    onRequest(request, response) {
      const { pathname } = new URL(request.url, 'http://x');
      if (pathname === '/model.gguf') {
        if (!server.state.isDown) return false;
        response.destroy();
        return true;
      }
      const file = path.join(root, pathname);
      const size = statSync(file, { throwIfNoEntry: false })?.size;
      const type = TYPES[path.extname(file)] ?? 'application/octet-stream';
      if (size === undefined) response.writeHead(404).end();
      else {
        response.writeHead(200, { 'content-type': type, 'content-length': size, ...ISOLATED });
        createReadStream(file).pipe(response);
      }
      return true;
    },
  });
  try {
    await use(server);
  } finally {
    await server.close();
  }
}

const blank = (server) => `${server.url.replace('/model.gguf', '')}/tests/e2e/blank.html`;
const until = async (isTrue) => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20));
};

/** Runs in the page: loads, generates, and returns the text and the phases. */
async function load(options) {
  const { loadModel } = await import('/dist/index.js');
  const phases = new Set();
  const model = await loadModel('/model.gguf', { ...options, onProgress: ({ phase }) => phases.add(phase) });
  const text = await model.generate('Hello', { temperature: 0, maxTokens: 8, ignoreEos: true }).text();
  await model.dispose();
  return { text, phases: [...phases].join(' ') };
}

/** Runs in the page. */
async function list() {
  const { listModels, cacheUsage } = await import('/dist/index.js');
  return { models: await listModels(), usage: await cacheUsage() };
}

test(
  'a download continues after a reload of its page, and the model then loads without the server',
  needs(),
  (t) =>
    withModelServer({}, (server) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, blank(server));
        await page.evaluate(async () => {
          const { downloadModel } = await import('/dist/index.js');
          void downloadModel('/model.gguf').catch(() => {});
        });
        await until(() => server.state.sent > 12e6);
        await page.reload();
        const { models } = await page.evaluate(list);
        assert.equal(models.length, 1);
        assert.equal(models[0].isComplete, false);
        assert.ok(models[0].bytes > 0 && models[0].bytes < BYTES, `${models[0].bytes} bytes`);
        const before = server.state.sent;
        const first = await page.evaluate(load, {});
        assert.equal(first.phases, 'compile download ready');
        const again = server.state.sent - before;
        // The socket's buffers count as sent.
        assert.ok(again <= BYTES - models[0].bytes + 1e6, `${again} bytes were sent again`);
        t.diagnostic(
          `${models[0].bytes} bytes were kept of ${before} sent; ${again} were sent after the reload`,
        );

        server.state.isDown = true;
        const second = await page.evaluate(load, {});
        assert.deepEqual(second, { text: first.text, phases: 'compile read ready' });
        const { models: after, usage } = await page.evaluate(list);
        assert.ok(after[0].isComplete && after[0].bytes === BYTES && after[0].totalBytes === BYTES);
        assert.equal(after[0].source, server.url);
        assert.equal(usage.bytes, BYTES);
        assert.ok(usage.quota > BYTES);
        const deleted = await page.evaluate(async (url) => {
          const { deleteModel } = await import('/dist/index.js');
          return [await deleteModel(url), await deleteModel(url)];
        }, server.url);
        assert.deepEqual(deleted, [true, false]);
        assert.deepEqual((await page.evaluate(list)).models, []);
        assert.deepEqual(
          page.faults.filter((fault) => !/Failed to load resource/.test(fault)),
          [],
        );
      }),
    ),
);

test('a storage that never opens a file is given up: the model loads without it', needs(), () =>
  withModelServer({ bytesPerSecond: 60e6 }, (server) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, blank(server));
      const workerUrl = '/tests/e2e/stuck-storage.mjs';
      const { text } = await page.evaluate(load, { workerUrl, threads: 1 });
      assert.equal(text, (await page.evaluate(load, { threads: 1, cache: 'none' })).text);
      assert.ok(text.length > 0);
      assert.deepEqual((await page.evaluate(list)).models, []);
    }),
  ),
);

test('two tabs that load the same model at once download it once', needs(), (t) =>
  withModelServer({}, (server) =>
    withBrowser(async (browser) => {
      const context = await browser.newContext();
      const pages = [await openPage(context, blank(server)), await openPage(context, blank(server))];
      const [one, other] = await Promise.all(pages.map((page) => page.evaluate(load, {})));
      assert.equal(one.text, other.text);
      assert.ok(server.state.sent < BYTES + 1e6, `${server.state.sent} bytes were sent`);
      // Both tabs read the copy at the same time.
      const texts = await Promise.all(pages.map((page) => page.evaluate(load, {})));
      for (const { text, phases } of texts)
        assert.deepEqual([text, phases], [one.text, 'compile read ready']);
      t.diagnostic(`${server.state.sent} bytes sent to two tabs, the file has ${BYTES}`);
    }),
  ),
);

test(
  'the places in which a page keeps a model give the same text, and one continues what another began',
  needs(),
  () =>
    withModelServer({ bytesPerSecond: 2e7 }, (server) =>
      withBrowser(async (browser) => {
        const texts = new Set();
        const places = {
          'pieces in the private directory': async (page) => page.evaluate(load, { worker: false }),
          'the Cache API': async (page) => {
            await page.evaluate(() => {
              navigator.storage.getDirectory = () => Promise.reject(new Error('none'));
            });
            return page.evaluate(load, { worker: false });
          },
        };
        for (const [place, first] of Object.entries(places)) {
          const context = await browser.newContext();
          const page = await openPage(context, blank(server));
          server.state.isDown = false;
          const { text, phases } = await first(page);
          assert.equal(phases, 'compile download ready', place);
          texts.add(text);
          server.state.isDown = true;
          const again = await page.evaluate(load, { worker: false });
          assert.deepEqual(again, { text, phases: 'compile read ready' }, place);
          const { models } = await page.evaluate(list);
          assert.ok(models.length === 1 && models[0].isComplete && models[0].bytes === BYTES, place);
          await context.close();
        }
        // A worker continues a page's pieces, in place, and the page reads both.
        server.state.isDown = false;
        server.state.bytesPerSecond = 6e6;
        const page = await openPage(browser, blank(server));
        await page.evaluate(async () => {
          const { downloadModel } = await import('/dist/index.js');
          const stop = new AbortController();
          const onProgress = ({ loaded }) => loaded > 14e6 && stop.abort();
          await downloadModel('/model.gguf', { worker: false, signal: stop.signal, onProgress }).catch(
            () => {},
          );
        });
        const { models } = await page.evaluate(list);
        assert.ok(models[0].bytes > 0 && !models[0].isComplete, 'pieces are kept');
        const before = server.state.sent;
        texts.add((await page.evaluate(load, {})).text);
        assert.ok(server.state.sent - before <= BYTES - models[0].bytes + 1e6);
        server.state.isDown = true;
        texts.add((await page.evaluate(load, { worker: false })).text);
        texts.add((await page.evaluate(load, {})).text);
        assert.equal(texts.size, 1);
      }),
    ),
);

test(
  "a full disk: a load goes on without the cache, and downloadModel is refused as 'quota' with a hint",
  needs(),
  () =>
    withModelServer({ bytesPerSecond: 0 }, (server) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, blank(server));
        const { text } = await page.evaluate(load, { cache: 'none' });
        const session = await page.context().newCDPSession(page);
        const { origin } = new URL(server.url);
        await session.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 9e6 });
        for (const gzip of [false, true]) {
          // With a content encoding the length is unknown, and the disk is full in the middle.
          server.state.gzip = gzip;
          const error = await page.evaluate(async () => {
            const { downloadModel } = await import('/dist/index.js');
            return downloadModel('/model.gguf').then(
              () => 'done',
              ({ code, message, hint }) => ({ code, message, hint }),
            );
          });
          assert.equal(error.code, 'quota', JSON.stringify(error));
          assert.match(error.hint, /deleteModel/);
          assert.equal((await page.evaluate(load, {})).text, text);
        }
        const { usage } = await page.evaluate(list);
        assert.ok(usage.bytes < 9e6);
      }),
    ),
);

test('a browser checks the SHA-256 of a download, and drops a file that has another', needs(), () =>
  withModelServer({ bytesPerSecond: 0 }, (server) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, blank(server));
      const [error, models, model] = await page.evaluate(async (sha256) => {
        const { downloadModel, listModels } = await import('/dist/index.js');
        const refused = await downloadModel('/model.gguf', { sha256: '0'.repeat(64) }).catch((e) => ({
          code: e.code,
          message: e.message,
        }));
        return [refused, await listModels(), await downloadModel('/model.gguf', { sha256 })];
      }, sha256(server.state.bytes));
      assert.equal(error.code, 'integrity');
      assert.ok(error.message.includes(sha256(server.state.bytes)), error.message);
      assert.deepEqual(models, []);
      assert.equal(model.sha256, sha256(server.state.bytes));
    }),
  ),
);

test("a second load of SmolLM2's 100 MB is from the cache", needs(MODEL), async (t) => {
  const bytes = new Uint8Array(await readFile(path.join(root, MODEL)));
  await withModelServer({ bytes, bytesPerSecond: 0 }, (server) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, blank(server));
      const first = await page.evaluate(load, {});
      const times = [];
      for (let i = 0; i < 3; i++) {
        await page.reload();
        times.push(
          await page.evaluate(async () => {
            const { loadModel } = await import('/dist/index.js');
            const begin = performance.now();
            const model = await loadModel('/model.gguf');
            const loaded = performance.now() - begin;
            for await (const { text } of model.generate('Hello', { temperature: 0, maxTokens: 8 })) {
              void text;
              break;
            }
            const token = performance.now() - begin;
            await model.dispose();
            return { loaded, token };
          }),
        );
      }
      t.diagnostic(
        `second loads: ${times.map(({ loaded, token }) => `loaded ${loaded.toFixed(0)} ms, first token ${token.toFixed(0)} ms`).join('; ')}`,
      );
      assert.ok(server.state.sent < bytes.length + 1e6);
      const again = await page.evaluate(load, {});
      assert.deepEqual(again, { text: first.text, phases: 'compile read ready' });
    }),
  );
});
