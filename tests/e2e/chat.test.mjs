// SPDX-License-Identifier: Apache-2.0
// chat.test.mjs: examples/chat in Chromium: load, ask, stop, ask again, errors, the keyboard, a phone's
// screen.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { llamaHeader } from '../ts/header.mjs';
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
    assert.equal(await page.isDisabled('#question'), true);
    await page.click('#new-chat');
    assert.equal(await page.locator('#suggestions').isVisible(), false, 'nothing to ask');

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
          '# Head\nA <b>bold</b> `x<y` **word**\nnext\n\n- one\n- two\n\n---\n3. three\n\n```js\nif (a < b) {}\n\n``` \nlast *one* 2*3*4\n```\nopen <script>',
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
      '<h3>Head</h3><p>A &lt;b&gt;bold&lt;/b&gt; <code>x&lt;y</code> <strong>word</strong>\nnext</p><ul><li>one</li><li>two</li></ul><hr><ol start="3"><li>three</li></ol>' +
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

test('an answer can be copied and asked for again; Retry replaces the last answer alone', needs(), () =>
  withChat(true, async (page, file) => {
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    await settings(page, { temperature: '1', 'max-tokens': '12' });
    for (const [i, text] of ['one', 'two'].entries()) {
      await ask(page, text);
      await page.waitForFunction(
        (n) => window.chat.state === 'ready' && window.chat.messages.length === n,
        2 * i + 2,
      );
    }
    const { messages } = await state(page);
    assert.equal(await page.getByRole('button', { name: 'Retry' }).count(), 1, 'only at the last answer');
    await page.locator('.assistant').first().getByRole('button', { name: 'Copy' }).click();
    await page.getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), messages[1].content);

    await page.getByRole('button', { name: 'Retry' }).click();
    await page.waitForFunction(
      (before) =>
        window.chat.state === 'ready' &&
        window.chat.messages[3] &&
        window.chat.messages[3].content !== before,
      messages[3].content,
    );
    const after = await state(page);
    assert.deepEqual(after.messages.slice(0, 3), messages.slice(0, 3));
    assert.equal(await page.locator('.user').count(), 2);
    assert.equal(await page.locator('.assistant').count(), 2);
    assert.deepEqual(page.faults, []);
  }),
);

test('Stop shows no further word, and the page is ready at once', needs(MODEL), () =>
  withChat(true, async (page) => {
    await page
      .locator('#models')
      .getByRole('button', { name: /SmolLM2/ })
      .click();
    await reached(page, 'ready');
    await ask(page, 'Write a long story about a river.');
    await page.waitForFunction(() => document.querySelector('.assistant .text')?.textContent.length > 3);
    const { before, after, ms } = await page.evaluate(async () => {
      const text = () => document.querySelector('.assistant .text').textContent;
      // The words of this half second wait for the page when the button is clicked.
      for (const end = performance.now() + 500; performance.now() < end;);
      document.getElementById('stop').click();
      const before = text();
      const begin = performance.now();
      while (window.chat.state !== 'ready' && performance.now() - begin < 5000)
        await new Promise((resolve) => setTimeout(resolve, 5));
      return { before, after: text(), ms: performance.now() - begin };
    });
    // A frame that was due when the button was clicked may still paint what had arrived.
    assert.ok(after.length <= before.length + 40, JSON.stringify([before, after]));
    assert.ok(ms < 1000, `${ms} ms`);
    const [, answer] = (await state(page)).messages;
    assert.equal(answer.content.trim().replaceAll(/\s+/g, ' '), after.trim().replaceAll(/\s+/g, ' '));
    assert.equal(await page.textContent('#status'), 'Stopped.');
  }),
);

test(
  'the first question gets the right answer from SmolLM2 with the settings that the page has',
  needs(MODEL),
  () =>
    withChat(true, async (page) => {
      await page
        .locator('#models')
        .getByRole('button', { name: /SmolLM2/ })
        .click();
      await reached(page, 'ready');
      assert.match(await page.textContent('#expect'), /135 M parameters is tiny/);
      await page.getByRole('button', { name: 'What is the capital of France?' }).click();
      await page.waitForFunction(() => window.chat.state === 'ready' && window.chat.messages.length === 2);
      const { content } = (await state(page)).messages[1];
      assert.match(content, /^The capital of France is Paris/);
      assert.equal((await page.textContent('.assistant .text')).trim(), content.trim());
      assert.match(await page.textContent('[data-figure=size]'), /often wrong/);
      assert.deepEqual(page.faults, []);
    }),
);

