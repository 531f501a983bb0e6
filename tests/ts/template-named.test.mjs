// SPDX-License-Identifier: Apache-2.0
// template-named.test.mjs: files with several chat templates, with none, and with something else instead.
import test from 'node:test';
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { estimateModel } from '../../dist/index.js';
import { withKeys } from './chat.mjs';
import { FIXTURE, refused, withModel } from './level2.mjs';

const ASK = [{ role: 'user', content: 'Hi' }];
const tools = [{ type: 'function', function: { name: 'tide' } }];
const NAMED = {
  'tokenizer.chat_templates': ['tool_use', 'rag'],
  'tokenizer.chat_template.tool_use': 'use {{ messages[0].content }} {{ tools[0].function.name }}',
  'tokenizer.chat_template.rag': 'rag {{ messages[0].content }}',
};
const MAIN = { 'tokenizer.chat_template': 'main {{ messages[0].content }}' };
const golden = (name) => fileURLToPath(new URL(`../golden/${name}.gguf`, import.meta.url));

test("a template is chosen by its name; with tools the file's tool_use is the default", async () => {
  await withModel(await withKeys({ ...MAIN, ...NAMED }), {}, async (model) => {
    const { chatTemplate, chatTemplateSource, chatTemplates } = model.info;
    assert.deepEqual(
      { chatTemplate, chatTemplateSource, chatTemplates },
      {
        chatTemplate: MAIN['tokenizer.chat_template'],
        chatTemplateSource: 'file',
        chatTemplates: ['tool_use', 'rag'],
      },
    );
    const render = (options) => model.applyChatTemplate(ASK, options);
    assert.equal(await render(), 'main Hi');
    assert.equal(await render({ tools }), 'use Hi tide');
    assert.equal(await render({ tools: [] }), 'main Hi');
    assert.equal(await render({ tools, chatTemplate: 'default' }), 'main Hi');
    assert.equal(await render({ tools, chatTemplate: 'rag' }), 'rag Hi');
    for (const chatTemplate of ['RAG', '', 'toString', '__proto__']) {
      const error = await refused(render({ chatTemplate }), 'invalid-argument', `'${chatTemplate}'`);
      assert.match(error.hint, /tool_use, rag/);
    }
  });
});

test('without a main template the error lists the names', async () => {
  await withModel(await withKeys(NAMED), {}, async (model) => {
    assert.equal(model.info.chatTemplate, undefined);
    assert.equal(model.info.chatTemplateSource, undefined);
    const error = await refused(model.applyChatTemplate(ASK), 'invalid-argument', 'no chat template');
    assert.match(error.hint, /tool_use, rag/);
    assert.equal(await model.applyChatTemplate(ASK, { chatTemplate: 'rag' }), 'rag Hi');
  });
});

test("a list in the template's place is an error of the chat that says so, and the model works", async () => {
  await withModel(await withKeys({ 'tokenizer.chat_template': ['a', 'b'], ...NAMED }), {}, async (model) => {
    assert.equal(model.info.chatTemplate, undefined);
    await refused(model.applyChatTemplate(ASK), 'invalid-gguf', 'tokenizer.chat_template');
    await refused(
      model.chat.completions.create({ messages: ASK }),
      'invalid-gguf',
      'tokenizer.chat_template',
    );
    assert.equal(await model.applyChatTemplate(ASK, { chatTemplate: 'rag' }), 'rag Hi');
    assert.ok((await model.tokenize('still here')).length > 0);
  });
});

test("without a template the family's is taken if the architecture has one; otherwise the error names format_chat's forms", async () => {
  for (const [name, part] of [
    ['qwen2-q4_k', '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'],
    ['qwen3-f32', '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'],
    ['gemma3-f32', '<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n'],
  ]) {
    await withModel(golden(name), {}, async (model) => {
      assert.equal(model.info.chatTemplateSource, 'architecture', name);
      const text = await model.applyChatTemplate(ASK);
      assert.ok(text.endsWith(part), text);
    });
    assert.equal((await estimateModel(golden(name))).chatTemplateSource, 'architecture');
  }
  await withModel(FIXTURE, {}, async (model) => {
    assert.equal(model.info.chatTemplateSource, undefined);
    assert.deepEqual(model.info.chatTemplates, []);
    const error = await refused(model.applyChatTemplate(ASK), 'invalid-argument', 'no chat template');
    assert.match(error.hint, /format_chat.*chatml, llama2, llama3, gemma, alpaca/);
  });
});
