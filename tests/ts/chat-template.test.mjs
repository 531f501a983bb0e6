// SPDX-License-Identifier: Apache-2.0
// chat-template.test.mjs: compares applyChatTemplate with jinja2 (chat-template.golden.py); tests errors.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { withTemplate } from './chat.mjs';
import { FIXTURE, SMOLLM2, needsModel, refused, withModel } from './level2.mjs';

const golden = JSON.parse(await readFile(new URL('chat-template.golden.json', import.meta.url), 'utf8'));

async function check(model, cases) {
  for (const { messages, addGenerationPrompt, text, error } of cases) {
    const rendered = model.applyChatTemplate(messages, { addGenerationPrompt });
    if (error !== undefined) await refused(rendered, 'invalid-argument', error);
    else assert.equal(await rendered, text, JSON.stringify({ messages, addGenerationPrompt }));
  }
}

for (const { name, template, cases } of golden.templates) {
  test(`a template renders as in jinja2: ${name}`, async () => {
    await withModel(await withTemplate(template), {}, async (model) => {
      assert.ok(model.info.chatTemplate.startsWith(template));
      await check(model, cases);
    });
  });
}

test("SmolLM2's own template renders as in jinja2", needsModel, () =>
  withModel(SMOLLM2, {}, (model) => check(model, golden.smollm2)),
);

test("a missing template, one that can't be parsed and one that raises an exception are invalid-argument, and the message says why", async () => {
  const messages = [{ role: 'user', content: 'Hi' }];
  await withModel(FIXTURE, {}, async (model) => {
    assert.equal(model.info.chatTemplate, undefined);
    const error = await refused(model.applyChatTemplate(messages), 'invalid-argument', 'no chat template');
    assert.match(error.hint, /base model/);
    await refused(model.chat.completions.create({ messages }), 'invalid-argument', 'no chat template');
  });
  for (const [template, word] of [
    ['{% for m in messages %}', "chat template, line 1: a block isn't closed"],
    ['{{ raise_exception("only English") }}', 'only English'],
    ['{{ messages | shout }}', 'shout'],
  ]) {
    await withModel(await withTemplate(template), {}, async (model) => {
      await refused(model.applyChatTemplate(messages), 'invalid-argument', word);
      await refused(model.chat.completions.create({ messages, stream: true }), 'invalid-argument', word);
      assert.equal((await model.tokenize('still here')).length > 0, true);
    });
  }
});