test('a tab in the background, which paints no frames, has the whole answer at its end', needs(), () =>
  withChat(true, async (page, file) => {
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    await settings(page, { temperature: '0', 'max-tokens': '8' });
    await page.evaluate(() => (window.requestAnimationFrame = () => 1));
    await ask(page, 'one');
    const isDone = () => window.chat.state === 'ready' && window.chat.messages.length === 2;
    await page.waitForFunction(isDone, null, { polling: 50 });
    const { content } = (await state(page)).messages[1];
    const words = (text) => text.replaceAll(/\s+/g, ' ').trim();
    assert.ok(words(content).length > 0);
    assert.equal(words(await page.textContent('.assistant .text')), words(content));
  }),
);

test('a dropped file is loaded, and one that needs more memory than there is shows the hint', needs(), () =>
  withChat(true, async (page, file) => {
    // `zeros` GB follow the bytes: parts of a Blob may repeat, so they take no memory.
    const drop = (bytes, name, zeros = 0) =>
      page.evaluate(
        ([base64, name, zeros]) => {
          const transfer = new DataTransfer();
          const million = new Blob([new Uint8Array(1e6)]);
          const billion = new Blob(Array(1000).fill(million));
          const head = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
          transfer.items.add(new File([head, ...Array(zeros).fill(billion)], name));
          // Without preventDefault() the browser would show the file in place of the page.
          const prevented = ['dragover', 'drop'].map((type) => {
            const event = new DragEvent(type, { dataTransfer: transfer, bubbles: true, cancelable: true });
            return !document.querySelector('main').dispatchEvent(event);
          });
          return prevented.join();
        },
        [Buffer.from(bytes).toString('base64'), name, zeros],
      );
    // One layer of 20 GB: more than 64-bit addresses grant, and a single layer isn't read in parts.
    const large = llamaHeader({ layers: 1, width: 20480, ff: 131072, heads: 32, vocabulary: 32000 });
    assert.equal(await drop(large, 'large.gguf', 24), 'true,true');
    assert.equal(await page.getAttribute('html', 'data-dragging'), null);
    await page.waitForSelector('#load-error:not([hidden])');
    const { error } = await state(page);
    assert.equal(error.code, 'out-of-memory');
    assert.ok(error.hint.length > 10);
    assert.ok((await page.textContent('#load-error')).includes(error.hint));
    await drop(await readFile(file), 'small.gguf');
    await reached(page, 'ready');
    assert.deepEqual(page.faults, []);
  }),
);

test('an opening fence without code behind it leaves no empty box', needs(), () =>
  withChat(true, async (page) => {
    const count = (text) =>
      page.evaluate(async (text) => (await import('./markup.mjs')).blocksOf(text).length, text);
    for (const text of ['word\n```', 'word\n```js', 'word\n```js\n', 'word\n```\n```'])
      assert.equal(await count(text), 1, JSON.stringify(text));
    assert.equal(await count('word\n```js\nx'), 2);
  }),
);

test('a cryptic name of a file is whole on a phone, and a known file has a readable name', needs(MODEL), () =>
  withChat(true, async (page) => {
    await page.setViewportSize({ width: 360, height: 640 });
    await page.setInputFiles('#file', path.join(root, MODEL));
    await reached(page, 'ready');
    assert.equal(await page.textContent('#model-name'), 'SmolLM2 135M Instruct');
    const cut = await page.evaluate(() => {
      const name = document.getElementById('model-name');
      name.textContent = 'Smollm2 135M 8k Lc100K Mix1 Ep2';
      return name.scrollHeight - name.clientHeight > 1 || name.scrollWidth - name.clientWidth > 1;
    });
    assert.equal(cut, false);
    assert.ok(await page.getByRole('link', { name: 'wasm-chord' }).isVisible(), 'the way home');
    assert.ok(await page.getByText('change', { exact: true }).isVisible());
    const { x, width } = await page.locator('#new-chat').boundingBox();
    assert.ok(x + width <= 360);
  }),
);

test('progress names the rate and the time left when the load knows them', needs(), () =>
  withChat(true, async (page) => {
    const said = await page.evaluate(async () => {
      const { progressText } = await import('./page.mjs');
      return [
        progressText({
          phase: 'download',
          loaded: 45e6,
          total: 98e6,
          bytesPerSecond: 12.34e6,
          secondsLeft: 4.3,
        }),
        progressText({ phase: 'download', loaded: 45e6, total: undefined }),
        progressText({ phase: 'download', loaded: 1e6, total: 4e9, bytesPerSecond: 1e6, secondsLeft: 4000 }),
        progressText({ phase: 'compile', loaded: 0, total: undefined }),
      ];
    });
    assert.deepEqual(said, [
      'download: 45 of 98 MB · 12.3 MB/s · 5 s left',
      'download: 45 MB',
      'download: 1 of 4000 MB · 1.0 MB/s · 67 min left',
      'compile ...',
    ]);
  }),
);

