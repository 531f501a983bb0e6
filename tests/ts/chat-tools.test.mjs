// SPDX-License-Identifier: Apache-2.0
// chat-tools.test.mjs: what chat.completions makes of answers with calls and reasoning, whole and in chunks,
// and what of a request reaches the prompt. The answers are given texts (scripted.mjs).
import test from 'node:test';
import assert from 'node:assert/strict';
import { THINKING, TOOLS, call, collect, refused, scripted, tool } from './scripted.mjs';

const messages = [{ role: 'user', content: 'How is the weather in Paris?' }];
const WEATHER = call('get_weather', { city: 'Paris' });
const NOW = call('now', {});
const asked = { messages, tools: TOOLS };

/** The choices that chunks make, put together here a second time. */
function join(chunks) {
  const choices = [];
  for (const { choices: deltas } of chunks) {
    for (const { index, delta, logprobs, finish_reason } of deltas) {
      const choice = (choices[index] ??= { content: '', reasoning: '', calls: [], logprobs: [] });
      choice.content += delta.content ?? '';
      choice.reasoning += delta.reasoning_content ?? '';
      for (const { index: at, id, type, function: of } of delta.tool_calls ?? []) {
        if (id !== undefined) choice.calls[at] = { id, type, function: { name: of.name, arguments: '' } };
        choice.calls[at].function.arguments += of.arguments;
      }
      choice.logprobs.push(...(logprobs?.content ?? []));
      choice.finish = finish_reason ?? choice.finish;
    }
  }
  return choices;
}

test('an answer with one call has tool_calls, no content, and the finish reason tool_calls', async () => {
  const { create, log } = scripted([WEATHER]);
  const { choices, usage } = await create(asked);
  assert.deepEqual(choices, [
    {
      index: 0,
      message: {
        role: 'assistant',
        content: null,
        refusal: null,
        tool_calls: [
          {
            id: choices[0].message.tool_calls[0].id,
            type: 'function',
            function: { name: 'get_weather', arguments: '{"city":"Paris"}' },
          },
        ],
      },
      logprobs: null,
      finish_reason: 'tool_calls',
    },
  ]);
  assert.match(choices[0].message.tool_calls[0].id, /^call_\w{24}$/);
  assert.deepEqual(log.prompts[0].options, { tools: TOOLS });
  assert.deepEqual(log.prompts[0].messages, messages);
  assert.deepEqual(usage.completion_tokens_details, { reasoning_tokens: 0 });
});

test("a stream gives calls in OpenAI's deltas: index, id, type and name first, then pieces of the arguments", async () => {
  const { create } = scripted([`Let me see.\n${WEATHER}\n${NOW}`]);
  const chunks = await collect(await create({ ...asked, stream: true }));
  const deltas = chunks.map(({ choices: [{ delta }] }) => delta);
  assert.deepEqual(deltas[0], { role: 'assistant', content: '', refusal: null });
  assert.deepEqual(deltas.at(-1), {});
  for (const { tool_calls: calls } of deltas) {
    if (calls === undefined) continue;
    assert.equal(calls.length, 1);
    const [{ index, id, type, function: of }] = calls;
    assert.ok(index === 0 || index === 1);
    if (id === undefined) assert.deepEqual(Object.keys(of), ['arguments']);
    else assert.deepEqual([type, of.arguments], ['function', '']);
  }
  const [choice] = join(chunks);
  assert.equal(choice.content, 'Let me see.');
  assert.deepEqual(
    choice.calls.map(({ function: of }) => [of.name, of.arguments]),
    [
      ['get_weather', '{"city":"Paris"}'],
      ['now', '{}'],
    ],
  );
  assert.ok(deltas.filter(({ tool_calls: calls }) => calls?.[0].index === 0).length > 3, 'in pieces');
  assert.equal(choice.finish, 'tool_calls');
  assert.equal(choices(chunks).filter(({ finish_reason }) => finish_reason !== null).length, 1);
});
const choices = (chunks) => chunks.flatMap(({ choices: list }) => list);

