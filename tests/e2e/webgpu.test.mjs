// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: drives examples/test-webgpu in Chromium over SwiftShader and in Firefox over lavapipe: the
// self-test passes, models of floats write the CPU's texts, and no call to WebGPU is an error, in the worker
// as little as in the window.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { launch, missingWebgpu, webgpuArguments } from '../../tools/browsers.mjs';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { openPage, root, screenshot, withBrowser, withServer } from './browser.mjs';

const PAGE = '/examples/test-webgpu/?model=/tests/golden/';

/** Options of a test in `engine` with WebGPU. Throws if something is missing and CI=true. */
function needs(engine) {
  const reason = missingWebgpu(engine);
  if (reason && process.env.CI === 'true') throw new Error(reason);
  return { skip: reason || false, timeout: 240_000 };
}

/** Put in front of worker.js: errors that no call reports go to the page. */
const LISTEN = `{
  const requestDevice = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (...call) {
    const device = await requestDevice.apply(this, call);
    const channel = new BroadcastChannel('webgpu-errors');
    device.addEventListener('uncapturederror', ({ error }) => channel.postMessage(error.message));
    return device;
  };
}\n`;

/** Runs `use(page, open)` in `engine` with the package served; open(fixture) opens the page anew. */
async function withPage(engine, use, { webgpu = true } = {}) {
  const directory = await mkdtemp(path.join(tmpdir(), 'wasm-chord-webgpu-'));
  let browser;
  try {
    await cp(path.join(root, 'dist'), path.join(directory, 'dist'), { recursive: true });
    const worker = path.join(directory, 'dist/worker.js');
    if (webgpu) await writeFile(worker, LISTEN + (await readFile(worker, 'utf8')));
    for (const name of ['examples', 'tests'])
      await symlink(path.join(root, name), path.join(directory, name));
    browser = await launch(engine, { webgpu });
    await withServer({ isolated: true, directory }, (address) =>
      use(async (fixture) => {
        const page = await browser.open(`${address}${PAGE}${fixture}.gguf`);
        await page.waitFor(() => document.documentElement.dataset.ready === 'true');
        await page.evaluate(() => {
          window.errors = [];
          const channel = new BroadcastChannel('webgpu-errors');
          channel.onmessage = ({ data }) => window.errors.push(data);
        });
        return page;
      }),
    );
  } finally {
    await browser?.close();
    await rm(directory, { recursive: true, force: true });
  }
}

/** Compares, and resolves to the page's results. */
async function compare(page, { prompt = 'The capital of France is', tokens = 16 } = {}) {
  await page.evaluate(
    ({ prompt, tokens }) => {
      document.getElementById('prompt').value = prompt;
      document.getElementById('tokens').value = tokens;
      document.getElementById('compare').click();
    },
    { prompt, tokens },
  );
  const isDone = () => !['idle', 'running'].includes(window.results.state);
  await page.waitFor(isDone, null, 200);
  const { results, errors } = await page.evaluate(() => ({ results: window.results, errors: window.errors }));
  assert.deepEqual(errors, []);
  return results;
}

/** Both backends ran, and the table of the self-test is on the page. */
async function assertCompared(t, page, results) {
  const { state, text, cpu, webgpu, adapter } = results;
  assert.equal(state, 'done', text);
  assert.equal(cpu.info.backend, 'cpu');
  assert.equal(webgpu.info?.backend, 'webgpu', webgpu.error?.message);
  assert.match(webgpu.info.backendReason, /^WebGPU, as asked: /);
  assert.ok(adapter.isProgram, 'the adapter is a program');
  const { selfTest, quantization } = webgpu.info;
  for (const { format, tokens, inputs, difference, bound } of selfTest) {
    const what = `${format}, ${tokens} tokens over ${inputs}`;
    assert.ok(difference <= bound, `${what}: ${difference} of ${bound}`);
    t.diagnostic(`${what}: ${difference.toExponential(1)} of ${bound.toExponential(1)}`);
  }
  const rows = await page.evaluate(() => document.querySelectorAll('#self-test tbody tr').length);
  assert.equal(rows, selfTest.length);
  assert.ok(selfTest.length >= 2, 'a kernel for one token, and one for many');
  const { tokensPerSecond, ttftMs } = webgpu.runs.greedy;
  t.diagnostic(
    `${quantization}: ${tokensPerSecond.toFixed(1)} tokens/s, the first after ${ttftMs.toFixed(0)} ms`,
  );
  return selfTest;
}