test('every control of the chat page has a name that a screen reader says', needs(), () =>
  withChat(true, async (page, file) => {
    const nameless = () =>
      page.evaluate(() =>
        [...document.querySelectorAll('button, input, textarea, progress')]
          .filter((control) => {
            const label = control.getAttribute('aria-labelledby');
            const text =
              control.ariaLabel ||
              (label && document.getElementById(label)) ||
              control.labels?.[0]?.textContent ||
              (control.localName === 'button' && control.textContent);
            return !text || (typeof text === 'string' && text.trim() === '');
          })
          .map((control) => control.id || control.outerHTML),
      );
    assert.deepEqual(await nameless(), []);
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    assert.match(await page.textContent('#status'), /is ready\.$/);
    await settings(page, { 'max-tokens': '8' });
    await ask(page, 'one');
    await page.waitForFunction(() => window.chat.state === 'ready' && window.chat.messages.length === 2);
    assert.equal(await page.textContent('#status'), 'The answer is complete.');
    assert.equal(await page.getAttribute('#messages', 'aria-busy'), 'false');
    await page.locator('#model-name').evaluate((name) => (name.textContent ||= 'x'));
    assert.deepEqual(await nameless(), []);
  }),
);

test(
  'models that are kept on the device are listed with their sizes, load by one click, and can be deleted',
  needs(),
  () =>
    withBrowser((browser) =>
      withServer({ isolated: true }, async (address) => {
        const page = await openPage(
          browser,
          `${address}${PAGE}?model=../../tests/golden/q4_1-smollm.gguf&start=1`,
        );
        const kept = page.locator('#kept li');
        await page.waitForFunction(() => window.chat?.state === 'ready', null, { timeout: 60_000 });
        await kept.first().waitFor({ state: 'attached' });
        await page.reload();
        await page.waitForFunction(() => window.chat?.state === 'ready', null, { timeout: 60_000 });

        await page.goto(`${address}${PAGE}`);
        assert.match(await kept.locator('.model').textContent(), /q4_1-smollm.*1 MB/);
        assert.match(await page.textContent('#kept p'), /^1 MB kept; this browser allows \d/);
        await screenshot(page, 'chat-kept');
        await page.setViewportSize({ width: 360, height: 640 });
        assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 360);
        await kept.locator('.model').click();
        await reached(page, 'ready');
        await page.click('#model-button');
        await page.getByRole('button', { name: /^Delete / }).click();
        await page.waitForFunction(
          () => document.querySelector('#kept').hidden || document.querySelector('#kept .bad'),
        );
        assert.equal(await page.isHidden('#kept'), true, await page.textContent('#kept'));
        assert.match(await page.textContent('#status'), /is deleted\.$/);
        assert.deepEqual(page.faults, []);
      }),
    ),
);

test('a chat longer than the context goes on, and says that its oldest messages no longer fit', needs(), () =>
  withChat(true, async (page, file) => {
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    await settings(page, { 'max-tokens': '40' });
    for (let turn = 1; turn <= 5; turn++) {
      await ask(page, 'one two three');
      await page.waitForFunction(
        (n) => window.chat.state === 'ready' && window.chat.messages.length === n,
        2 * turn,
      );
    }
    assert.match(
      await page.locator('.assistant .note').last().textContent(),
      /the oldest \d+ messages no longer fit/,
    );
    assert.equal(await page.locator('#messages .error').count(), 0);
    assert.deepEqual(page.faults, []);
  }),
);

test('what a model thinks stands apart from its answer, and stays with it in the conversation', () =>
  withChat(true, async (page, file) => {
    // The prompt opens the reasoning, and a model of random weights never closes it.
    await writeFile(file, await withTemplate(`${CHATML}{{ '<think>' }}`));
    await page.setInputFiles('#file', file);
    await reached(page, 'ready');
    await settings(page, { temperature: '0', 'max-tokens': '8' });
    await ask(page, 'Hi there');
    await reached(page, 'ready');
    await page.waitForSelector('.assistant .retry');
    const thoughts = page.locator('.assistant .thoughts');
    assert.equal(await thoughts.evaluate((element) => element.open), true);
    const { messages } = await state(page);
    assert.equal(messages.at(-1).content, '');
    assert.ok(messages.at(-1).reasoning_content.length > 0);
    assert.equal(await thoughts.locator('div').textContent(), messages.at(-1).reasoning_content);
    assert.match(await page.textContent('.assistant .note'), /^\d tokens/);
  }));