test('a whole answer is the one that the chunks make, whatever it has', async () => {
  const texts = [
    'Hello.',
    '',
    WEATHER,
    `${WEATHER}\n${NOW}`,
    `Text ${WEATHER} and more`,
    '<tool_call>\n{"name": "unknown", "arguments": {}}\n</tool_call>',
    '<tool_call>\n{"name": "now", "argu',
    `<think>Hm.</think>\n\n${WEATHER}`,
    '<think>Hm.</think>\n\nHello.',
    '<think>no end',
  ];
  for (const text of texts) {
    for (const logprobs of [false, true]) {
      const options = { template: THINKING };
      const body = { ...asked, logprobs };
      const whole = await scripted([text], options).create(body);
      const chunks = await collect(await scripted([text], options).create({ ...body, stream: true }));
      const [{ message, finish_reason, logprobs: own }] = whole.choices;
      const [joined] = join(chunks);
      assert.equal(message.content ?? '', joined.content, text);
      assert.equal(message.reasoning_content ?? '', joined.reasoning, text);
      assert.deepEqual(
        (message.tool_calls ?? []).map(({ function: of }) => of),
        joined.calls.map(({ function: of }) => of),
        text,
      );
      assert.equal(finish_reason, joined.finish);
      assert.deepEqual(own?.content ?? [], joined.logprobs);
      assert.equal(message.content === null, joined.calls.length > 0 && joined.content === '', text);
    }
  }
});

test('every token has its log-probability once and in order, also where its text is held back', async () => {
  for (const text of [`Well: ${WEATHER}`, 'a <tool_ca b', '<think>x</think>\n\ny ⟦<|c|>⟧ z', '  ', WEATHER]) {
    const { create } = scripted([text], { template: THINKING });
    const chunks = await collect(await create({ ...asked, logprobs: true, top_logprobs: 1, stream: true }));
    const entries = choices(chunks).flatMap(({ logprobs }) => logprobs?.content ?? []);
    assert.deepEqual(
      entries.map(({ logprob }) => logprob),
      entries.map((_, i) => -i - 1),
    );
    assert.equal(entries.map(({ token }) => token).join(''), text.replace(/[⟦⟧]/g, ''));
    for (const { token, bytes, logprob, top_logprobs: top } of entries) {
      assert.deepEqual(bytes, [...Buffer.from(token)]);
      assert.deepEqual(top, [{ token, bytes, logprob }]);
    }
  }
});

test('a chunk has the log-probabilities of its own text, and of what was held back before it', async () => {
  const { create } = scripted(['Well, this is <tool so. ']);
  const chunks = await collect(await create({ ...asked, logprobs: true, stream: true }));
  let text = '';
  let tokens = '';
  for (const { delta, logprobs } of choices(chunks)) {
    text += delta.content ?? '';
    tokens += (logprobs?.content ?? []).map(({ token }) => token).join('');
    assert.ok(tokens.startsWith(text), `${tokens}: ${text}`);
  }
  assert.equal(text, tokens);
});

test('parallel_tool_calls: false keeps the first call, and leaves the run at the second', async () => {
  const text = `${WEATHER}\n${NOW}${' and more'.repeat(50)}`;
  for (const stream of [false, true]) {
    const { create, log } = scripted([text]);
    const answer = await create({ ...asked, parallel_tool_calls: false, stream, logprobs: true });
    const choice = stream ? join(await collect(answer))[0] : answer.choices[0];
    const calls = stream ? choice.calls : choice.message.tool_calls;
    assert.deepEqual(
      calls.map(({ function: of }) => of.name),
      ['get_weather'],
    );
    assert.equal(stream ? choice.finish : choice.finish_reason, 'tool_calls');
    assert.equal(log.left, 1);
  }
  const { create } = scripted([text]);
  assert.equal(
    (await create({ ...asked, parallel_tool_calls: true })).choices[0].message.tool_calls.length,
    2,
  );
});

