// SPDX-License-Identifier: Apache-2.0
// chat-tools.test.mjs: a conversation with a tool, with a real model and its own template.
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { fileOf, needs } from '../reference/real.mjs';
import { collect } from '../ts/scripted.mjs';

const NAME = 'qwen2.5-coder-0.5b';
const tools = [
  {
    type: 'function',
    function: {
      name: 'get_weather',
      description: 'Get the current weather of a city',
      parameters: {
        type: 'object',
        properties: { city: { type: 'string', description: 'Name of the city' } },
        required: ['city'],
      },
    },
  },
];

test(
  'Qwen2.5 calls a tool, whole and in a stream, and its result is in the next prompt',
  needs(NAME),
  async () => {
    const model = await loadModel(fileOf(NAME), { threads: 2, contextLength: 1024 });
    try {
      const messages = [{ role: 'user', content: 'What is the weather in Paris?' }];
      const ask = { messages, tools, temperature: 0, max_tokens: 60 };
      const { choices, usage } = await model.chat.completions.create(ask);
      const [{ message, finish_reason }] = choices;
      assert.equal(finish_reason, 'tool_calls', JSON.stringify(message));
      const [call] = message.tool_calls;
      assert.equal(call.function.name, 'get_weather');
      assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Paris' });

      const chunks = await collect(await model.chat.completions.create({ ...ask, stream: true }));
      const pieces = chunks.flatMap((chunk) => chunk.choices[0].delta.tool_calls ?? []);
      assert.equal(pieces.map(({ function: of }) => of.arguments).join(''), call.function.arguments);
      assert.ok(pieces.length > 3, 'the arguments come in pieces');
      assert.equal(chunks.at(-1).choices[0].finish_reason, 'tool_calls');

      const result = { role: 'tool', tool_call_id: call.id, content: '{"temperature": 21, "sky": "clear"}' };
      const next = [...messages, message, result];
      const text = await model.applyChatTemplate(next, { tools });
      assert.match(
        text,
        /"name": "get_weather", "arguments": \{"city": "Paris"\}[^]*<tool_response>[^]*"sky": "clear"/,
      );
      const second = await model.chat.completions.create({ ...ask, messages: next, max_tokens: 1 });
      assert.equal(second.usage.prompt_tokens, (await model.tokenize(text)).length);
      assert.ok(
        second.usage.prompt_tokens_details.cached_tokens >= usage.prompt_tokens - 1,
        'the turn before is kept',
      );
    } finally {
      await model.dispose();
    }
  },
);