for (const engine of ['chromium', 'firefox']) {
  test(`${engine}: models pass the self-test, and floats give the CPU's texts`, needs(engine), (t) =>
    withPage(engine, async (open) => {
      // Both backends sum floats of these files in float32. Of quantised weights the CPU rounds activations.
      const page = await open('f32-mha');
      const results = await compare(page);
      await assertCompared(t, page, results);
      assert.deepEqual(results.verdict, { greedy: 'same', seeded: 'same' });
      for (const id of ['greedy', 'seeded']) {
        assert.equal(results.webgpu.runs[id].tokens.length, 16);
        assert.equal(results.webgpu.runs[id].text, results.cpu.runs[id].text);
      }

      const other = await open('q8_0-bias');
      const quantised = await compare(other);
      const [{ format }] = await assertCompared(t, other, quantised);
      assert.equal(format, 'Q8_0');
      assert.ok(quantised.webgpu.runs.greedy.tokens.length > 0);

      // Firefox has shader-f16 over lavapipe, SwiftShader doesn't.
      const half = await open('f16-d64');
      const selfTest = await assertCompared(t, half, await compare(half));
      assert.equal(
        selfTest.some(({ inputs }) => inputs === 'f16'),
        engine === 'firefox',
      );
    }),
  );

  test(`${engine}: an abort takes effect within a second inside a long prompt`, needs(engine), (t) =>
    withPage(engine, async (open) => {
      const page = await open('gemma3-f32');
      const { milliseconds, before, after, errors } = await page.evaluate(async () => {
        const { loadModel } = await import('/dist/index.js');
        const model = await loadModel('/tests/golden/gemma3-f32.gguf', { backend: 'webgpu' });
        const text = () => model.generate('word by word', { temperature: 0, maxTokens: 8 }).text();
        const before = await text();
        // Drivers compile in a kernel's first dispatch, which nothing interrupts: lavapipe takes seconds.
        const prompt = '123456789 word by word '.repeat(10);
        await model.generate(`again ${prompt}`, { maxTokens: 1 }).text();
        const stop = new AbortController();
        const running = model.generate(prompt, { maxTokens: 1000, signal: stop.signal }).text();
        let at;
        setTimeout(() => {
          at = performance.now();
          stop.abort();
        }, 20);
        const outcome = await running.catch((error) => error);
        const milliseconds = outcome === stop.signal.reason ? performance.now() - at : String(outcome);
        const after = await text();
        await model.dispose();
        return { milliseconds, before, after, errors: window.errors };
      });
      t.diagnostic(`aborted after ${milliseconds} ms`);
      assert.equal(typeof milliseconds, 'number', milliseconds);
      assert.ok(milliseconds < 1000, `${milliseconds} ms`);
      assert.equal(after, before);
      assert.deepEqual(errors, []);
    }),
  );
}

test(
  'the page stops inside a long prompt on the GPU, and the next comparison works',
  needs('chromium'),
  (t) =>
    withPage('chromium', async (open) => {
      const page = await open('gemma3-f32');
      await page.evaluate(() => {
        const timer = setInterval(() => {
          if (window.results.phase !== 'webgpu greedy') return;
          clearInterval(timer);
          setTimeout(() => document.getElementById('stop').click(), 20);
        }, 1);
      });
      const { state, stoppedMs, webgpu } = await compare(page, { prompt: 'word by word '.repeat(18) });
      t.diagnostic(`stopped after ${stoppedMs?.toFixed(0)} ms`);
      assert.equal(state, 'stopped');
      assert.equal(webgpu, null);
      const written = await page.evaluate(
        () => document.querySelector('#webgpu [data-run=greedy] .text').childNodes.length,
      );
      assert.equal(written, 1, 'only the prompt is there');
      await assertCompared(t, page, await compare(page, { tokens: 2 }));
    }),
);