test('an answer that reaches max_tokens inside a call has the finish reason length', async () => {
  const { create } = scripted([WEATHER.slice(0, -20)], { finishReason: 'length' });
  const { choices: list } = await create({ ...asked, max_tokens: 10 });
  assert.equal(list[0].finish_reason, 'length');
});

test("tool_choice 'none' leaves the tools in the prompt, as llama-server does, and calls are text", async () => {
  const { create, log } = scripted([WEATHER]);
  const { choices: list } = await create({ ...asked, tool_choice: 'none' });
  assert.deepEqual(log.prompts[0].options, { tools: TOOLS });
  assert.equal(list[0].message.content, WEATHER);
  assert.equal(list[0].finish_reason, 'stop');
  const auto = await scripted([WEATHER]).create({ ...asked, tool_choice: 'auto' });
  assert.equal(auto.choices[0].finish_reason, 'tool_calls');
});

test("tool_choice 'allowed_tools' leaves the other tools out of the prompt and of what is read", async () => {
  const tool_choice = (mode, ...names) => ({
    type: 'allowed_tools',
    allowed_tools: { mode, tools: names.map((name) => ({ type: 'function', function: { name } })) },
  });
  const { create, log } = scripted([`${WEATHER}\n${NOW}`]);
  const { choices: list } = await create({ ...asked, tool_choice: tool_choice('auto', 'now') });
  assert.deepEqual(log.prompts[0].options, { tools: [TOOLS[1]] });
  assert.deepEqual(
    list[0].message.tool_calls.map(({ function: of }) => of.name),
    ['now'],
  );
  for (const [choice, ...words] of [
    [tool_choice('required', 'now'), 'tool_choice', "'required'", 'not in this version'],
    [tool_choice('auto', 'later'), 'tool_choice.allowed_tools.tools[0].function.name'],
    [tool_choice('some'), 'tool_choice.allowed_tools.mode'],
    [{ type: 'allowed_tools' }, 'tool_choice.allowed_tools'],
  ])
    await refused(create({ ...asked, tool_choice: choice }), ...words);
});

test('a marker that is a control token of the vocabulary is text where it is spelled out; otherwise it begins a call', async () => {
  const answer = `[TOOL_CALLS][{"name": "now", "arguments": {}}]`;
  const template = '{% if tools %}[TOOL_CALLS]{% endif %}';
  const ask = async (vocabulary) => {
    const { create } = scripted([answer], { template, ...vocabulary });
    const { choices } = await create(asked);
    return choices[0].message;
  };
  const spelled = await ask({ controls: ['[TOOL_CALLS]'] });
  assert.deepEqual([spelled.content, spelled.tool_calls], [answer, undefined]);
  for (const vocabulary of [{}, { words: ['[TOOL_CALLS]'] }]) {
    const [call] = (await ask(vocabulary)).tool_calls;
    assert.deepEqual([call.function.name, call.function.arguments], ['now', '{}']);
  }
});

test('without tools in the request, what looks like a call is text', async () => {
  const { create } = scripted([WEATHER]);
  const { choices: list } = await create({ messages });
  assert.equal(list[0].message.content, WEATHER);
  assert.ok(!('tool_calls' in list[0].message));
});

test('a call can\'t be forced: "required" and a named tool are refused with a way out', async () => {
  const { create } = scripted(['x']);
  for (const tool_choice of ['required', { type: 'function', function: { name: 'now' } }])
    await assert.rejects(create({ ...asked, tool_choice }), ({ code, message, hint }) => {
      assert.equal(code, 'invalid-argument');
      assert.match(message, /^tool_choice .*not in this version/);
      assert.match(hint, /'auto'/);
      return true;
    });
  await refused(create({ ...asked, tool_choice: 'maybe' }), "tool_choice is 'maybe'");
});

