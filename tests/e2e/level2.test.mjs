// SPDX-License-Identifier: Apache-2.0
// level2.test.mjs: compares loadModel over fixtures in Chromium with llama.cpp's goldens: token ids are
// equal, and logits are within the tolerance. Neither isolation nor a second thread changes a bit of them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { copyFile, mkdtemp, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { needs, openPage, root, withBrowser, withServer } from './browser.mjs';
import { nmse, readGolden } from '../reference/golden.mjs';

const FIXTURES = ['q4_1-smollm', 'q4_0-spm', 'q8_0-d128', 'f16-d64', 'bf16-d80-freqs', 'mixed'];

/** Runs in the page: loads a fixture and returns the ids of `texts` and the logits of `sequences`. */
async function ask({ name, options, texts, sequences }) {
  const { loadModel } = await import('/dist/index.js');
  const model = await loadModel(`/tests/golden/${name}.gguf`, options);
  const ids = [];
  for (const { text, flags } of texts)
    ids.push(await model.tokenize(text, { addSpecial: (flags & 1) !== 0, parseSpecial: (flags & 2) !== 0 }));
  const logits = [];
  for (const sequence of sequences) logits.push(Array.from(await model.logits(sequence, { all: true })));
  const { threads, variant } = model.info;
  await model.dispose();
  return { ids, logits, threads, variant };
}

test(
  "fixtures have llama.cpp's ids and logits in Chromium, bitwise equal with 1 and 2 threads, isolated and not",
  needs(),
  async (t) => {
    const first = new Map();
    for (const isolated of [true, false]) {
      await withServer({ isolated }, (address) =>
        withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
          for (const name of FIXTURES) {
            const { vocabulary, tolerance, prompts, texts } = await readGolden(name);
            for (const threads of isolated ? [1, 2] : [2]) {
              const sequences = prompts.map(({ sequence }) => sequence);
              const answer = await page.evaluate(ask, { name, options: { threads }, texts, sequences });
              assert.equal(answer.threads, isolated ? threads : 1);
              for (const [index, { text, flags, ids }] of texts.entries())
                assert.deepEqual(answer.ids[index], ids, `${name}: ${JSON.stringify(text)}, flags ${flags}`);

              const pairs = prompts.flatMap(({ rows, logits }, index) =>
                rows.map((row, k) => [
                  answer.logits[index].slice(row * vocabulary, (row + 1) * vocabulary),
                  logits[k],
                ]),
              );
              const error = nmse(pairs);
              assert.ok(
                error <= tolerance.nmse,
                `${name}: NMSE is ${error}, at most ${tolerance.nmse} is allowed`,
              );
              if (!first.has(name)) {
                first.set(name, answer.logits);
                t.diagnostic(
                  `${name}, ${answer.variant}: ${texts.length} texts, ${pairs.length} rows, NMSE ${error.toExponential(2)} of ${tolerance.nmse}`,
                );
              }
              assert.deepEqual(
                answer.logits,
                first.get(name),
                `${name}: the logits must be bitwise equal with ${threads} thread(s), ${isolated ? '' : 'not '}isolated`,
              );
            }
          }
          assert.deepEqual(page.faults, []);
        }),
      );
    }
  },
);

test(
  'disposing of a model during its generation leaves a second model and a later load intact',
  needs(),
  () =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
        const outcome = await page.evaluate(async () => {
          const { loadModel } = await import('/dist/index.js');
          const url = '/tests/golden/q4_1-smollm.gguf';
          const [one, two] = await Promise.all([loadModel(url), loadModel(url)]);
          const options = { temperature: 0, maxTokens: 16, ignoreEos: true };
          const expected = await one.generate('Hello', options).text();
          const running = two
            .generate('Hello', { ...options, maxTokens: 100000 })
            .text()
            .then(
              () => 'done',
              (error) => error.code,
            );
          await new Promise((resolve) => setTimeout(resolve, 20));
          await two.dispose();
          const ended = await running;
          const after = await one.generate('Hello', options).text();
          const three = await loadModel(url);
          const again = await three.generate('Hello', options).text();
          await Promise.all([one.dispose(), three.dispose()]);
          return { expected, after, again, ended };
        });
        assert.equal(outcome.after, outcome.expected);
        assert.equal(outcome.again, outcome.expected);
        assert.ok(['disposed', 'done'].includes(outcome.ended), outcome.ended);
      }),
    ),
);

