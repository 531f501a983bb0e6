// SPDX-License-Identifier: Apache-2.0
// answers.test.mjs: what is read from answers of models: text, reasoning, calls of tools.
import test from 'node:test';
import assert from 'node:assert/strict';
import { checkAnswer, createAnswerReader, readText, TOOLS } from './answers.mjs';

const HERMES = '{% if tools %}<tool_call>{% endif %}';
const THINKING = HERMES + '{{ "<think>" }}';
const weather = { call: 'get_weather', arguments: { city: 'Paris' } };
const add = { call: 'add', arguments: { a: 1, b: -2.5e3 } };
const CALL = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>';
const ADD = '<tool_call>{"arguments":{"a":1,"b":-2.5e3},"name":"add"}</tool_call>';

/** name -> [text, what is read] */
const hermes = {
  'a call': [CALL, [weather]],
  'a call in one line, its arguments first': [ADD, [add]],
  'two calls': [`${CALL}\n${ADD}`, [weather, add]],
  'text before a call': [`Let me see.\n\n${CALL}`, [{ content: 'Let me see.' }, weather]],
  'text between and behind calls': [
    `One: ${CALL} two:\n${ADD}\nDone. \n`,
    [{ content: 'One:' }, weather, { content: 'two:' }, add, { content: 'Done. \n' }],
  ],
  'a list of calls': [
    '<tool_call>[{"name":"now","arguments":{}}, {"name":"add","arguments":{"a":1,"b":-2500}}]</tool_call>',
    [{ call: 'now', arguments: {} }, add],
  ],
  'two calls in one pair of tags': [
    '<tool_call>\n{"name":"now","arguments":{}}\n{"name":"get_weather","arguments":{"city":"Paris"}}\n</tool_call>',
    [{ call: 'now', arguments: {} }, weather],
  ],
  'a call without arguments': ['<tool_call>{"name": "now"}</tool_call>', [{ call: 'now', arguments: {} }]],
  'arguments as a string': [
    '<tool_call>{"name": "get_weather", "arguments": "{\\"city\\": \\"Paris\\"}"}</tool_call>',
    [weather],
  ],
  'an id in front': [
    '<tool_call>{"id": "x1", "name": "now", "arguments": {}}</tool_call>',
    [{ call: 'now', arguments: {}, id: 'x1' }],
  ],
  'unknown fields': [
    '<tool_call>{"type": "function", "name": "now", "more": [{"name": 1}], "arguments": {}}</tool_call>',
    [{ call: 'now', arguments: {} }],
  ],
  'values of all kinds, escapes, and characters of two units': [
    '<tool_call>{"name":"get_weather","arguments":{"city":"\\u00e9\\n\\"</tool_call>\\" 😀","any":[{},[],[1,{"a":null}],true,false,"x"], "days" : 0 }}</tool_call>',
    [
      {
        call: 'get_weather',
        arguments: {
          city: 'é\n"</tool_call>" 😀',
          any: [{}, [], [1, { a: null }], true, false, 'x'],
          days: 0,
        },
      },
    ],
  ],
  "Python's words": [
    '<tool_call>{"name":"get_weather","arguments":{"city":"Oslo","any":[True,False,None,NaN,-Infinity]}}</tool_call>',
    [{ call: 'get_weather', arguments: { city: 'Oslo', any: [true, false, null, null, null] } }],
  ],
  'a line end inside a string': [
    '<tool_call>{"name":"get_weather","arguments":{"city":"a\n\tb"}}</tool_call>',
    [{ call: 'get_weather', arguments: { city: 'a\n\tb' } }],
  ],
  'a call without its last tag': [CALL.slice(0, -12), [weather]],
  'white space at the end of text': ['Hello \n\n', [{ content: 'Hello \n\n' }]],
  'white space alone': [' \n', [{ content: ' \n' }]],
  nothing: ['', []],

  // Text that only looks like a call.
  'a function that is no tool': [
    CALL.replace('get_weather', 'get_wether'),
    [{ content: CALL.replace('get_weather', 'get_wether') }],
  ],
  'no JSON': ['The tag <tool_call> begins a call.', [{ content: 'The tag <tool_call> begins a call.' }]],
  'JSON that breaks early': [
    '<tool_call>{"name": "now", "arguments": {now}}</tool_call> ',
    [{ content: '<tool_call>{"name": "now", "arguments": {now}}</tool_call> ' }],
  ],
  'single quotes': [
    "<tool_call>{'name': 'now'}</tool_call>",
    [{ content: "<tool_call>{'name': 'now'}</tool_call>" }],
  ],
  'an empty list': ['<tool_call>[]</tool_call>', [{ content: '<tool_call>[]</tool_call>' }]],
  'arguments that are no object': [
    '<tool_call>{"name":"now","arguments":[1]}</tool_call>',
    [{ content: '<tool_call>{"name":"now","arguments":[1]}</tool_call>' }],
  ],
  'arguments as a string that holds no object': [
    '<tool_call>{"name":"now","arguments":"oops"}</tool_call>',
    [{ content: '<tool_call>{"name":"now","arguments":"oops"}</tool_call>' }],
  ],
  'a beginning of a tag': ['a <tool_cal b <<tool_ <', [{ content: 'a <tool_cal b <<tool_ <' }]],
  'an end alone': ['a </tool_call> b', [{ content: 'a </tool_call> b' }]],
  'a call inside a string that never ended': [
    `<tool_call> <tool_call>{"nam<tool_call>${CALL}`,
    [{ content: `<tool_call> <tool_call>{"nam<tool_call>${CALL}` }],
  ],
  'a call behind two tags': [
    `<tool_call><tool_call>${CALL}`,
    [{ content: '<tool_call><tool_call>' }, weather],
  ],
  'text behind the JSON': [CALL.replace('\n</', ' and </'), [weather, { content: 'and </tool_call>' }]],

  // Answers that end early.
  'cut in a tag': ['Yes <tool_', [{ content: 'Yes <tool_' }]],
  'cut before the name has ended': [
    'Yes <tool_call>{"name": "no',
    [{ content: 'Yes <tool_call>{"name": "no' }],
  ],
  'cut before the arguments': [
    '<tool_call>{"name": "now", "arguments": {',
    [{ content: '<tool_call>{"name": "now", "arguments": {' }],
  ],
  'cut in the arguments': [
    '<tool_call>{"name": "get_weather", "arguments": {"city": "Par',
    [{ call: 'get_weather', arguments: '{"city": "Par' }],
  ],
  'cut behind the arguments': [
    '<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}',
    [{ call: 'get_weather', arguments: '{"city": "Paris"}' }],
  ],
  'arguments that break': [
    '<tool_call>{"name": "add", "arguments": {"a": 1, b: 2}}</tool_call>',
    [{ call: 'add', arguments: '{"a": 1, ' }, { content: 'b: 2}}</tool_call>' }],
  ],
};

