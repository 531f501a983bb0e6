// SPDX-License-Identifier: Apache-2.0
// answers-tools.test.mjs: tools as text, for templates that know none.
import test from 'node:test';
import assert from 'node:assert/strict';
import { describeTools, readText, TOOLS, usesTools, withToolsInText } from './answers.mjs';

const call = (name, args) => ({ id: 'c1', type: 'function', function: { name, arguments: args } });

test('the description has each function as one line of JSON, and the form of a call', () => {
  const lines = describeTools(TOOLS).split('\n');
  for (const { function: described } of TOOLS)
    assert.deepEqual(
      lines.filter((line) => line === JSON.stringify(described)),
      [JSON.stringify(described)],
    );
  assert.ok(lines.includes('<tool_call>') && lines.includes('</tool_call>'));
});

test('tools go behind the system text, or become the system message', () => {
  const text = describeTools(TOOLS);
  const user = { role: 'user', content: 'Hi' };
  assert.deepEqual(withToolsInText([user], TOOLS), [{ role: 'system', content: text }, user]);
  assert.deepEqual(withToolsInText([{ role: 'system', content: 'Be brief.' }, user], TOOLS), [
    { role: 'system', content: `Be brief.\n\n${text}` },
    user,
  ]);
  const parts = [{ type: 'text', text: 'Be brief.' }];
  assert.deepEqual(withToolsInText([{ role: 'developer', content: parts }], TOOLS), [
    { role: 'developer', content: [...parts, { type: 'text', text }] },
  ]);
  assert.deepEqual(withToolsInText([user], []), [user]);
});

test('calls become text that reads as the same calls, results become messages of the user', () => {
  const messages = [
    { role: 'user', content: 'Weather?' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [call('get_weather', '{"city":"Paris"}'), call('add', { a: 1, b: 2 })],
    },
    { role: 'tool', tool_call_id: 'c1', content: 'rain' },
    { role: 'tool', tool_call_id: 'c2', content: [{ type: 'text', text: '3' }] },
    { role: 'assistant', content: 'Rain.' },
    { role: 'tool', content: { wet: true } },
  ];
  const before = structuredClone(messages);
  const [, user, assistant, results, answer, last] = withToolsInText(messages, TOOLS);
  assert.deepEqual(messages, before, 'the messages given stay as they are');
  assert.deepEqual([user, answer], [messages[0], messages[4]]);
  assert.deepEqual(Object.keys(assistant).sort(), ['content', 'role']);
  assert.deepEqual(
    readText(assistant.content).map(({ id, ...part }) => part),
    [
      { call: 'get_weather', arguments: '{"city":"Paris"}' },
      { call: 'add', arguments: '{"a":1,"b":2}' },
    ],
  );
  assert.deepEqual(results, {
    role: 'user',
    content: '<tool_response>\nrain\n</tool_response>\n<tool_response>\n3\n</tool_response>',
  });
  assert.deepEqual(last, { role: 'user', content: '<tool_response>\n{"wet":true}\n</tool_response>' });
});

test('a template uses tools if its code names them', () => {
  for (const template of ['{% if tools %}', '{{- tools | tojson }}', '{%- for t in tools -%}'])
    assert.ok(usesTools(template), template);
  for (const template of [
    "{% if 'tools' in message %}{{ message['tools'] + message.tools }}{% endif %}",
    'You have tools.',
    '{{ messages }} tools {% x %}',
    '{{ mytools }}',
    '',
  ])
    assert.ok(!usesTools(template), template);
});

test('a template that knows no tools, but calls, is read in both forms', () => {
  const template = "{{ messages }}'<｜tool▁calls▁begin｜>'";
  const ours = '<tool_call>{"name": "now", "arguments": {}}</tool_call>';
  const theirs =
    '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>';
  for (const text of [ours, theirs]) assert.equal(readText(text, { template })[0].call, 'now');
  const knowing = { template: `${template}{{ tools }}` };
  assert.deepEqual(readText(ours, knowing), [{ content: ours }]);
  assert.equal(readText(theirs, knowing)[0].call, 'now');
});