test('without an adapter the page says why, and the CPU writes both texts', needs('chromium'), () =>
  withPage(
    'chromium',
    async (open) => {
      const page = await open('f32-mha');
      const { state, adapter, cpu, webgpu, auto } = await compare(page);
      assert.equal(state, 'done');
      assert.match(adapter.why, /no adapter/);
      assert.equal(webgpu.error.code, 'no-webgpu');
      assert.ok(cpu.runs.greedy.tokens.length > 0 && cpu.runs.seeded.tokens.length > 0);
      assert.equal(auto.backend, 'cpu');
      const shown = await page.evaluate(() => document.querySelector('main').innerText);
      assert.match(shown, /The browser has WebGPU, but no adapter for this machine/);
      assert.match(shown, /nothing to compare/);
      assert.ok(await page.evaluate(() => document.getElementById('self-test').hidden));
    },
    { webgpu: false },
  ),
);

test(
  'the chat page runs on the backend that its switch names, and says which and why',
  needs('chromium'),
  () =>
    withServer({ isolated: true }, async (address) => {
      const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-page-'));
      try {
        const file = path.join(folder, 'small.gguf');
        await writeFile(file, await withTemplate(CHATML));
        await withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/examples/chat/`);
          await page.waitForSelector('html[data-ready=true]');
          for (const [choice, backend, reason] of [
            ['GPU', 'webgpu', /^Runs on the GPU, as asked: google swiftshader/],
            [
              'CPU',
              'cpu',
              /^Runs on the CPU, as asked\. \d+ threads|^Runs on the CPU, as asked\. One thread/,
            ],
            ['Automatic', 'cpu', /^Runs on the CPU: the WebGPU adapter is no GPU, but a program\./],
          ]) {
            if (await page.isVisible('#model-button')) await page.click('#model-button');
            await page.locator('#backend').getByText(choice).click();
            await page.setInputFiles('#file', file);
            const isReady = (backend) =>
              window.chat.state === 'ready' && window.chat.info.backend === backend;
            await page.waitForFunction(isReady, backend, { timeout: 120_000 });
            await page.waitForFunction(() => document.querySelector('[data-figure=backend]'));
            assert.match(await page.textContent('#runs-on'), reason);
            assert.match(
              await page.textContent('[data-figure=backend]'),
              backend === 'cpu' ? /^CPU, / : /^GPU$/,
            );
            await screenshot(page, `chat-backend-${choice}`);
            await page.evaluate(() => (document.getElementById('max-tokens').value = 8));
            await page.fill('#question', 'Hello');
            await page.press('#question', 'Enter');
            const isAnswered = () => window.chat.state === 'ready' && window.chat.messages.length === 2;
            await page.waitForFunction(isAnswered, null, { timeout: 120_000 });
          }
          assert.deepEqual(page.faults, []);
        }, webgpuArguments);
        await withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/examples/chat/`);
          await page.waitForSelector('html[data-ready=true]');
          await page.locator('#backend').getByText('GPU').click();
          await page.setInputFiles('#file', file);
          await page.waitForSelector('#load-error:not([hidden])');
          assert.match(await page.textContent('#load-error'), /no-webgpu.*no adapter.*"CPU" above/);
          await screenshot(page, 'chat-no-webgpu');
          await page.locator('#backend').getByText('CPU').click();
          await page.setInputFiles('#file', file);
          await page.waitForFunction(() => window.chat.state === 'ready');
        });
      } finally {
        await rm(folder, { recursive: true });
      }
    }),
);
