// SPDX-License-Identifier: Apache-2.0
// chat-overflow.test.mjs: chat.completions.create with a conversation that is longer than the context.
import test from 'node:test';
import assert from 'node:assert/strict';
import { CHATML, withTemplate, promptIds } from './chat.mjs';
import { refused, withModel } from './level2.mjs';
import { collect } from './scripted.mjs';

const fixture = await withTemplate(CHATML);
const asked = [{ role: 'user', content: 'Hi there' }];
const greedy = { messages: asked, temperature: 0, max_tokens: 12 };
const withChat = (use) =>
  withModel(fixture, { threads: 1 }, (model) =>
    use(model, (body, more) => model.chat.completions.create(body, more)),
  );

/** A conversation of `turns` turns behind a system message, which ends with a question. */
function conversation(turns) {
  const messages = [{ role: 'system', content: 'Be kind.' }];
  for (let i = 0; i < turns; i++)
    messages.push(
      { role: 'user', content: `question ${i} of many` },
      { role: 'assistant', content: `answer number ${i}, some words long` },
    );
  return [...messages, { role: 'user', content: `question ${turns} of many` }];
}

test("overflow 'drop-oldest' keeps the system message and whole turns, and leaves room for max_tokens", () =>
  withChat(async (model, create) => {
    const { contextLength } = model.info;
    const count = async (messages) => (await promptIds(model, messages)).length;
    let drops = 0;
    for (let turns = 0; turns < 30; turns++) {
      const messages = conversation(turns);
      const body = { messages, temperature: 0, max_tokens: 40, overflow: 'drop-oldest' };
      const { usage } = await create(body);
      const { dropped_messages: dropped } = usage;
      assert.equal(dropped % 2, 0, 'whole turns');
      const kept = [messages[0], ...messages.slice(1 + dropped)];
      assert.equal(kept[1].role, 'user');
      assert.equal(usage.prompt_tokens, await count(kept), 'the system message and the newest turns');
      assert.ok(usage.prompt_tokens + 40 <= contextLength);
      if ((await count(messages)) + 40 <= contextLength) assert.equal(dropped, 0);
      else drops += 1;
      const stream = await create({ ...body, stream: true, stream_options: { include_usage: true } });
      const chunks = await collect(stream);
      assert.equal(stream.droppedMessages, dropped);
      assert.equal(chunks.at(-1).usage.dropped_messages, dropped);
      await refused(create({ ...body, messages: conversation(60), overflow: 'error' }), 'context-full');
    }
    assert.ok(drops > 5, `${drops} conversations were too long`);
  }));

test('a cut lasts for several turns, whose prefix is cached', () =>
  withChat(async (_, create) => {
    const cuts = [];
    let before = 0;
    for (let turns = 0; turns < 40; turns++) {
      const { usage } = await create({
        messages: conversation(turns),
        temperature: 0,
        max_tokens: 4,
        overflow: 'drop-oldest',
      });
      const { cached_tokens } = usage.prompt_tokens_details;
      if (usage.dropped_messages === cuts.at(-1) && turns > 0)
        assert.ok(
          cached_tokens >= before - 1,
          `${cached_tokens} of the ${before} tokens before were cached at turn ${turns}`,
        );
      before = usage.prompt_tokens;
      cuts.push(usage.dropped_messages);
    }
    const changes = cuts.filter((cut, i) => i > 0 && cut !== cuts[i - 1]).length;
    assert.ok(cuts.at(-1) > 40, `${cuts.at(-1)} messages were dropped at the end`);
    assert.ok(changes > 2 && changes < 20, `the cut moved ${changes} times: ${cuts}`);
  }));

test('drop-oldest with one turn, without turns, and with a turn that is too long', () =>
  withChat(async (model, create) => {
    const body = { temperature: 0, max_tokens: 4, overflow: 'drop-oldest' };
    const plain = await create({ ...greedy, max_tokens: 4 });
    const same = await create({ ...body, messages: asked });
    assert.deepEqual(same.choices, plain.choices);
    assert.equal(same.usage.dropped_messages, 0);
    assert.equal('dropped_messages' in plain.usage, false);
    await create({ ...body, messages: [{ role: 'system', content: 'Alone' }] });
    const long = { role: 'user', content: 'many words '.repeat(100) };
    await refused(create({ ...body, messages: [...conversation(3), long] }), 'context-full');
    // A last turn that leaves less than max_tokens is answered as far as the context goes.
    const words = { role: 'user', content: 'word '.repeat(60) };
    const { usage } = await create({
      ...body,
      max_tokens: 200,
      messages: [...conversation(3).slice(0, -1), words],
    });
    assert.equal(usage.dropped_messages, 6);
    await refused(create({ ...body, messages: asked, overflow: 'drop' }), 'invalid-argument', 'overflow');
    // A greeting before the first question belongs to the first turn.
    const greeted = [{ role: 'assistant', content: 'Welcome' }, ...conversation(20).slice(1)];
    const { usage: after } = await create({ ...body, messages: greeted });
    assert.equal(after.dropped_messages % 2, 1);
  }));
