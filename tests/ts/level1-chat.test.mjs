// SPDX-License-Identifier: Apache-2.0
// level1-chat.test.mjs: format_chat_messages renders what applyChatTemplate renders.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import init, { WasmModel } from '../../dist/index.js';
import { withTemplate } from './chat.mjs';
import { FIXTURE, refused, withModel } from './level2.mjs';

const TEMPLATE =
  '{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}' +
  '{% for t in tools or [] %}[{{ t.function.name }}]{% endfor %}{{ mood | default("") }}' +
  '{% if add_generation_prompt %}<bot>{% endif %}';
const ASK = [{ role: 'user', content: 'Hi "you"' }];
const tools = [{ type: 'function', function: { name: 'tide' } }];

async function withLevel1(bytes, use) {
  await init();
  const model = new WasmModel(bytes);
  try {
    return await use(model);
  } finally {
    model.free();
  }
}

test('format_chat_messages takes messages, or an object with tools and variables', async () => {
  const bytes = await withTemplate(TEMPLATE);
  await withLevel1(bytes, async (model) => {
    const format = (value) => model.format_chat_messages(JSON.stringify(value));
    await withModel(bytes, {}, async (other) => {
      assert.equal(await format(ASK), await other.applyChatTemplate(ASK));
      assert.equal(
        await format({ messages: ASK, tools, mood: '!', add_generation_prompt: false }),
        await other.applyChatTemplate(ASK, {
          tools,
          templateKwargs: { mood: '!' },
          addGenerationPrompt: false,
        }),
      );
      const turns = [...ASK, { role: 'assistant', content: 'Well' }];
      assert.equal(
        await format({ messages: turns, continue_final_message: true }),
        await other.applyChatTemplate(turns, { continueFinalMessage: true }),
      );
      assert.equal(
        await format({ messages: ASK, chat_template: 'default' }),
        await other.applyChatTemplate(ASK),
      );
    });
    const prompt = await format(ASK);
    model.set_config(3, 0, 1, 0, 1);
    assert.equal(typeof model.generate(prompt), 'string');
    assert.equal((await Promise.all([format(ASK), format(ASK)])).join(), [prompt, prompt].join());
  });
});

test('format_chat_messages refuses what is no conversation, and the model works', async () => {
  await withLevel1(
    await withTemplate(`{% if messages | length > 1 %}{{ raise_exception('one!') }}{% endif %}`),
    async (model) => {
      for (const [json, word] of [
        ['{"messages"', "isn't JSON"],
        ['3', 'messages_json'],
        ['null', 'messages_json'],
        ['{}', 'messages is not an array'],
        ['[3]', 'messages[0]'],
        ['[{}, {}]', 'line 1: one!'],
        ['{"messages": [], "chat_template": "rag"}', "'rag'"],
        [undefined, 'messages_json'],
        [[], 'messages_json'],
      ])
        await refused(model.format_chat_messages(json), 'invalid-argument', word);
      assert.equal(await model.format_chat_messages('[]'), '');
    },
  );
  await withLevel1(new Uint8Array(await readFile(FIXTURE)), async (model) => {
    await refused(model.format_chat_messages('[]'), 'invalid-argument', 'no chat template');
    const pending = model.format_chat_messages('[]');
    model.free();
    await refused(pending, 'disposed');
    await refused(model.format_chat_messages('[]'), 'disposed');
  });
});

test('a hostile template ends at level 1 too, and the event loop turns', async () => {
  const loops = [1, 2, 3, 4].map((i) => `{% for a${i} in l %}`).join('') + '{% endfor %}'.repeat(4);
  await withLevel1(await withTemplate(`{% set l = range(300) | list %}\n${loops}`), async (model) => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 5);
    await refused(model.format_chat_messages('[]'), 'invalid-argument', 'line 2', 'too many steps');
    clearInterval(timer);
    assert.ok(ticks > 5, `${ticks} ticks`);
  });
});
