// SPDX-License-Identifier: Apache-2.0
// chat.test.mjs: examples/chat in Chromium as a user drives it: load, ask, stop, ask again, errors, keyboard, a phone.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { MODEL, needs, openPage, root, screenshot, withBrowser, withServer } from './browser.mjs';

const PAGE = '/examples/chat/';
const state = (page) => page.evaluate(() => JSON.parse(JSON.stringify(window.chat)));
const reached = (page, wanted) => page.waitForFunction((wanted) => window.chat.state === wanted, wanted, { timeout: 120_000 });

/** From now on `window.seen` gets the length of the newest answer whenever the page changes while it is answering: an answer of eight
 * tokens is there within 30 ms, before a driver outside the page could look at it. */
const watch = (page) => page.evaluate(() => {
  window.seen = [];
  const look = () => window.chat.state === 'answering' && window.seen.push([...document.querySelectorAll('.assistant .text')].at(-1)?.textContent.length ?? 0);
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
});

/** Runs `use(page, file)` with the page open and a small model of random weights, which talks until it is stopped, as a file. */
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
    }));

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
  test(`a conversation with SmolLM2: load, stream, stop, go on, begin anew: ${isolated ? 'isolated' : 'not isolated'}`, needs(MODEL), (t) =>
    withChat(isolated, async (page) => {
      await page.press('#url', 'Enter'); // its own address of the default model
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
      assert.ok(lengths.size >= 2, `it streams: of ${first.messages[1].content.length} characters ${[...lengths]} were seen before the end`);
      assert.equal(first.messages.length, 2);
      assert.equal(first.messages[1].role, 'assistant');
      assert.equal(first.error, null);
      t.diagnostic(`${JSON.stringify(first.messages[1].content)} at ${first.stats.tokensPerSecond.toFixed(1)} tokens/s`);
      assert.match(await page.textContent('.assistant .note'), /\d+ tokens · [\d.]+ tokens\/s/);
      assert.match(await page.textContent('[data-figure=speed]'), /[\d.]+ tokens\/s/);
      assert.ok(Number.parseInt(await page.textContent('[data-figure=memory]')) > 90, 'the weights alone are 97 MB');
      assert.match(await page.textContent('[data-figure=context]'), new RegExp(`^${first.stats.promptTokens + first.stats.tokens} of ${info.contextLength} `));

      await settings(page, { 'max-tokens': '' });
      await ask(page, 'Tell me a long story about its river.');
      await page.waitForFunction(() => document.querySelectorAll('.assistant .text')[1]?.textContent.length > 3);
      await page.click('#stop');
      await reached(page, 'ready');
      const second = await state(page);
      assert.equal(second.stats.finishReason, 'abort');
      assert.ok(second.stats.cachedTokens >= first.stats.promptTokens, 'the first turn was read again');
      assert.match(await page.locator('.assistant .note').last().textContent(), /stopped/);
      assert.equal(second.messages.length, 4);
      assert.equal(await page.locator('.user').count(), 2);
      await screenshot(page, `chat-answer-${isolated}`);

      await page.click('#new-chat');
      assert.deepEqual((await state(page)).messages, []);
      assert.equal(await page.locator('#messages li').count(), 0);
      await settings(page, { system: '', 'max-tokens': '4' });
      await ask(page, 'Write a poem about the Seine.');
      // four tokens may be over before anyone looks: not by way of 'answering'
      await page.waitForFunction(() => window.chat.state === 'ready' && window.chat.messages.length === 2);
      assert.ok((await state(page)).stats.promptTokens !== first.stats.promptTokens, 'the system prompt is still there');
      assert.deepEqual(page.faults, []);
    }));
}

test('what goes wrong is said with its code and a way out, and the next load works', needs(), () =>
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

    await page.setInputFiles('#file', path.join(root, 'tests/golden/q4_1-smollm.gguf')); // no template
    await reached(page, 'ready');
    assert.match(await page.textContent('#messages .error'), /no chat template.*instruct/);

    await page.click('#model-button');
    await page.setInputFiles('#file', file);
    await page.waitForFunction(() => window.chat.info?.chatTemplate && window.chat.state === 'ready');
    await ask(page, 'many words '.repeat(200));
    await page.waitForSelector('#messages .error');
    assert.match(await page.textContent('#messages .error'), /context-full.*Begin a new chat/);
    await reached(page, 'ready');
    assert.match(await page.inputValue('#question'), /^many words/, 'the question is lost');
    assert.deepEqual((await state(page)).messages, []);
    page.faults = page.faults.filter((text) => !text.includes('404')); // Chromium's own line
    assert.deepEqual(page.faults, []);
  }));

test('the keyboard is enough: Enter asks, Shift+Enter breaks the line, Escape stops, a question stopped unread comes back', needs(), () =>
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

    await page.evaluate(() => { // in one turn: nothing can have been read yet
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
  }));

test('text is shown as text: markup becomes elements, HTML stays letters', needs(), () =>
  withChat(true, async (page) => {
    const html = await page.evaluate(async () => {
      const { blocksOf } = await import('./markup.mjs');
      const place = document.createElement('div');
      place.append(...blocksOf('# Head\nA <b>bold</b> `x<y` **word**\nnext\n\n- one\n- two\n\n3. three\n\n```js\nif (a < b) {}\n\n``` \nlast *one* 2*3*4\n```\nopen <script>'));
      return place.innerHTML;
    });
    assert.equal(html.replaceAll(/<div class="code"><div><span>(\w+)<\/span><button type="button">Copy<\/button><\/div><pre tabindex="0">/g, '<pre $1>').replaceAll('</pre></div>', '</pre>'),
      '<h3>Head</h3><p>A &lt;b&gt;bold&lt;/b&gt; <code>x&lt;y</code> <strong>word</strong>\nnext</p><ul><li>one</li><li>two</li></ul><ol start="3"><li>three</li></ol>' +
      '<pre js><code>if (a &lt; b) {}\n</code></pre><p>last <em>one</em> 2<em>3</em>4</p><pre code><code>open &lt;script&gt;</code></pre>');
  }));

test('on a phone nothing is wider than the screen, in light and in dark', needs(), () =>
  withChat(true, async (page, file) => {
    await page.setViewportSize({ width: 360, height: 640 });
    const fits = async (name) => {
      for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });
        assert.ok((await page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.querySelector('main').scrollWidth))) <= 360, `${name}, ${colorScheme}`);
        await screenshot(page, `chat-phone-${name}-${colorScheme}`);
      }
      return page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    };
    const dark = await fits('load');
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    await page.evaluate(() => { document.getElementById('model-name').textContent = 'A model with a name that is much too long for a phone'; });
    await settings(page, { temperature: '0', 'max-tokens': '30' });
    await ask(page, 'averylongwordwithoutanyblankinit'.repeat(3));
    await page.waitForFunction(() => window.chat.messages.length === 2 && window.chat.state === 'ready');
    await fits('talk');
    for (const id of ['model-button', 'settings-button', 'new-chat', 'send']) {
      const { x, width } = await page.locator(`#${id}`).boundingBox();
      assert.ok(x >= 0 && x + width <= 360, id);
    }
    await page.emulateMedia({ colorScheme: 'light' });
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor), dark);
  }));
