// SPDX-License-Identifier: Apache-2.0
// chat.test.mjs: examples/chat in Chromium: load, ask, stop, ask again, errors, the keyboard, a phone's
// screen.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { MODEL, needs, openPage, root, screenshot, withBrowser, withServer } from './browser.mjs';

const PAGE = '/examples/chat/';
const state = (page) => page.evaluate(() => JSON.parse(JSON.stringify(window.chat)));
const reached = (page, wanted) =>
  page.waitForFunction((wanted) => window.chat.state === wanted, wanted, { timeout: 120_000 });

/**
 * Collects in `window.seen` the length of the newest answer at every change of the page during an answer. A
 * driver outside the page is too slow for that: an answer of eight tokens is complete within 30 ms.
 */
const watch = (page) =>
  page.evaluate(() => {
    window.seen = [];
    const look = () =>
      window.chat.state === 'answering' &&
      window.seen.push([...document.querySelectorAll('.assistant .text')].at(-1)?.textContent.length ?? 0);
    new MutationObserver(look).observe(document.body, {
      subtree: true,
      childList: true,
      characterData: true,
    });
  });

/**
 * Runs `use(page, file)` with the page open. `file` is a small model of random weights, whose answers go on
 * until they are stopped or the context is full.
 */
const withChat = (isolated, use) =>
  withServer({ isolated }, (address) =>
    withBrowser(async (browser) => {
      const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-page-'));
      try {
        const file = path.join(folder, 'small.gguf');
        await writeFile(file, await withTemplate(CHATML));
        const page = await openPage(browser, address + PAGE);
        await page.waitForSelector('html[data-ready=true]');
        await use(page, file);
      } finally {
        await rm(folder, { recursive: true });
      }
    }),
  );

async function settings(page, values) {
  await page.click('#settings-button');
  for (const [name, value] of Object.entries(values)) await page.fill(`#${name}`, value);
  await page.keyboard.press('Escape');
}

async function ask(page, text) {
  await page.fill('#question', text);
  await page.press('#question', 'Enter');
}

for (const isolated of [true, false]) {
  test(
    `the chat page loads SmolLM2, streams, stops, continues and starts a new chat: ${isolated ? 'isolated' : 'not isolated'}`,
    needs(MODEL),
    (t) =>
      withChat(isolated, async (page) => {
        await page.press('#url', 'Enter'); // the page's default address
        await reached(page, 'ready');
        const { info } = await state(page);
        assert.equal(info.architecture, 'llama');
        if (!isolated) assert.equal(info.threads, 1);
        assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
        await screenshot(page, `chat-ready-${isolated}`);

        await settings(page, { temperature: '0', 'max-tokens': '64', system: 'You write poems.' });
        await watch(page);
        await ask(page, 'Write a poem about the Seine.');
        await page.waitForFunction(() => window.seen.length > 0);
        await reached(page, 'ready');
        const first = await state(page);
        const lengths = new Set(await page.evaluate(() => window.seen.filter((length) => length > 3)));
        lengths.delete(first.messages[1].content.length);
        assert.ok(
          lengths.size >= 2,
          `the answer must stream: of ${first.messages[1].content.length} characters ${[...lengths]} were seen before the end`,
        );
        assert.equal(first.messages.length, 2);
        assert.equal(first.messages[1].role, 'assistant');
        assert.equal(first.error, null);
        t.diagnostic(
          `${JSON.stringify(first.messages[1].content)} at ${first.stats.tokensPerSecond.toFixed(1)} tokens/s`,
        );
        assert.match(await page.textContent('.assistant .note'), /\d+ tokens · [\d.]+ tokens\/s/);
        assert.match(await page.textContent('[data-figure=speed]'), /[\d.]+ tokens\/s/);
        assert.ok(
          Number.parseInt(await page.textContent('[data-figure=memory]')) > 90,
          'the weights alone need 97 MB',
        );
        assert.match(
          await page.textContent('[data-figure=context]'),
          new RegExp(`^${first.stats.promptTokens + first.stats.tokens} of ${info.contextLength} `),
        );

        await settings(page, { 'max-tokens': '' });
        await ask(page, 'Tell me a long story about its river.');
        await page.waitForFunction(
          () => document.querySelectorAll('.assistant .text')[1]?.textContent.length > 3,
        );
        await page.click('#stop');
        await reached(page, 'ready');
        const second = await state(page);
        assert.equal(second.stats.finishReason, 'abort');
        assert.ok(
          second.stats.cachedTokens >= first.stats.promptTokens,
          'the first turn must come from the KV cache',
        );
        assert.match(await page.locator('.assistant .note').last().textContent(), /stopped/);
        assert.equal(second.messages.length, 4);
        assert.equal(await page.locator('.user').count(), 2);
        await screenshot(page, `chat-answer-${isolated}`);

        await page.click('#new-chat');
        assert.deepEqual((await state(page)).messages, []);
        assert.equal(await page.locator('#messages li').count(), 0);
        await settings(page, { system: '', 'max-tokens': '4' });
        await ask(page, 'Write a poem about the Seine.');
        // Four tokens may be complete before the state 'answering' is seen, so only the end is awaited.
        await page.waitForFunction(() => window.chat.state === 'ready' && window.chat.messages.length === 2);
        assert.ok(
          (await state(page)).stats.promptTokens !== first.stats.promptTokens,
          'the system text must be gone from the prompt',
        );
        assert.deepEqual(page.faults, []);
      }),
  );
}