for (const [name, [text, wanted]] of Object.entries(hermes))
  test(`hermes: ${name}`, () => checkAnswer(text, wanted, { template: HERMES }));

const thinking = {
  'reasoning and text': [
    '<think>\nHm, <think> again.\n</think>\n\nHello \n',
    [{ reasoning: 'Hm, <think> again.' }, { content: 'Hello \n' }],
  ],
  'reasoning and a call': [`<think>Hm.</think>${CALL}`, [{ reasoning: 'Hm.' }, weather]],
  'reasoning, text, a call': [
    `\n<think>Hm.</think>\nSo: ${CALL}`,
    [{ reasoning: 'Hm.' }, { content: 'So:' }, weather],
  ],
  'empty reasoning': ['<think>\n\n</think>\n\nHello', [{ content: 'Hello' }]],
  'a call in the reasoning': [
    `<think>I could ${CALL}.</think>No.`,
    [{ reasoning: `I could ${CALL}.` }, { content: 'No.' }],
  ],
  'reasoning that has no end': ['<think>\nHm. \n', [{ reasoning: 'Hm. \n' }]],
  'a tag behind text': ['The tag <think> and </think>.', [{ content: 'The tag <think> and </think>.' }]],
  'a beginning of a tag': [' <thin air', [{ content: ' <thin air' }]],
  'a tag of a call, which begins alike': [CALL, [weather]],
  'a tag as a control token': ['⟦<think>⟧Hm.⟦</think>⟧Yes', [{ reasoning: 'Hm.' }, { content: 'Yes' }]],
  'other control tokens': ['a ⟦<|x|>⟧b⟦<|y|>⟧', [{ content: 'a b' }]],
};

