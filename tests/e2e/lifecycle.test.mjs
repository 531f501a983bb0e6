// SPDX-License-Identifier: Apache-2.0
// lifecycle.test.mjs: how workers start and end in Chromium. No worker is left after dispose() or an aborted
// load. A worker that can't be fetched is an error with a hint.
import test from 'node:test';
import assert from 'node:assert/strict';
import { needs, openPage, withBrowser, withServer } from './browser.mjs';

const FIXTURE = '/tests/golden/q4_1-smollm.gguf';
const ROUNDS = 60;

/** Resolves to a function that lists the workers in `browser`, nested workers included. */
async function counting(browser) {
  const session = await browser.newBrowserCDPSession();
  return async () => {
    const { targetInfos } = await session.send('Target.getTargets', { filter: [{}] });
    return targetInfos
      .filter(({ type }) => type === 'worker')
      .map(({ url }) => url.replace(/.*\//, ''))
      .sort();
  };
}

/** Resolves to the workers that are left: at once if none is, else when none has ended for five seconds. */
async function settled(count) {
  let left = await count();
  for (let quiet = 0; left.length > 0 && quiet < 20; quiet++) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    const now = await count();
    if (now.length !== left.length) quiet = 0;
    left = now;
  }
  return left;
}

test(
  `no worker is left after ${ROUNDS} models with two threads are disposed of, nor after ${ROUNDS} loads are aborted`,
  needs(),
  (t) =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
        const count = await counting(browser);
        await page.evaluate(async (url) => {
          const { loadModel } = await import('/dist/index.js');
          window.model = await loadModel(url, { threads: 2 });
        }, FIXTURE);
        assert.deepEqual(await count(), ['thread.js', 'worker.js'], 'the count must include nested workers');
        await page.evaluate(() => window.model.dispose());

        const disposed = await page.evaluate(
          async ({ url, rounds }) => {
            const { loadModel } = await import('/dist/index.js');
            let longest = 0;
            for (let i = 0; i < rounds; i++) {
              const model = await loadModel(url, { threads: 2 });
              const begin = performance.now();
              await model.dispose();
              longest = Math.max(longest, performance.now() - begin);
            }
            return longest;
          },
          { url: FIXTURE, rounds: ROUNDS },
        );
        t.diagnostic(`the longest dispose() took ${disposed.toFixed(0)} ms`);
        assert.deepEqual(await settled(count), [], 'after dispose()');

        const aborted = await page.evaluate(
          async ({ url, rounds }) => {
            const { loadModel } = await import('/dist/index.js');
            let aborted = 0;
            for (let i = 0; i < rounds; i++) {
              const controller = new AbortController();
              const onProgress = ({ phase, loaded }) =>
                void ((i % 3 === 0 ? phase === 'ready' : i % 3 === 1 && loaded > 0) && controller.abort());
              if (i % 3 === 2) setTimeout(() => controller.abort(), i);
              try {
                await (await loadModel(url, { threads: 2, signal: controller.signal, onProgress })).dispose();
              } catch {
                aborted += 1;
              }
            }
            return aborted;
          },
          { url: FIXTURE, rounds: ROUNDS },
        );
        assert.ok(aborted >= ROUNDS / 2, `only ${aborted} loads were aborted`);
        assert.deepEqual(await settled(count), [], 'after aborted loads');
        assert.deepEqual(page.faults, []);
      }),
    ),
);

test('an abort ends a load at once whose helpers have not joined yet', needs(), (t) =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
      const count = await counting(browser);
      await page.evaluate(async (url) => {
        const { loadModel } = await import('/dist/index.js');
        const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
        window.aborting = new AbortController();
        // The last bytes never come.
        const stalled = new ReadableStream({ start: (to) => to.enqueue(bytes.subarray(0, -1000)) });
        window.load = loadModel(stalled, { threads: 2, signal: window.aborting.signal });
        window.load.catch(() => {});
      }, FIXTURE);
      while (!(await count()).includes('thread.js')) continue;
      await new Promise((resolve) => setTimeout(resolve, 500)); // the helper listens
      const { reason, ms } = await page.evaluate(async () => {
        const begin = performance.now();
        window.aborting.abort();
        const reason = await window.load.catch((error) => error.name);
        return { reason, ms: performance.now() - begin };
      });
      t.diagnostic(`the abort took ${ms.toFixed(0)} ms`);
      assert.equal(reason, 'AbortError');
      assert.ok(
        ms < 900,
        `the abort took ${ms} ms: a helper that stops isn't waited for until it is given up`,
      );
      assert.deepEqual(await settled(count), []);
    }),
  ),
);

test(
  "when worker.js can't be fetched, the hint names origin, bundler and policy, and worker: false works",
  needs(),
  () =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const ways = {
          'it is missing': (context) =>
            context.route('**/worker.js', (route) => route.fulfill({ status: 404, body: 'not here' })),
          'a web page comes instead': (context) =>
            context.route('**/worker.js', (route) =>
              route.fulfill({ contentType: 'text/html', body: '<!doctype html><p>app' }),
            ),
          'a policy forbids workers': (context) =>
            context.route('**/blank.html', async (route) => {
              const response = await route.fetch();
              await route.fulfill({
                response,
                headers: { ...response.headers(), 'content-security-policy': "worker-src 'none'" },
              });
            }),
        };
        for (const [way, set] of Object.entries(ways)) {
          const context = await browser.newContext();
          await set(context);
          const page = await context.newPage();
          await page.goto(`${address}/tests/e2e/blank.html`);
          const { code, message, hint, works } = await page.evaluate(async (url) => {
            const { loadModel } = await import('/dist/index.js');
            const error = await loadModel(url).then(
              () => ({ message: 'it loaded' }),
              ({ code, message, hint }) => ({ code, message, hint }),
            );
            const model = await loadModel(url, { worker: false });
            await model.dispose();
            return { ...error, works: true };
          }, FIXTURE);
          assert.equal(code, 'internal', way);
          assert.match(message, /the engine worker can't be started/, way);
          assert.match(
            hint,
            /worker\.js must be served as JavaScript.*bundler.*worker-src.*worker: false/,
            way,
          );
          assert.ok(works);
          await context.close();
        }
      }),
    ),
);
