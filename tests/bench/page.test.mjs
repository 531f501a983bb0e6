// SPDX-License-Identifier: Apache-2.0
// page.test.mjs: the benchmark's page in Chromium: the machine's ceilings, a run with a small model, its
// charts and its table, and the page's own turns while a real model works.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { prepareSimd } from '../../bench/peers.mjs';
import { MODEL, needs, openPage, root, screenshot, withBrowser, withServer } from '../e2e/browser.mjs';

/** The file with another trained context length: that of the fixtures is too short for most measures. */
async function longerContext(file, length) {
  const bytes = await readFile(path.join(root, file));
  const key = Buffer.from('llama.context_length');
  bytes.writeUInt32LE(length, bytes.indexOf(key) + key.length + 4); // behind the value's type
  return bytes;
}

test(
  "the benchmark page measures the machine's ceilings with two threads, and asks for a file before it runs",
  needs(),
  () =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/bench/index.html`);
        await page.waitForSelector('html[data-ready=true]');
        const found = await page.evaluate(() => globalThis.ceilings(2));
        assert.equal(found.threads, 2);
        assert.deepEqual(Object.keys(found.dot), ['relaxed32', 'relaxed16', 'i16', 'relaxed']);
        for (const value of [found.readGBs, ...Object.values(found.dot)])
          assert.ok(value > 0.1 && value < 1e5, `${value}`);
        await page.getByRole('button', { name: 'Run', exact: true }).click();
        assert.equal(await page.textContent('#said'), 'Choose a model or a file first.');
        assert.deepEqual(page.faults, []);
      }),
    ),
);

test(
  'the benchmark page measures a picked file, and draws bars and a table that fit a phone, in light and dark',
  needs(),
  (t) =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const context = await browser.newContext({ permissions: ['clipboard-read', 'clipboard-write'] });
        const page = await context.newPage();
        page.on('pageerror', (error) => t.diagnostic(String(error)));
        await page.goto(`${address}/bench/`);
        await page.waitForSelector('html[data-ready=true]');
        const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        await page.emulateMedia({ colorScheme: 'dark' });
        const dark = await ground();
        await page.emulateMedia({ colorScheme: 'light' });
        assert.notEqual(await ground(), dark);

        await page.setInputFiles('#file', {
          name: 'q4_1-smollm.gguf',
          mimeType: 'application/octet-stream',
          buffer: await longerContext('tests/golden/q4_1-smollm.gguf', 1024),
        });
        assert.match(await page.textContent('#picked'), /^q4_1-smollm\.gguf, [\d.]+ MB$/);
        await page.getByRole('button', { name: 'Run', exact: true }).click();
        await page.waitForFunction(() => /Run 1 of 3/.test(document.querySelector('#said').textContent));
        await page.waitForFunction(() => !document.querySelector('#run').disabled, null, {
          timeout: 240_000,
        });
        assert.equal(await page.textContent('#said'), '');

        const drawn = await page.locator('#charts svg[role=img]').evaluateAll((charts) =>
          charts.map((chart) => ({
            said: chart.getAttribute('aria-label'),
            bars: [...chart.querySelectorAll('.bar')].map((bar) => bar.getBoundingClientRect().width),
          })),
        );
        const chartOf = (title) => drawn.find(({ said }) => said.startsWith(title));
        for (const title of ['Reading a prompt', 'Writing an answer', 'Waiting', 'Longest gap', 'Memory']) {
          assert.ok(chartOf(title)?.bars.length > 0, title);
          for (const width of chartOf(title).bars) assert.ok(width > 0, title);
        }
        for (const phase of ['load', 'prefill', 'decode'])
          assert.match(chartOf('Longest gap').said, new RegExp(`${phase}, 1 thread: [\\d.]+ ms`));
        const rows = await page.locator('#table tbody tr').allTextContents();
        assert.ok(
          rows.some((row) => /^prefill 128, tokens\/s[\d.]+ \([\d.]+\.\.[\d.]+\)/.test(row)),
          rows.join('\n'),
        );
        await page.click('#copy-text');
        const text = await page.evaluate(() => navigator.clipboard.readText());
        assert.match(text, /^q4_1-smollm\.gguf.*longest gap, load, ms.*Ceilings/s);
        await page.click('#copy-json');
        const record = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
        assert.equal(record.runs.length, 6);

        for (const width of [360, 1200])
          for (const colorScheme of ['light', 'dark']) {
            await page.setViewportSize({ width, height: 800 });
            await page.emulateMedia({ colorScheme });
            const { wide, cut } = await page.evaluate(() => ({
              wide: document.documentElement.scrollWidth,
              cut: [...document.querySelectorAll('svg text')].filter(
                (text) =>
                  text.getBoundingClientRect().right > text.closest('figure').getBoundingClientRect().right,
              ).length,
            }));
            assert.ok(wide <= width, `${wide} pixels on a screen of ${width}`);
            assert.equal(cut, 0, `numbers run out of their chart at ${width}`);
            await screenshot(page, `bench-${width}-${colorScheme}`);
          }
      }),
    ),
);

test("the benchmark's simd variant is the package with the wasm32-simd module under both names", async () => {
  await prepareSimd();
  const bytes = (file) => readFile(path.join(root, file));
  const simd = await bytes('dist/wasm32-simd.wasm');
  assert.ok(simd.equals(await bytes('build/bench/dist-simd/wasm32-relaxed.wasm')));
  assert.ok((await bytes('dist/index.js')).equals(await bytes('build/bench/dist-simd/index.js')));
  assert.ok(!simd.equals(await bytes('dist/wasm32-relaxed.wasm')));
});

test(
  "while a model loads, reads and writes, the page's own loop turns more often than every 50 ms and never stands still for 100 ms",
  needs(MODEL),
  (t) =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/bench/`);
        await page.waitForSelector('html[data-ready=true]');
        await page.setInputFiles('#file', path.join(root, MODEL));
        const measured = () =>
          page.evaluate(async () => {
            const { watchGaps } = await import('./measure.mjs');
            const { ours } = await import('./ours.mjs');
            const engine = await ours(new URL('../dist/', location.href));
            const found = {};
            const during = async (phase, work) => {
              const watch = watchGaps();
              const begin = performance.now();
              const result = await work();
              const longest = watch.stop();
              found[phase] = { turns: watch.turns(), ms: performance.now() - begin, longest };
              return result;
            };
            await during('load', () =>
              engine.load(document.querySelector('#file').files[0], { threads: 2, contextLength: 1024 }),
            );
            const run = engine.generate('the sea and the wind '.repeat(100), 48);
            await during('prefill', () => run.next());
            await during('decode', async () => {
              while (!(await run.next()).done);
            });
            await engine.close();
            return found;
          });
        // A page answers within 100 ms, or its user notices (RAIL). Other processes may hold the page up for
        // longer, so the best of three runs counts.
        let phases = await measured();
        const gaps = (found) => Object.values(found).map(({ longest }) => longest);
        for (let run = 1; run < 3 && Math.max(...gaps(phases)) > 100; run++) {
          const again = await measured();
          if (Math.max(...gaps(again)) < Math.max(...gaps(phases))) phases = again;
        }
        for (const [phase, { turns, ms, longest }] of Object.entries(phases)) {
          t.diagnostic(
            `${phase}: ${turns} turns in ${ms.toFixed(0)} ms, the longest gap ${longest.toFixed(1)} ms`,
          );
          assert.ok(turns >= ms / 50, `${phase}: ${turns} turns in ${ms.toFixed(0)} ms`);
          assert.ok(longest <= 100, `${phase}: the page stood still for ${longest.toFixed(0)} ms`);
        }
        assert.deepEqual(page.faults, []);
      }),
    ),
);
