// SPDX-License-Identifier: Apache-2.0
// openai-client.test.mjs: our streams, read by the stream readers of OpenAI's own client.
import test from 'node:test';
import assert from 'node:assert/strict';
import { ChatCompletionStream } from 'openai/lib/ChatCompletionStream';
import { Stream } from 'openai/streaming';
import { CHATML, withTemplate } from './chat.mjs';
import { withModel } from './level2.mjs';
import { THINKING, TOOLS, call, collect, scripted } from './scripted.mjs';

const messages = [{ role: 'user', content: 'How is the weather in Paris?' }];
const TEXTS = [
  'Hello, how are you?',
  `Let me see.\n${call('get_weather', { city: 'Paris "la belle" é' })}\n${call('now', {})}`,
  `<think>They ask for the time.</think>\n\n${call('now', {})}`,
];

test("the client's reader collects text, calls, log-probabilities and usage as our whole answer has them", async () => {
  for (const text of TEXTS) {
    const body = { messages, tools: TOOLS, logprobs: true, top_logprobs: 1 };
    const whole = await scripted([text], { template: THINKING }).create(body);
    const { create } = scripted([text], { template: THINKING });
    const stream = await create({ ...body, stream: true, stream_options: { include_usage: true } });
    const runner = ChatCompletionStream.fromReadableStream(stream.toReadableStream());
    const seen = { content: '', calls: [] };
    runner.on('content', (delta) => (seen.content += delta));
    runner.on('tool_calls.function.arguments.done', ({ index, name, arguments: of }) => {
      seen.calls[index] = [name, of];
    });
    const { choices, usage } = await runner.finalChatCompletion();
    const [{ message, finish_reason, logprobs }] = choices;
    const [own] = whole.choices;
    assert.equal(finish_reason, own.finish_reason);
    assert.equal(message.content ?? '', own.message.content ?? '');
    assert.equal(seen.content, own.message.content ?? '');
    const named = (calls = []) => calls.map(({ type, function: of }) => [type, of.name, of.arguments]);
    assert.deepEqual(named(message.tool_calls), named(own.message.tool_calls));
    assert.deepEqual(
      seen.calls,
      named(own.message.tool_calls).map(([, name, of]) => [name, of]),
    );
    for (const { id } of message.tool_calls ?? []) assert.match(id, /^call_/);
    assert.deepEqual(logprobs, own.logprobs);
    assert.deepEqual(usage, whole.usage);
  }
});

test("the client's reader keeps n choices apart", async () => {
  const { create } = scripted(TEXTS, { template: THINKING });
  const stream = await create({ messages, tools: TOOLS, n: 3, stream: true });
  const { choices } = await ChatCompletionStream.fromReadableStream(
    stream.toReadableStream(),
  ).finalChatCompletion();
  assert.deepEqual(
    choices.map(({ index, finish_reason, message }) => [
      index,
      finish_reason,
      message.content ?? null,
      (message.tool_calls ?? []).map(({ function: of }) => of.name),
    ]),
    [
      [0, 'stop', 'Hello, how are you?', []],
      [1, 'tool_calls', 'Let me see.', ['get_weather', 'now']],
      [2, 'tool_calls', null, ['now']],
    ],
  );
});

test("the client's Stream reads the same chunks as a loop over ours, from a real model", async () => {
  const source = await withTemplate(CHATML);
  await withModel(source, { threads: 1 }, async (model) => {
    const body = { messages, temperature: 0, max_tokens: 8, n: 2, stream: true };
    const own = await collect(await model.chat.completions.create(body));
    const stream = await model.chat.completions.create(body);
    const theirs = await collect(Stream.fromReadableStream(stream.toReadableStream(), stream.controller));
    const choices = (chunks) => chunks.map((chunk) => chunk.choices);
    assert.deepEqual(choices(theirs), choices(own));
    assert.deepEqual([...new Set(own.map((chunk) => chunk.choices[0].index))], [0, 1]);
  });
});

test("leaving the loop over the client's Stream stops our run", async () => {
  const source = await withTemplate(CHATML);
  await withModel(source, { threads: 1 }, async (model) => {
    const stream = await model.chat.completions.create({
      messages,
      stream: true,
      temperature: 0,
      max_tokens: 150,
    });
    let count = 0;
    for await (const _ of Stream.fromReadableStream(stream.toReadableStream(), stream.controller))
      if (++count === 3) break;
    await model.chat.completions.create({ messages, max_tokens: 1 }); // waits for the run's end
    assert.equal(stream.stats.finishReason, 'abort');
    assert.ok(stream.stats.tokens < 20, `${stream.stats.tokens} tokens were taken`);
  });
});