test('reasoning is split off where the template thinks, and its tokens are counted', async () => {
  const reasoning = 'The user greets me. ';
  for (const [text, promptTail] of [
    [`<think>\n${reasoning}\n</think>\n\nHello.`, ''],
    [`${reasoning}\n</think>\n\nHello.`, 'assistant\n<think>\n'],
  ]) {
    const { create } = scripted([text], { template: THINKING, promptTail });
    const { choices: list, usage } = await create({ messages });
    assert.equal(list[0].message.content, 'Hello.');
    assert.equal(list[0].message.reasoning_content.trim(), reasoning.trim());
    const { reasoning_tokens: count } = usage.completion_tokens_details;
    const own = text.length - 'Hello.'.length;
    assert.ok(
      Math.abs(count - own / 2) <= 3,
      `${count} tokens of 2 characters on average have ${own} characters`,
    );
    assert.ok(usage.completion_tokens > count);
  }
  const { create } = scripted(['<think>Hm.</think>Hi'], { template: THINKING });
  const { choices: kept, usage } = await create({ messages, reasoning_format: 'none' });
  assert.equal(kept[0].message.content, '<think>Hm.</think>Hi');
  assert.equal(usage.completion_tokens_details.reasoning_tokens, 0);
  const cut = await scripted(['<think>Hm'], { template: THINKING, finishReason: 'length' }).create({
    messages,
  });
  assert.equal(cut.usage.completion_tokens_details.reasoning_tokens, cut.usage.completion_tokens);
  assert.deepEqual([cut.choices[0].message.content, cut.choices[0].finish_reason], ['', 'length']);
});

test('tool_format overrides what the template shows', async () => {
  const plain = { template: '{{ messages }}' };
  const none = await scripted([WEATHER], plain).create({ ...asked, tool_format: 'none' });
  assert.equal(none.choices[0].message.content, WEATHER);
  const hermes = await scripted([WEATHER], plain).create({ ...asked, tool_format: 'hermes' });
  assert.equal(hermes.choices[0].finish_reason, 'tool_calls');
  await refused(
    scripted([WEATHER]).create({ ...asked, tool_format: 'other' }),

    'tool_format',
    'hermes',
  );
});

test('n answers come one after the other over one prompt, with seeds in a row; usage is their sum', async () => {
  const texts = ['One.', WEATHER, 'Three, a longer one.'];
  for (const stream of [false, true]) {
    const { create, log } = scripted(texts);
    const body = {
      ...asked,
      n: 3,
      seed: 5,
      stream,
      ...(stream ? { stream_options: { include_usage: true } } : {}),
    };
    const answer = await create(body);
    const chunks = stream ? await collect(answer) : [];
    assert.equal(log.prompts.length, 1);
    assert.deepEqual(
      log.runs.map(({ seed }) => seed),
      [5, 6, 7],
    );
    const tokens = texts.map((text) => scriptedTokens(text));
    const usage = stream ? chunks.at(-1).usage : answer.usage;
    const sum = tokens.reduce((a, b) => a + b);
    assert.deepEqual(usage, {
      prompt_tokens: 3,
      completion_tokens: sum,
      total_tokens: 3 + sum,
      prompt_tokens_details: { cached_tokens: 1 },
      completion_tokens_details: { reasoning_tokens: 0 },
    });
    if (stream) {
      const joined = join(chunks);
      assert.deepEqual(
        joined.map(({ finish }) => finish),
        ['stop', 'tool_calls', 'stop'],
      );
      assert.deepEqual(
        joined.map(({ content }) => content),
        ['One.', '', 'Three, a longer one.'],
      );
      const roles = choices(chunks).filter(({ delta }) => delta.role === 'assistant');
      assert.deepEqual(
        roles.map(({ index }) => index),
        [0, 1, 2],
      );
      assert.equal(answer.stats.tokens, tokens[2]);
    } else {
      assert.deepEqual(
        answer.choices.map(({ index, message, finish_reason }) => [index, message.content, finish_reason]),
        [
          [0, 'One.', 'stop'],
          [1, null, 'tool_calls'],
          [2, 'Three, a longer one.', 'stop'],
        ],
      );
    }
  }
  const unseeded = scripted(texts);
  await unseeded.create({ messages, n: 2 });
  assert.deepEqual(
    unseeded.log.runs.map(({ seed }) => seed),
    [undefined, undefined],
  );
  const last = scripted(texts);
  await last.create({ messages, n: 4, seed: Number.MAX_SAFE_INTEGER });
  assert.deepEqual(
    last.log.runs.map(({ seed }) => seed),
    [Number.MAX_SAFE_INTEGER, 0, 1, 2],
  );
  for (const n of [0, 129, 1.5, '2']) await refused(scripted(texts).create({ messages, n }), 'n is');
});
/** Tokens of a text: their widths are 1, 2, 3, 1, ... */
function scriptedTokens(text) {
  let count = 0;
  for (let at = 0, width = 1; at < text.length; at += width, width = (width % 3) + 1) count++;
  return count;
}

