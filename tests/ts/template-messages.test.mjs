// SPDX-License-Identifier: Apache-2.0
// template-messages.test.mjs: OpenAI's messages in the form that each template reads, the options of
// applyChatTemplate, and what is merged or continued.
import test from 'node:test';
import assert from 'node:assert/strict';
import { promptIds, withContext, withTemplate } from './chat.mjs';
import { refused, withModel } from './level2.mjs';

const ASK = [{ role: 'user', content: 'Hi' }];
const withText = async (template, use) => withModel(await withTemplate(template), {}, use);

const TURNS =
  '{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<bot>{% endif %}';
/** Reads a text or its parts. */
const BOTH =
  '{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}' +
  "{% for p in m.content %}{% if p.type == 'text' %}[{{ p.text }}]{% endif %}{% endfor %}{% endif %}</>{% endfor %}";
/** Reads parts alone. */
const PARTS =
  "{% for m in messages %}<{{ m.role }}>{% for p in m.content %}{% if p['type'] == 'text' %}[{{ p['text'] }}]" +
  '{% endif %}{% endfor %}</>{% endfor %}';
const parted = [
  {
    role: 'user',
    content: [
      { type: 'text', text: 'One' },
      { type: 'text', text: 'two' },
    ],
  },
];

test('parts are joined by line ends where a template reads text, and stay where it reads parts', async () => {
  await withText(TURNS, async (model) => {
    assert.equal(await model.applyChatTemplate(parted), '<user>One\ntwo</><bot>');
  });
  await withText(BOTH, async (model) => {
    assert.equal(await model.applyChatTemplate(parted), '<user>[One][two]</>');
    assert.equal(await model.applyChatTemplate(ASK), '<user>Hi</>');
  });
  await withText('{% for m in messages %}{{ m.content[0].text }};{% endfor %}', async (model) => {
    assert.equal(await model.applyChatTemplate(ASK), 'Hi;');
  });
  await withText(PARTS, async (model) => {
    assert.equal(await model.applyChatTemplate(parted), '<user>[One][two]</>');
    assert.equal(await model.applyChatTemplate(ASK), '<user>[Hi]</>');
  });
});

const called = (args) => [
  ...ASK,
  {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'call12345', type: 'function', function: { name: 'tide', arguments: args } }],
  },
];
const callsWith = (args) =>
  `{% for m in messages %}{% for c in m.tool_calls or [] %}${args}{% endfor %}{{ m.content }};{% endfor %}`;

test("a system's text becomes a part where the template reads only its parts", async () => {
  const template =
    "{% if messages[0]['role'] == 'system' %}{{ messages[0]['content'][0]['text'] + ':' }}{% endif %}" +
    "{% for m in messages if m['role'] == 'user' %}{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for p in m['content'] %}" +
    "{% if p['type'] == 'text' %}{{ p['text'] }}{% endif %}{% endfor %}{% endif %}{% endfor %}";
  await withText(template, async (model) => {
    assert.equal(await model.applyChatTemplate([{ role: 'system', content: 'Brief.' }, ...ASK]), 'Brief.:Hi');
    assert.equal(
      await model.applyChatTemplate([{ role: 'developer', content: 'Brief.' }, ...ASK]),
      'Brief.:Hi',
    );
  });
});

test('arguments of calls are objects where the template reads objects, and JSON text where it reads text', async () => {
  const objects = { where: 'Étretat', least: 3, wet: true, not: null };
  const text = JSON.stringify(objects);
  for (const [template, rendered] of [
    [
      callsWith('{{ c.function.arguments | tojson }}'),
      '{"where": "Étretat", "least": 3, "wet": true, "not": null}',
    ],
    [
      callsWith('{% for k, v in c.function.arguments.items() %}<{{ k }}>{{ v }}{% endfor %}'),
      '<where>Étretat<least>3<wet>True<not>None',
    ],
    [callsWith("{{ '(' + c.function.arguments + ')' }}"), `(${text})`],
  ]) {
    await withText(template, async (model) => {
      for (const args of [objects, text])
        assert.equal(await model.applyChatTemplate(called(args)), `Hi;${rendered};`, template);
    });
  }
  await withText(callsWith('{{ c.function.arguments }}'), async (model) => {
    // Both can be printed: what was given is.
    assert.equal(await model.applyChatTemplate(called(text)), `Hi;${text};`);
    assert.equal(await model.applyChatTemplate(called({ n: null })), "Hi;{'n': None};");
  });
  await withText(callsWith('{{ c.function.arguments | tojson }}'), async (model) => {
    assert.equal(await model.applyChatTemplate(called('')), 'Hi;{};');
    assert.equal(await model.applyChatTemplate(called('{"a')), 'Hi;"{\\"a";', 'no JSON: the text as it is');
  });
});

test('a developer is a system unless the template knows the role', async () => {
  const messages = [{ role: 'developer', content: 'Brief.' }, ...ASK];
  await withText(TURNS, async (model) => {
    assert.equal(await model.applyChatTemplate(messages), '<system>Brief.</><user>Hi</><bot>');
  });
  await withText(`{# The developer's preamble. #}${TURNS}`, async (model) => {
    assert.equal(await model.applyChatTemplate(messages), '<system>Brief.</><user>Hi</><bot>');
  });
  await withText(`{% set known = "developer" %}${TURNS}`, async (model) => {
    assert.equal(await model.applyChatTemplate(messages), '<developer>Brief.</><user>Hi</><bot>');
  });
});

