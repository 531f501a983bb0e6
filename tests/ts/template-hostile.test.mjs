// SPDX-License-Identifier: Apache-2.0
// template-hostile.test.mjs: templates that never end, or ask for too much, in a worker and in the caller's
// thread. A template of a model's file is foreign code.
import test from 'node:test';
import assert from 'node:assert/strict';
import { withTemplate } from './chat.mjs';
import { refused, withModel } from './level2.mjs';

const ASK = [{ role: 'user', content: 'Hi' }];
const LOOPS = 'abcd'.split('');
/** Takes no memory, and a second until its steps are spent. */
const NESTED = `{% set l = range(300) | list %}${LOOPS.map((i) => `{% for ${i} in l %}`).join('')}${LOOPS.map(() => '{% endfor %}').join('')}`;

const hostile = {
  'nested loops': [`Hi\n${NESTED}`, 'line 2', 'too many steps'],
  'nested ranges': [
    '{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}',
    'line 1',
    'memory',
  ],
  'a range of 1e9': ['{{ "a" }}\n\n{% for i in range(1000000000) %}{{ i }}{% endfor %}', 'line 3'],
  'a list of 1e9': ['{{ range(1000000000) | list | length }}', 'line 1'],
  'a text that doubles': [
    '\n{% set n = namespace(s="ab") %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}{{ n.s }}',
    'line 2',
    'memory',
  ],
  'huge output': ['{% for i in range(100000) %}\n{{ "x" * 100000 }}{% endfor %}', 'line 2'],
  'a text of 1e9': ['{{ "a" * 1000000000 }}', 'line 1', 'memory'],
  'texts of 1e7': ['{% for i in range(99) %}{{ "a" * 10000000 }}{% endfor %}', 'line 1', 'memory'],
  'a search that takes long': ["{{ ('a' * 3000000 ~ 'b') in ('a' * 6000000) }}", 'line 1', 'too many steps'],
  'a text in the middle of 1e9 blanks': ['{{ "a".center(1000000000) }}', 'line 1', 'memory'],
  'an indentation of 1e9': ['\n{{ messages | tojson(indent=1000000000) }}', 'line 2', 'memory'],
  'a macro that calls itself': ['{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}', 'line 1'],
  'deep parentheses': [`{{ ${'('.repeat(100000)}1${')'.repeat(100000)} }}`, 'line 1'],
  'lists in lists': [
    '{% set n = namespace(l=[]) %}\n{% for i in range(1000000) %}{% set n.l = [n.l] %}{% endfor %}{{ n.l }}',
    'line 2',
  ],
};

/** Prints the longest pause of the event loop during `promise`, and returns how often a timer came. */
async function ticksDuring(promise, name) {
  let [ticks, longest] = [0, 0];
  let before = performance.now();
  const look = () => {
    longest = Math.max(longest, performance.now() - before);
    before = performance.now();
  };
  const timer = setInterval(() => (ticks++, look()), 5);
  await promise;
  clearInterval(timer);
  look();
  console.log(`  ${name}: ${ticks} ticks, longest pause ${longest.toFixed(0)} ms`);
  return ticks;
}

for (const worker of [true, false]) {
  for (const [name, [template, ...words]] of Object.entries(hostile)) {
    test(`${name}: invalid-argument, which names the line; worker: ${worker}`, async () => {
      await withModel(await withTemplate(template), { worker }, async (model) => {
        const rendering = refused(model.applyChatTemplate(ASK), 'invalid-argument', ...words);
        const ticks = await ticksDuring(rendering, name);
        // Its steps last for some hundred slices, whatever the machine does beside it.
        if (name === 'nested loops') assert.ok(ticks >= 10, `the event loop turned ${ticks} times`);
        await refused(model.chat.completions.create({ messages: ASK }), 'invalid-argument', ...words);
        assert.ok((await model.generate('a', { maxTokens: 2, ignoreEos: true }).text()) !== undefined);
      });
    });
  }
}

test('150,000 blanks are as quick as any text', async () => {
  await withModel(await withTemplate(`a${' '.repeat(150_000)}{%- if 1 %}b{% endif %}`), {}, async (model) => {
    assert.equal(await model.applyChatTemplate(ASK), 'ab');
  });
});

for (const worker of [true, false]) {
  test(`a signal ends a rendering, and the next one works; worker: ${worker}`, async () => {
    const template = `{% if messages[0].content == 'Hi' %}${NESTED}{% endif %}ok`;
    await withModel(await withTemplate(template), { worker }, async (model) => {
      await model.applyChatTemplate([{ role: 'user', content: 'Ho' }]);
      const reason = new Error('enough');
      const abort = new AbortController();
      const rendering = model.applyChatTemplate(ASK, { signal: abort.signal });
      setTimeout(() => abort.abort(reason), 30);
      await assert.rejects(rendering, (error) => error === reason);
      const chat = new AbortController();
      const answer = model.chat.completions.create({ messages: ASK }, { signal: chat.signal });
      setTimeout(() => chat.abort(reason), 30);
      await assert.rejects(answer, (error) => error === reason);
      assert.equal(await model.applyChatTemplate([{ role: 'user', content: 'Ho' }]), 'ok');
      await assert.rejects(
        model.applyChatTemplate(ASK, { signal: AbortSignal.abort(reason) }),
        (error) => error === reason,
      );
    });
  });
}

test('a rendering goes on while a generation runs, and dispose ends it', async () => {
  const template = `{% if messages[0].content == 'Hi' %}${NESTED}{% endif %}ok`;
  await withModel(await withTemplate(template), {}, async (model) => {
    let tokens = 0;
    for await (const _ of model.generate('a', { maxTokens: 30, ignoreEos: true })) {
      if (tokens++ === 3)
        assert.equal(await model.applyChatTemplate([{ role: 'user', content: 'Ho' }]), 'ok');
    }
    assert.equal(tokens, 30);
    const rendering = model.applyChatTemplate(ASK);
    setTimeout(() => void model.dispose(), 30);
    await refused(rendering, 'disposed');
  });
});

test('what raise_exception was given is in the message, as long as it is', async () => {
  const text = 'Ünwanted '.repeat(100);
  await withModel(await withTemplate(`\n{{ raise_exception("${text}") }}`), {}, async (model) => {
    await refused(model.applyChatTemplate(ASK), 'invalid-argument', 'line 2', text);
  });
});