test('break in the loop over n choices stops the run at hand, and no other begins', async () => {
  const { create, log } = scripted(['One.', 'Two.']);
  for await (const { choices: list } of await create({ messages, n: 2, stream: true }))
    if (list[0].delta.content) break;
  assert.deepEqual([log.runs.length, log.left], [1, 1]);
  const aborted = scripted(['One.', 'Two.']);
  const stream = await aborted.create({ messages, n: 2, stream: true });
  for await (const { choices: list } of stream) if (list[0].finish_reason) stream.controller.abort();
  assert.equal(aborted.log.runs.length, 1);
});

test('calls, their results and reasoning reach the prompt, and an answer can be sent back as it is', async () => {
  const { create, log } = scripted([`<think>Hm.</think>\n${WEATHER}`, 'Sunny.'], { template: THINKING });
  const first = await create(asked);
  const { message } = first.choices[0];
  const [{ id }] = message.tool_calls;
  const result = { role: 'tool', tool_call_id: id, content: [{ type: 'text', text: '20 degrees' }] };
  await create({ ...asked, messages: [...messages, message, result] });
  const { refusal: _, ...sent } = message;
  assert.deepEqual(log.prompts[1].messages, [...messages, sent, result]);
});

test('what is for the template reaches it: variables, a name, where the prompt ends', async () => {
  const cases = [
    [{ chat_template_kwargs: { enable_thinking: false } }, { templateKwargs: { enable_thinking: false } }],
    [{ reasoning_effort: 'low' }, { templateKwargs: { reasoning_effort: 'low' } }],
    [
      { reasoning_effort: 'low', chat_template_kwargs: { reasoning_effort: 'high', a: [1] } },
      { templateKwargs: { reasoning_effort: 'high', a: [1] } },
    ],
    [{ chat_template: 'tool_use' }, { chatTemplate: 'tool_use' }],
    [{ add_generation_prompt: false }, { addGenerationPrompt: false }],
    [{ continue_final_message: true }, { continueFinalMessage: true }],
    [
      { extra_body: { continue_final_message: true, chat_template: 'x' } },
      { chatTemplate: 'x', continueFinalMessage: true },
    ],
    [{ chat_template: null, reasoning_effort: null, tools: [] }, {}],
  ];
  for (const [body, options] of cases) {
    const { create, log } = scripted(['x']);
    await create({ messages, ...body });
    assert.deepEqual(log.prompts[0].options, options, JSON.stringify(body));
  }
  const { create } = scripted(['x']);
  for (const [body, name] of [
    [{ chat_template_kwargs: 3 }, 'chat_template_kwargs'],
    [{ chat_template: {} }, 'chat_template'],
    [{ continue_final_message: 'yes' }, 'continue_final_message'],
    [{ add_generation_prompt: 1 }, 'add_generation_prompt'],
    [{ reasoning_effort: 3 }, 'reasoning_effort'],
    [{ chat_template: 'a', extra_body: { chat_template: 'b' } }, 'chat_template is given twice'],
    [{ reasoning_format: 'deepseek' }, 'reasoning_format'],
  ])
    await refused(create({ messages, ...body }), name);
});

