// SPDX-License-Identifier: Apache-2.0
// template-tokens.test.mjs: the ids of a chat's prompt are llama-server's (template-tokens.golden.py), the
// same by chat.completions and by generate(await applyChatTemplate()), over vocabularies with BOS and EOS and
// without.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { withContext, withKeys } from './chat.mjs';
import { withModel } from './level2.mjs';

const golden = JSON.parse(await readFile(new URL('template-tokens.golden.json', import.meta.url), 'utf8'));
const digest = (ids) => createHash('sha256').update(Array.from(ids).join(',')).digest('hex').slice(0, 16);

for (const { fixture, adds, cases } of golden.runs) {
  const added = adds === null ? {} : { add_bos_token: adds, add_eos_token: adds };
  test(`${fixture}, BOS and EOS ${adds === null ? 'as the file says' : adds ? 'added' : 'not added'}: the ids of ${cases.length} prompts are llama-server's`, async () => {
    const keys = Object.fromEntries(
      Object.entries(added).map(([name, value]) => [`tokenizer.ggml.${name}`, value]),
    );
    for (const [name, template] of Object.entries(golden.templates)) {
      const file = fileURLToPath(new URL(`../golden/${fixture}.gguf`, import.meta.url));
      const bytes = await withKeys({ ...keys, 'tokenizer.chat_template': template }, file);
      await withModel(
        withContext(bytes, 2048),
        { threads: 1, contextLength: 2048, worker: false },
        async (model) => {
          const session = await model.createSession();
          for (const { template: of, chat, ids: n, sha256 } of cases) {
            if (of !== name) continue;
            const at = `${name}, ${chat}`;
            const { messages, add_generation_prompt: addGenerationPrompt } = golden.chats[chat];
            const text = await model.applyChatTemplate(messages, { addGenerationPrompt });
            const run = session.generate(text, { maxTokens: 1, ignoreEos: true });
            await run.text();
            const ids = session.tokens.slice(0, run.stats.promptTokens);
            assert.equal(ids.length, n, at);
            assert.equal(digest(ids), sha256, at);
            if (!addGenerationPrompt) continue;
            // The last id of the prompt is evaluated again: all others are the same.
            const { usage } = await session.chat.completions.create({
              messages,
              max_tokens: 1,
              temperature: 0,
            });
            assert.equal(usage.prompt_tokens, n, at);
            assert.equal(usage.prompt_tokens_details.cached_tokens, n - 1, at);
            assert.deepEqual(session.tokens.slice(0, n), ids, at);
          }
          await session.dispose();
        },
      );
    }
  });
}

const call = (name, args) => ({ id: 'call00001', type: 'function', function: { name, arguments: args } });
const tools = ['count_stones', 'tide'].map((name) => ({
  type: 'function',
  function: { name, description: `"${name}"`, parameters: { type: 'object', properties: {} } },
}));
const ask = { role: 'user', content: 'How many stones?' };
const requests = {
  tools: { messages: [{ role: 'system', content: 'Be brief.' }, ask], tools },
  calls: {
    messages: [
      ask,
      {
        role: 'assistant',
        content: null,
        tool_calls: [call('count_stones', '{"beach": "Étretat", "least": 3}')],
      },
      { role: 'tool', tool_call_id: 'call00001', content: '{"n": 12}' },
      { role: 'assistant', content: 'Twelve.' },
      ask,
    ],
    tools,
  },
  parts: { messages: [{ role: 'user', content: [1, 2].map((n) => ({ type: 'text', text: `Part ${n}` })) }] },
  developer: { messages: [{ role: 'developer', content: 'Be brief.' }, ask] },
  reasoning: {
    messages: [ask, { role: 'assistant', content: 'Twelve.', reasoning_content: 'Counting.' }, ask],
    chat_template_kwargs: { enable_thinking: false },
  },
  continued: {
    messages: [ask, { role: 'assistant', content: 'There are ' }],
    continue_final_message: true,
  },
  'without a prompt': { messages: [ask], add_generation_prompt: false },
  named: { messages: [ask], tools, chat_template: 'further' },
};

test('chat.completions and generate(await applyChatTemplate()) read the same ids, whatever is asked', async () => {
  let count = 0;
  for (const [name, template] of Object.entries(golden.templates)) {
    const file = fileURLToPath(new URL('../golden/f16-d128-spm.gguf', import.meta.url));
    const keys = {
      'tokenizer.chat_template': template,
      'tokenizer.chat_template.further': `further ${template}`,
      'tokenizer.ggml.add_eos_token': true,
    };
    const bytes = withContext(await withKeys(keys, file), 4096);
    await withModel(bytes, { threads: 1, contextLength: 4096, worker: false }, async (model) => {
      const session = await model.createSession();
      for (const [of, request] of Object.entries(requests)) {
        const options = {
          tools: request.tools,
          addGenerationPrompt: request.add_generation_prompt,
          continueFinalMessage: request.continue_final_message,
          chatTemplate: request.chat_template,
          templateKwargs: request.chat_template_kwargs,
          toolsInText: true,
        };
        const text = await model.applyChatTemplate(request.messages, options).catch((error) => error);
        const body = { ...request, max_tokens: 1, temperature: 0 };
        if (text instanceof Error) {
          await assert.rejects(session.chat.completions.create(body), { message: text.message });
          continue;
        }
        const run = session.generate(text, { maxTokens: 1, ignoreEos: true });
        await run.text();
        const ids = session.tokens.slice(0, run.stats.promptTokens);
        const { usage } = await session.chat.completions.create(body);
        assert.deepEqual(session.tokens.slice(0, usage.prompt_tokens), ids, `${name}, ${of}`);
        count++;
      }
      await session.dispose();
    });
  }
  assert.ok(count > 100, `${count} prompts`);
});