test('the chat page shows an error with its code and a hint, and the next load works', needs(), () =>
  withChat(true, async (page, file) => {
    const error = async (words) => {
      await page.waitForSelector('#load-error:not([hidden])');
      const text = await page.textContent('#load-error');
      for (const word of words) assert.match(text, word);
      assert.equal((await state(page)).state, 'empty');
    };
    await page.fill('#url', 'nothing.gguf');
    await page.click('#load');
    await error([/http/, /404/, /nothing\.gguf/, /Check the address/]);
    await screenshot(page, 'chat-error');
    await page.fill('#url', 'index.html');
    await page.click('#load');
    await page.waitForFunction(() => window.chat.error?.code === 'invalid-gguf');
    await error([/invalid-gguf/]);

    // This file has no chat template.
    await page.setInputFiles('#file', path.join(root, 'tests/golden/q4_1-smollm.gguf'));
    await reached(page, 'ready');
    assert.match(await page.textContent('#messages .error'), /no chat template.*instruct/);

    await page.click('#model-button');
    await page.setInputFiles('#file', file);
    await page.waitForFunction(() => window.chat.info?.chatTemplate && window.chat.state === 'ready');
    await ask(page, 'many words '.repeat(200));
    await page.waitForSelector('#messages .error');
    assert.match(await page.textContent('#messages .error'), /context-full.*Begin a new chat/);
    await reached(page, 'ready');
    assert.match(await page.inputValue('#question'), /^many words/, 'the question must stay in its field');
    assert.deepEqual((await state(page)).messages, []);
    page.faults = page.faults.filter((text) => !text.includes('404')); // Chromium logs the 404 itself
    assert.deepEqual(page.faults, []);
  }),
);

test(
  'the chat page works by keyboard: Enter asks, Shift+Enter breaks the line, Escape stops and returns a question not yet read',
  needs(),
  () =>
    withChat(true, async (page, file) => {
      await page.setInputFiles('#file', file);
      await reached(page, 'ready');
      await settings(page, { temperature: '0' });
      await page.type('#question', 'one');
      await page.press('#question', 'Shift+Enter');
      await page.type('#question', 'two');
      await page.press('#question', 'Enter');
      await page.waitForFunction(() => window.chat.state === 'ready' && window.chat.messages.length === 2);
      assert.equal((await state(page)).messages[0].content, 'one\ntwo');
      assert.equal(await page.inputValue('#question'), '');

      await page.evaluate(() => {
        // in one turn of the event loop, so nothing is read yet
        document.getElementById('question').value = 'never mind';
        document.getElementById('ask').requestSubmit();
        dispatchEvent(new KeyboardEvent('keydown', { key: 'Escape' }));
      });
      await reached(page, 'ready');
      assert.equal(await page.inputValue('#question'), 'never mind');
      assert.equal((await state(page)).messages.length, 2);
      assert.equal(await page.locator('.user').count(), 1);

      await page.click('#model-button');
      await page.click('#back');
      assert.equal(await page.locator('.user').count(), 1);
      assert.deepEqual(page.faults, []);
    }),
);

test('Markdown in an answer becomes elements, and HTML in it is shown as text', needs(), () =>
  withChat(true, async (page) => {
    const html = await page.evaluate(async () => {
      const { blocksOf } = await import('./markup.mjs');
      const place = document.createElement('div');
      place.append(
        ...blocksOf(
          '# Head\nA <b>bold</b> `x<y` **word**\nnext\n\n- one\n- two\n\n3. three\n\n```js\nif (a < b) {}\n\n``` \nlast *one* 2*3*4\n```\nopen <script>',
        ),
      );
      return place.innerHTML;
    });
    assert.equal(
      html
        .replaceAll(
          /<div class="code"><div><span>(\w+)<\/span><button type="button">Copy<\/button><\/div><pre tabindex="0">/g,
          '<pre $1>',
        )
        .replaceAll('</pre></div>', '</pre>'),
      '<h3>Head</h3><p>A &lt;b&gt;bold&lt;/b&gt; <code>x&lt;y</code> <strong>word</strong>\nnext</p><ul><li>one</li><li>two</li></ul><ol start="3"><li>three</li></ol>' +
        '<pre js><code>if (a &lt; b) {}\n</code></pre><p>last <em>one</em> 2<em>3</em>4</p><pre code><code>open &lt;script&gt;</code></pre>',
    );
  }),
);

test('on a phone nothing of the chat page is wider than the screen, in light and in dark', needs(), () =>
  withChat(true, async (page, file) => {
    await page.setViewportSize({ width: 360, height: 640 });
    const fits = async (name) => {
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        assert.ok(
          (await page.evaluate(() =>
            Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth),
          )) <= 360,
          `${name}, ${colorScheme}`,
        );
        await screenshot(page, `chat-phone-${name}-${colorScheme}`);
      }
      return page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    };
    const dark = await fits('load');
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    await page.evaluate(() => {
      document.getElementById('model-name').textContent =
        'A model with a name that is much too long for a phone';
    });
    await settings(page, { temperature: '0', 'max-tokens': '30' });
    await ask(page, 'averylongwordwithoutanyblankinit'.repeat(3));
    await page.waitForFunction(() => window.chat.messages.length === 2 && window.chat.state === 'ready');
    await fits('talk');
    for (const id of ['model-button', 'settings-button', 'new-chat', 'send']) {
      const { x, width } = await page.locator(`#${id}`).boundingBox();
      assert.ok(x >= 0 && x + width <= 360, id);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    assert.notEqual(
      await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor),
      dark,
    );
  }),
);