test('a system message that the template refuses is merged into the next user message', async () => {
  const refuses = `{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}${TURNS}`;
  await withText(refuses, async (model) => {
    const system = { role: 'system', content: 'Brief.' };
    assert.equal(await model.applyChatTemplate([system, ...ASK]), '<user>Brief.\nHi</><bot>');
    assert.equal(
      await model.applyChatTemplate([{ ...system, role: 'developer' }, ...ASK]),
      '<user>Brief.\nHi</><bot>',
    );
    assert.equal(await model.applyChatTemplate([system]), '<user>Brief.</><bot>');
    const { usage } = await model.chat.completions.create({ messages: [system, ...ASK], max_tokens: 1 });
    assert.ok(usage.prompt_tokens > 0);
  });
  await withText(`{{ raise_exception('never ' ~ messages | length) }}`, async (model) => {
    const error = await refused(
      model.applyChatTemplate([{ role: 'system', content: 'a' }, ...ASK]),
      'invalid-argument',
      'never 2',
    );
    assert.match(error.message, /line 1/);
  });
});

test("the assistant's last message is continued: the prompt ends with its text", async () => {
  await withText('{{ messages[0].content }}{% if add_generation_prompt %}:{% endif %}', async (model) => {
    const messages = [...ASK, { role: 'assistant', content: 'Well, ' }];
    assert.equal(await model.applyChatTemplate(messages), 'Hi:', 'the template leaves it out');
  });
  const messages = [...ASK, { role: 'assistant', content: 'Well, ' }];
  const go = { continueFinalMessage: true };
  await withText(TURNS, async (model) => {
    assert.equal(await model.applyChatTemplate(messages, go), '<user>Hi</><assistant>Well, ');
    assert.equal(await model.applyChatTemplate(messages), '<user>Hi</><assistant>Well, ', 'the default');
    for (const options of [{ continueFinalMessage: false }, { addGenerationPrompt: true }])
      assert.equal(await model.applyChatTemplate(messages, options), '<user>Hi</><assistant>Well, </><bot>');
    assert.equal(
      await model.applyChatTemplate(messages, { addGenerationPrompt: false }),
      '<user>Hi</><assistant>Well, </>',
    );
    const empty = [...ASK, { role: 'assistant', content: '' }];
    assert.equal(await model.applyChatTemplate(empty), '<user>Hi</><assistant></><bot>');
    assert.equal(
      await model.applyChatTemplate([...ASK, { role: 'assistant', content: '' }], go),
      '<user>Hi</><assistant>',
    );
    const same = [
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'Hi' },
    ];
    assert.equal(await model.applyChatTemplate(same, go), '<user>Hi</><assistant>Hi');
    await refused(model.applyChatTemplate(ASK, go), 'invalid-argument', 'continueFinalMessage');
    await refused(
      model.applyChatTemplate(messages, { ...go, addGenerationPrompt: true }),
      'invalid-argument',
      'addGenerationPrompt',
    );
  });
  await withText(TURNS.replace('m.content', 'm.content | trim'), async (model) => {
    assert.equal(await model.applyChatTemplate(messages, go), '<user>Hi</><assistant>Well,');
  });
  await withText(PARTS, async (model) => {
    assert.equal(await model.applyChatTemplate(messages, go), '<user>[Hi]</><assistant>[Well, ');
    assert.equal(
      await model.applyChatTemplate([...ASK, { ...parted[0], role: 'assistant' }], go),
      '<user>[Hi]</><assistant>[One][two',
    );
  });
  await withText('{{ messages | length }}', async (model) => {
    await refused(
      model.applyChatTemplate(messages, go),
      'invalid-argument',
      "doesn't write the last message",
    );
  });
});