test('wrong tools and messages are refused by name', async () => {
  const { create } = scripted(['x']);
  const bad = { type: 'function', function: { name: 'f', parameters: 3 } };
  const circular = tool('f');
  circular.function.parameters.properties.self = circular;
  const refusals = [
    [{ tools: 'f' }, 'tools is'],
    [{ tools: [null] }, 'tools[0]'],
    [{ tools: [{ type: 'custom', custom: { name: 'f' } }] }, 'tools[0].type "custom"', 'not in this version'],
    [{ tools: [{ type: 'function' }] }, 'tools[0].function is undefined'],
    [{ tools: [{ type: 'function', function: { name: '' } }] }, 'tools[0].function.name'],
    [{ tools: [bad] }, 'tools[0].function.parameters'],
    [{ tools: [tool('f'), tool('f')] }, 'tools[1].function.name', 'before'],
    [{ tools: [circular] }, 'tools[0]'],
    [{ parallel_tool_calls: 1 }, 'parallel_tool_calls'],
    [{ functions: [{}] }, 'functions', 'not in this version'],
    [{ function_call: 'auto' }, 'function_call', 'not in this version'],
  ];
  for (const [body, ...words] of refusals) await refused(create({ messages, ...body }), ...words);
  const wrong = [
    [{ role: 'tool', content: 'x' }, '[0].tool_call_id is missing'],
    [{ role: 'tool', content: 'x', tool_call_id: 3 }, '[0].tool_call_id is 3'],
    [{ role: 'tool', tool_call_id: 'a' }, '[0].content is undefined'],
    [{ role: 'function', name: 'f', content: 'x' }, "[0].role 'function'", 'not in this version'],
    [{ role: 'user', content: 'x', tool_call_id: 'a' }, "no field 'tool_call_id'"],
    [{ role: 'user', content: 'x', tool_calls: [{}] }, "no field 'tool_calls'"],
    [{ role: 'user', content: 'x', reasoning_content: 'y' }, "no field 'reasoning_content'"],
    [{ role: 'assistant' }, '[0].content is undefined'],
    [{ role: 'assistant', tool_calls: {} }, '[0].tool_calls'],
    [{ role: 'assistant', tool_calls: [{ id: 1 }] }, '[0].tool_calls[0].id'],
    [{ role: 'assistant', tool_calls: [{ id: 'a', function: {} }] }, '[0].tool_calls[0].function.name'],
    [
      { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: {} } }] },
      '[0].tool_calls[0].function.arguments',
    ],
    [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'custom' }] }, '[0].tool_calls[0].type'],
    [{ role: 'assistant', content: 'x', reasoning_content: 3 }, '[0].reasoning_content'],
    [{ role: 'assistant', content: 'x', audio: { id: 'a' } }, '[0].audio', 'not in this version'],
  ];
  for (const [message, ...words] of wrong) await refused(create({ messages: [message] }), ...words);
});

test('a request is read as it is at the call, deep inside too', async () => {
  const { create, log } = scripted(['x']);
  const body = {
    messages: [{ role: 'user', content: [{ type: 'text', text: 'before' }] }],
    tools: [tool('f')],
  };
  const answer = create(body);
  body.messages[0].content[0].text = 'after';
  body.tools[0].function.name = 'g';
  await answer;
  assert.equal(log.prompts[0].messages[0].content[0].text, 'before');
  assert.equal(log.prompts[0].options.tools[0].function.name, 'f');
});