test(
  'every kind of source loads the same model: URL, File, Blob, bytes, Response, ReadableStream',
  needs(),
  () =>
    withServer({ isolated: true }, (address) =>
      withBrowser(async (browser) => {
        const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
        const texts = await page.evaluate(async () => {
          const { loadModel } = await import('/dist/index.js');
          const url = new URL('/tests/golden/q4_1-smollm.gguf', location.href);
          const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
          const sources = {
            url,
            string: url.href,
            relative: '/tests/golden/q4_1-smollm.gguf',
            bytes,
            buffer: bytes.slice().buffer,
            blob: new Blob([bytes]),
            file: new File([bytes], 'a.gguf'),
            response: await fetch(url),
            stream: (await fetch(url)).body,
          };
          const found = {};
          for (const [name, source] of Object.entries(sources)) {
            const phases = new Set();
            const model = await loadModel(source, { onProgress: ({ phase }) => phases.add(phase) });
            found[name] = await model.generate('Hello', { temperature: 0, maxTokens: 8 }).text();
            if (!phases.has('ready')) found[name] = `no ready among ${[...phases]}`;
            await model.dispose();
          }
          if (bytes.length === 0) found.bytes = 'detached';
          return found;
        });
        for (const [name, text] of Object.entries(texts)) assert.equal(text, texts.url, name);
      }),
    ),
);

test('the model file is requested while the wasm module is still on its way', needs(), () =>
  withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
      const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
      let asked;
      const fileAsked = new Promise((resolve) => {
        asked = resolve;
      });
      await page.context().route('**/*.gguf', async (route) => {
        asked();
        await route.continue();
      });
      // The load hangs if it awaits the module before it requests the file.
      await page.context().route('**/*.wasm', async (route) => {
        await fileAsked;
        await route.continue();
      });
      const { name } = await page.evaluate(async () => {
        const { loadModel } = await import('/dist/index.js');
        const model = await loadModel('/tests/golden/q4_1-smollm.gguf');
        const { architecture } = model.info;
        await model.dispose();
        return { name: architecture };
      });
      assert.equal(name, 'llama');
      assert.deepEqual(page.faults, []);
    }),
  ),
);

test(
  'a picked file loads; a picked file that was removed is an io error with its name and a hint',
  needs(),
  async () => {
    const folder = await mkdtemp(path.join(os.tmpdir(), 'picked-'));
    const file = path.join(folder, 'model.gguf');
    try {
      await copyFile(path.join(root, 'tests/golden/q4_1-smollm.gguf'), file);
      await withServer({ isolated: true }, (address) =>
        withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/tests/e2e/blank.html`);
          await page.evaluate(() =>
            document.body.append(Object.assign(document.createElement('input'), { type: 'file' })),
          );
          await page.setInputFiles('input', file);
          const load = () =>
            page.evaluate(async () => {
              const { loadModel } = await import('/dist/index.js');
              try {
                const model = await loadModel(document.querySelector('input').files[0]);
                const { bytesRead } = await model.counters();
                await model.dispose();
                return { bytesRead };
              } catch ({ code, message, hint }) {
                return { code, message, hint };
              }
            });
          assert.ok((await load()).bytesRead > 0);
          await rm(file);
          const { code, message, hint } = await load();
          assert.equal(code, 'io');
          assert.match(message, /model\.gguf broke off after 0 bytes/);
          assert.match(hint, /removed after it was chosen/);
        }),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);
