// SPDX-License-Identifier: Apache-2.0
// answers-formats.test.mjs: calls in the formats of model families, found from templates of our own that have
// what the families' templates have. ⟦x⟧ is the control token x.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { add, all, formats, now, weather } from './answer-formats.mjs';
import { checkAnswer, findFormat, FORMATS, readText, TOOLS } from './answers.mjs';

const python = { type: 'function', function: { name: 'python', parameters: {} } };
const NO_CALL = 'get_wether';

test('every format has cases', () =>
  assert.deepEqual(Object.keys(formats).sort(), Object.keys(FORMATS).sort()));

test('docs/CHAT.md lists the formats in the order in which they are looked for', async () => {
  const page = await readFile(new URL('../../docs/CHAT.md', import.meta.url), 'utf8');
  assert.deepEqual(
    [...page.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name),
    ['tool_format', ...Object.keys(FORMATS)],
  );
});

for (const [name, format] of Object.entries(formats)) {
  const { template, between = '\n', rows = [], isWhole = false } = format;
  const thinks = format.reasoning === undefined ? template + "'<think>'" : template;
  const { before = (text) => `${text}\n`, reasoning = (text) => `<think>\n${text}\n</think>\n\n` } = format;
  const check = (text, wanted, more) => checkAnswer(text, wanted, { template, ...more });

  test(`${name}: its templates are known`, () => {
    assert.equal(findFormat(template), name);
    assert.equal(findFormat(thinks), name);
    assert.equal(findFormat(''), undefined);
  });

  test(`${name}: each call`, () => {
    check(format.weather, [weather()]);
    check(format.add, [add]);
    check(format.now, [now]);
    if (format.all !== undefined) check(format.all, [weather(all)]);
  });

  test(`${name}: two calls and three`, () => {
    check(format.weather + between + format.add, [weather(), add]);
    check([format.now, format.add, format.weather].join(between), [now, add, weather()]);
  });

  test(`${name}: text before a call, reasoning before it, both`, () => {
    const text = 'Let me see.\n\nSo:';
    if (!isWhole) check(before(text) + format.weather, [{ content: text }, weather()]);
    const options = { template: thinks };
    check(reasoning('Hm.\nWell.') + format.weather, [{ reasoning: 'Hm.\nWell.' }, weather()], options);
    if (!isWhole)
      check(
        reasoning('Hm.') + before(text) + format.weather,
        [{ reasoning: 'Hm.' }, { content: text }, weather()],
        options,
      );
  });

  test(`${name}: the format by name, for any template`, () =>
    check(format.weather, [weather()], { template: '', toolFormat: name }));

  test(`${name}: a function that is no tool`, () => {
    const text = format.weather.replace('get_weather', NO_CALL);
    const read = readText(text, { template });
    assert.ok(
      read.every((part) => !('call' in part)),
      text,
    );
    if (name !== 'gpt_oss') assert.deepEqual(read, [{ content: text.replace(/⟦|⟧/g, '') }]);
  });

  test(`${name}: no calls without tools`, () => {
    const read = readText(format.weather, { template, tools: [] });
    assert.ok(read.every((part) => 'content' in part));
  });

  test(`${name}: other texts`, () => {
    for (const [text, wanted] of rows) check(text, wanted);
  });

  test(`${name}: an answer that ends early begins as the whole one`, () => {
    const whole = readText(format.weather, { template })[0].arguments;
    for (let at = 0; at < format.weather.length; at++) {
      const text = format.weather.slice(0, at);
      if ((text.match(/⟦/g) ?? []).length !== (text.match(/⟧/g) ?? []).length) continue;
      const [first, ...others] = readText(text, { template });
      if (first === undefined) continue;
      if (name !== 'gpt_oss' || 'call' in first) assert.deepEqual(others, [], text);
      // A string may end in the beginning of its tag.
      if ('call' in first) assert.ok(whole.startsWith(first.arguments.replace(/(\\n)?<.*/, '')), text);
      else if (name !== 'gpt_oss') assert.equal(first.content, text.replace(/⟦|⟧/g, ''));
    }
  });
}

test('llama3: code is a call of an interpreter, if there is one', () => {
  const options = { template: formats.llama3.template, tools: [...TOOLS, python] };
  checkAnswer(
    '⟦<|python_tag|>⟧print("hi")\n\nx = [1]',
    [{ call: 'python', arguments: { code: 'print("hi")\n\nx = [1]' } }],
    options,
  );
  checkAnswer('⟦<|python_tag|>⟧\nimport x', [{ call: 'python', arguments: { code: 'import x' } }], options);
  checkAnswer('⟦<|python_tag|>⟧now()', [now], options);
});

test('mistral: spelled-out markers count if the caller names the format', () =>
  checkAnswer('[TOOL_CALLS]now[ARGS]{}', [now], { toolFormat: 'mistral' }));

