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
  "the benchmark page measures the machine's ceilings with two threads, and can't run before a file is chosen",
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
        const run = page.getByRole('button', { name: 'Run', exact: true });
        assert.equal(await run.isDisabled(), true);
        assert.match(await page.textContent('#picked'), /^Nothing chosen yet\./);
        await page.setInputFiles('#file', path.join(root, 'tests/golden/q4_1-smollm.gguf'));
        assert.equal(await run.isDisabled(), false);
        assert.deepEqual(page.faults, []);
      }),
    ),
);

test('the numbers of a chart stay inside it, and no line runs through one', needs(), () =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, `${address}/bench/index.html`);
      await page.evaluate(async () => {
        const { chartsOf } = await import('/bench/chart.mjs');
        const row = (measure, title, threads, [min, median, max], share) => ({
          measure,
          title,
          threads,
          engines: { ours: { min, median, max } },
          shares: share ? { ours: share } : {},
        });
        const charts = chartsOf([
          row('decode0', 'decode 64 at 0, tokens/s', 1, [27.6, 46.4, 65.4], 0.78),
          row('decode0', 'decode 64 at 0, tokens/s', 2, [1024, 1111, 1222], 0.43),
          row('gapprefill', 'longest gap, prefill, ms', 1, [15.9, 57.2, 121]),
          row('gapdecode', 'longest gap, decode, ms', 1, [17.3, 20.3, 39.1]),
        ]);
        document.querySelector('#charts').replaceChildren(...charts);
        document.querySelector('#results').hidden = false;
      });
      for (const width of [320, 390, 1200]) {
        await page.setViewportSize({ width, height: 844 });
        const found = await page.evaluate(() => {
          const box = (node) => node.getBoundingClientRect();
          return [...document.querySelectorAll('svg.chart')].flatMap((chart) => {
            const texts = [...chart.querySelectorAll('text')];
            const lines = [...chart.querySelectorAll('.mark, .range, .bar')];
            return texts.flatMap((text) => {
              const at = box(text);
              const isCut = at.right > box(chart).right + 1;
              const isCrossed = lines.some(
                (line) =>
                  box(line).left < at.right &&
                  box(line).right > at.left &&
                  box(line).top < at.bottom &&
                  box(line).bottom > at.top,
              );
              // A mark is a line over all rows: the names of measures begin left of it.
              const isName = at.left - box(chart).left < 2;
              return isCut || (isCrossed && !isName) ? [text.textContent] : [];
            });
          });
        });
        assert.deepEqual(found, [], `at ${width}`);
        const left = await page.evaluate(() =>
          [...document.querySelectorAll('svg.chart')].map((chart) => {
            const ends = [...chart.querySelectorAll('rect')].map((one) => one.getBoundingClientRect().right);
            return Math.round(chart.getBoundingClientRect().right - Math.max(...ends));
          }),
        );
        assert.ok(left.length >= 2);
        for (const px of left)
          assert.ok(px >= 90 && px <= 93, `${px} px right of the longest bar at ${width}`);
      }
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