for (const [name, [text, wanted]] of Object.entries(thinking))
  test(`thinking: ${name}`, () => checkAnswer(text, wanted, { template: THINKING }));

test('thinking: a prompt that ends in the reasoning, or behind it', () => {
  const template = THINKING;
  checkAnswer('Hm.\n</think>\n\nHello', [{ reasoning: 'Hm.' }, { content: 'Hello' }], {
    template,
    promptTail: '<|im_start|>assistant\n<think>\n',
  });
  checkAnswer(' more.</think>Hello', [{ reasoning: ' more.' }, { content: 'Hello' }], {
    template,
    promptTail: '<|im_start|>assistant\n<think>\nI need',
  });
  checkAnswer('</think>\nHello', [{ content: 'Hello' }], { template });
  checkAnswer(`</think>${CALL}`, [weather], { template, promptTail: 'assistant\n<think>' });
  checkAnswer('\nHello', [{ content: '\nHello' }], { template, promptTail: '<think>\n\n</think>\n\n' });
  // A user's message may have the mark too.
  for (const turn of [
    '<|im_end|>\n<|im_start|>assistant\n',
    '<｜Assistant｜>',
    ' [/INST]',
    '<end_of_turn>\n<start_of_turn>model\n',
    '\n[|assistant|]',
    '[e~[\n]~b]ai\n',
    '</s>\n',
  ])
    checkAnswer('Hello', [{ content: 'Hello' }], { template, promptTail: `What is <think>?${turn}` });
});

test('thinking: none where the template has no marks, or the caller wants none', () => {
  checkAnswer('<think>Hm.</think>Yes', [{ content: '<think>Hm.</think>Yes' }], { template: HERMES });
  checkAnswer('<think>Hm.</think>Yes', [{ content: '<think>Hm.</think>Yes' }], {
    template: THINKING,
    reasoningFormat: 'none',
  });
});

test('no calls without tools, or if the caller wants none', () => {
  checkAnswer(CALL, [{ content: CALL }], { template: HERMES, tools: [] });
  checkAnswer(CALL, [{ content: CALL }], { template: HERMES, toolFormat: 'none' });
});

test('a template that knows no tools is read as hermes', () =>
  checkAnswer(CALL, [weather], { template: '{{ messages }}' }));

test('parts come as early as they are certain', () => {
  const reader = createAnswerReader({ template: THINKING, promptTail: '', tools: TOOLS });
  const steps = [
    ['<thi', []],
    ['nk>', []],
    ['Hm', [{ type: 'reasoning', text: 'Hm' }]],
    [' ', []],
    ['so </thin', [{ type: 'reasoning', text: ' so' }]],
    ['k>\n', []],
    ['Well', [{ type: 'content', text: 'Well' }]],
    [' <', []],
    ['3 <tool', [{ type: 'content', text: ' <3' }]],
    ['_call>{"name": "add", ', []],
    ['"arguments": {', []],
    [
      '"',
      [
        { type: 'call', index: 0, name: 'add' },
        { type: 'arguments', index: 0, text: '{"' },
      ],
    ],
    ['a":', [{ type: 'arguments', index: 0, text: 'a":' }]],
    [' 12', [{ type: 'arguments', index: 0, text: ' ' }]],
    ['3}', [{ type: 'arguments', index: 0, text: '123}' }]],
    ['}</tool_call>', []],
  ];
  for (const [text, wanted] of steps)
    assert.deepEqual(
      reader.push(text).map(({ id, ...part }) => part),
      wanted,
      text,
    );
  assert.deepEqual(reader.end(), []);
});

test('without tools and marks nothing is held back', () => {
  const reader = createAnswerReader({ template: '', promptTail: '', tools: [] });
  for (const text of ['a', ' ', '\n', '<tool_call>', '<'])
    assert.deepEqual(reader.push(text), [{ type: 'content', text }]);
  assert.deepEqual(reader.end(), []);
});

test('ids are of the length that the template asks for', () => {
  const id = (template) => readText(CALL, { template })[0].id;
  assert.match(id(HERMES), /^call_[A-Za-z0-9]{24}$/);
  assert.match(id(HERMES + '{% if tool_call.id|length != 9 %}'), /^[A-Za-z0-9]{9}$/);
});