test('tools go into the system text where the template knows none, in chat.completions and with toolsInText', async () => {
  const tools = [{ type: 'function', function: { name: 'tide', parameters: { type: 'object' } } }];
  const messages = [...called('{"where":"B"}'), { role: 'tool', tool_call_id: 'call12345', content: 'low' }];
  const known = `{% if tools %}{{ tools | tojson }}{% endif %}${callsWith('{{ c.function.arguments | tojson }}')}`;
  const file = async (template) => withContext(await withTemplate(template), 2048);
  const promptTokens = async (model, body) =>
    (await model.chat.completions.create({ ...body, max_tokens: 1 })).usage.prompt_tokens;
  await withModel(await file(TURNS), { contextLength: 2048 }, async (model) => {
    const text = await model.applyChatTemplate(messages, { tools, toolsInText: true });
    assert.ok(text.startsWith('<system>') && text.includes('"name":"tide"'), text);
    assert.ok(text.includes('<assistant><tool_call>\n{"name": "tide", "arguments": {"where":"B"}}'), text);
    assert.ok(text.endsWith('<user><tool_response>\nlow\n</tool_response></><bot>'), text);
    assert.equal(
      await promptTokens(model, { messages, tools }),
      (await promptIds(model, messages, { tools, toolsInText: true })).length,
    );
    const without = await model.applyChatTemplate(messages, { toolsInText: true });
    assert.equal(without, text.slice(text.indexOf('<user>')));
    const odd = [...ASK, { role: 'assistant', content: '', tool_calls: [null, { function: null }] }];
    const none = await model.applyChatTemplate([...odd, ...ASK], { tools: [null], toolsInText: true });
    assert.ok(none.includes('{"name": "", "arguments": {}}'), none);
    // As Jinja2 renders it.
    assert.equal(await model.applyChatTemplate(ASK, { tools }), '<user>Hi</><bot>');
    assert.equal(await model.applyChatTemplate(ASK, { toolsInText: true }), '<user>Hi</><bot>');
  });
  await withModel(await file(known), { contextLength: 2048 }, async (model) => {
    const text = await model.applyChatTemplate(messages, { tools });
    assert.equal(text, await model.applyChatTemplate(messages, { tools, toolsInText: true }));
    assert.equal(
      await promptTokens(model, { messages, tools }),
      (await promptIds(model, messages, { tools })).length,
    );
  });
});

test('templateKwargs are variables; tools and documents are none without them, as in transformers', async () => {
  const template =
    '{{ tools is none }},{{ documents is none }},{{ enable_thinking | default("?") }},{{ add_generation_prompt }}' +
    '{% for t in tools or [] %},{{ t.function.name }}{% endfor %}';
  await withText(template, async (model) => {
    assert.equal(await model.applyChatTemplate(ASK), 'True,True,?,True');
    const tools = [{ type: 'function', function: { name: 'tide' } }];
    assert.equal(
      await model.applyChatTemplate(ASK, {
        tools,
        templateKwargs: { enable_thinking: false },
        addGenerationPrompt: false,
      }),
      'False,True,False,False,tide',
    );
    assert.equal(await model.applyChatTemplate(ASK, { tools: [] }), 'True,True,?,True');
    for (const [options, name] of [
      [{ tools: {} }, 'tools'],
      [{ templateKwargs: [] }, 'templateKwargs'],
      [{ templateKwargs: { messages: [] } }, 'messages'],
      [{ addGenerationPrompt: 1 }, 'addGenerationPrompt'],
      [{ chatTemplate: 'rag' }, 'rag'],
      [{ chatTemplate: 3 }, 'chatTemplate'],
      [{ continueFinalMessage: 'yes' }, 'continueFinalMessage'],
      [{ signal: 3 }, 'signal'],
      [{ stream: true }, 'stream'],
    ])
      await refused(model.applyChatTemplate(ASK, options), 'invalid-argument', name);
    assert.equal(await model.applyChatTemplate(ASK, { chatTemplate: 'default' }), 'True,True,?,True');
  });
});

test('messages are read at the call, and what throws there is invalid-argument', async () => {
  await withText(TURNS, async (model) => {
    const messages = [{ role: 'user', content: 'Hi' }];
    const rendering = model.applyChatTemplate(messages);
    messages[0].content = 'changed';
    assert.equal(await rendering, '<user>Hi</><bot>');
    const circle = {};
    circle.self = circle;
    for (const [wrong, word] of [
      [[circle], 'messages'],
      [[{ role: 'user', content: 1n }], 'messages'],
      [
        [
          {
            get role() {
              throw new Error('mine');
            },
          },
        ],
        'mine',
      ],
      ['Hi', 'messages is not an array'],
      [undefined, 'messages is not an array'],
      [[null], 'messages[0]'],
      [[['a']], 'messages[0]'],
    ])
      await refused(model.applyChatTemplate(wrong), 'invalid-argument', word);
  });
});

test('the template sees text as it is: surrogates, controls, what looks like Jinja', async () => {
  await withText('{{ messages[0].content }}', async (model) => {
    for (const content of ['{{ 1 }}{% raw %}', '\u0000\u001f\ufeff\u2028', '👩‍🚀 é\u0301', '"\\"\n'])
      assert.equal(await model.applyChatTemplate([{ role: 'user', content }]), content);
    assert.equal(await model.applyChatTemplate([{ role: 'user', content: 'a\ud800b' }]), 'a\ufffdb');
  });
});

test('a signal that ends a probe ends its own call alone', async () => {
  const loops =
    'abcd'
      .split('')
      .map((i) => `{% for ${i} in l %}`)
      .join('') + '{% endfor %}'.repeat(4);
  // Slow for the question whether it reads parts, and quick for messages.
  const slow = `{% if messages[0].content is not string %}{% set l = range(300) | list %}${loops}{% endif %}${TURNS}`;
  await withText(`${slow}{# type #}`, async (model) => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const first = model.applyChatTemplate(ASK, { signal: abort.signal });
    const second = model.applyChatTemplate(ASK);
    setTimeout(() => abort.abort(reason), 50);
    await assert.rejects(first, (error) => error === reason);
    assert.equal(await second, '<user>Hi</><bot>');
  });
});