test('a schema says what a text stands for', () => {
  const tools = [
    {
      type: 'function',
      function: {
        name: 'f',
        parameters: {
          properties: {
            maybe: { type: ['string', 'null'] },
            union: { anyOf: [{ type: 'object' }, { type: 'string' }] },
            one: { oneOf: [{ type: 'integer' }, { type: 'string' }] },
            unit: { enum: ['1', 'celsius'] },
            flag: { type: 'boolean' },
          },
        },
      },
    },
  ];
  const read = (key, value) => {
    const text = `<function=f><parameter=${key}>\n${value}\n</parameter></function>`;
    return JSON.parse(readText(text, { tools, toolFormat: 'qwen3_coder' })[0].arguments)[key];
  };
  for (const [key, text, value] of [
    ['maybe', 'null', null],
    ['maybe', '12', '12'],
    ['maybe', 'some words', 'some words'],
    ['union', '{"a": 1}', { a: 1 }],
    ['union', '[1]', '[1]'],
    ['union', '{no json', '{no json'],
    ['one', '7', 7],
    ['one', '7 Main St', '7 Main St'],
    ['unit', 'celsius', 'celsius'],
    ['unit', '1', '1'],
    ['flag', 'False', false],
    ['flag', 'maybe', 'maybe'],
    ['none', '"quoted"', 'quoted'],
    ['none', 'toString', 'toString'],
    ['none', "['x', 'it\\'s', None, {'a': True}, (1,)]", ['x', "it's", null, { a: true }, [1]]],
    ['none', "['x'] and", "['x'] and"],
    ['none', '[now()]', '[now()]'],
    ['maybe', "['x']", "['x']"],
    ['union', "{'a': 1}", { a: 1 }],
  ])
    assert.deepEqual(read(key, text), value, `${key}: ${text}`);
});

test('reasoning in the marks of other families', () => {
  for (const [template, text, wanted] of [
    ["'[THINK]'", '⟦[THINK]⟧a [/THINK] b⟦[/THINK]⟧Yes', [{ reasoning: 'a [/THINK] b' }, { content: 'Yes' }]],
    ["'[THINK]'", '[THINK]a', [{ content: '[THINK]a' }]],
    ["'<thought>'", '<thought>\na\n</thought>\n\nYes', [{ reasoning: 'a' }, { content: 'Yes' }]],
    ["'<seed:think>'", '<seed:think>a</seed:think>\nYes', [{ reasoning: 'a' }, { content: 'Yes' }]],
    ["'<|channel>'", '⟦<|channel>⟧thought\na⟦<channel|>⟧Yes', [{ reasoning: 'a' }, { content: 'Yes' }]],
    ["'<|channel>'", '⟦<|channel>⟧thought⟦<channel|>⟧Yes', [{ content: 'Yes' }]],
    [
      "'<|channel>'",
      'Yes⟦<|channel>⟧thought\nWait.⟦<channel|>⟧No⟦<channel|>⟧',
      [{ content: 'Yes' }, { reasoning: 'Wait.' }, { content: 'No' }],
    ],
    [
      "'<|channel>'",
      '⟦<|channel>⟧thoroughly⟦<channel|>⟧Yes',
      [{ reasoning: 'thoroughly' }, { content: 'Yes' }],
    ],
    [
      "begin with 'Here is my thought process:' and 'Here is my response:'",
      "Here's my thought process:\n\na\n\nHere is my response:\n\nYes",
      [{ reasoning: 'a' }, { content: 'Yes' }],
    ],
    [
      'between <think></think> and <response></response>',
      '<think>a</think>\n<response>Yes </response>',
      [{ reasoning: 'a' }, { content: 'Yes' }],
    ],
    [
      "'Here are my reasoning steps:' '[BEGIN FINAL RESPONSE]'",
      'Here are my reasoning steps:\na\n[BEGIN FINAL RESPONSE]\nYes',
      [{ reasoning: 'a' }, { content: 'Yes' }],
    ],
  ])
    checkAnswer(text, wanted, { template });
});

test('gpt_oss: a prompt that ends in a message', () => {
  const { template } = formats.gpt_oss;
  checkAnswer(
    ' more⟦<|end|>⟧⟦<|start|>⟧assistant⟦<|channel|>⟧final⟦<|message|>⟧Yes',
    [{ reasoning: 'more' }, { content: 'Yes' }],
    { template, promptTail: '<|start|>assistant<|channel|>analysis<|message|>' },
  );
  checkAnswer('Yes', [{ content: 'Yes' }], { template, promptTail: '<|channel|>final<|message|>' });
  checkAnswer('⟦<|channel|>⟧analysis⟦<|message|>⟧Hm.⟦<|end|>⟧', [{ content: 'Hm.' }], {
    template,
    reasoningFormat: 'none',
  });
});

test('hermes: an answer that begins with the JSON of a call, or with it in a code block, is one', () => {
  for (const template of ['', '{{ tools | tojson }}', formats.hermes.template]) {
    const check = (text, wanted) => checkAnswer(text, wanted, { template });
    check(formats.hermes.weather, [weather()]);
    check('\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>', [weather()]);
    check('{"name": "now", "arguments": {}}\n{"name": "now", "arguments": {}}', [now, now]);
    check('[{"name": "now", "arguments": {}, "id": "x"}]', [now]);
    check('```json\n{\n  "name": "get_weather",\n  "arguments": {\n    "city": "Paris"\n  }\n}\n```', [
      weather(),
    ]);
    check(
      '```json\n{"name": "now", "arguments": {}}\n```\n\n```\n{"name": "now", "arguments": {}}\n```\nDone.',
      [now, now, { content: 'Done.' }],
    );
    check(`{"name": "now", "arguments": {}}\n${formats.hermes.add}`, [now, add]);
    for (const text of [
      'So: {"name": "now", "arguments": {}}',
      'So:\n```json\n{"name": "now", "arguments": {}}\n```',
      '```js\nnow()\n```',
      '```json\n{"name": "Bob", "age": 5}\n```',
      '```json\n[1]\n```\nand `now`',
      '`now` is a function.',
      '{"name": "then", "arguments": {}}',
      '{"name": "now"}',
      '{"answer": "now", "arguments": {}}',
      '[1, 2]',
    ])
      check(text, [{ content: text }]);
  }
});
