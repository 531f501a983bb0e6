// SPDX-License-Identifier: Apache-2.0
// answers-random.test.mjs: answers of random markers, and hostile ones of great length.
import test from 'node:test';
import assert from 'node:assert/strict';
import { formats } from './answer-formats.mjs';
import { createAnswerReader, FORMATS, piecesOf, randomOf, readPieces, Tape, TOOLS } from './answers.mjs';

const NAMES = Object.keys(FORMATS);
const TEMPLATE = "{{ tools }}'<think>'<response></response>";

/** Texts that stand in calls. */
const FRAGMENTS = [
  ...[
    '{',
    '}',
    '[',
    ']',
    '(',
    ')',
    '"',
    "'",
    '<',
    '>',
    '<|',
    '`',
    '\\',
    ',',
    ':',
    '=',
    ' ',
    '\n',
    '1',
    'None',
    '\\u',
  ],
  ...[
    '{"name": "now", "arguments": {}}',
    '{"name": "add", "arguments": {"a": 1',
    '"arguments"',
    '"name"',
    '"now"',
  ],
  ...['now()', 'add(a=1, b=', 'get_weather(city="', 'now', 'add{"a": ', '```json', '```', 'to=functions.now'],
  ...[
    '<think>',
    '</think>',
    '</tool_call>',
    '<parameter=a>',
    '<parameter=city>',
    '</parameter>',
    '</function>',
  ],
  ...[
    '<arg_key>',
    '</arg_key>',
    '<arg_value>',
    '</arg_value>',
    '[ARGS]',
    '[CALL_ID]',
    '<|message|>',
    '<|end|>',
  ],
  ...[
    '<|tool_call_argument_begin|>',
    '<｜tool▁sep｜>',
    '<|tool_call_end|>',
    'call:add{a:',
    '<escape>',
    '<response>',
  ],
];

const controlForm = /^(<[|｜].*[|｜]>|\[[A-Z_]+\]|<think>|<\/think>)$/;

/** Random pieces: markers of the format, fragments, and words that occur once. */
function randomAnswer(random, name) {
  const { markers } = FORMATS[name];
  const pick = (list) => list[Math.floor(random() * list.length)];
  const pieces = [];
  const words = [];
  for (let n = 1 + random() * 14; n > 0; n--) {
    const kind = random();
    if (kind < 0.25) {
      const call = piecesOf(pick([formats[name].weather, formats[name].add, formats[name].now]));
      // Some calls lack their first or last piece, or the end of one.
      if (random() < 0.1 && call.length > 1) call.shift();
      if (random() < 0.2) call.push([call.pop()[0].slice(0, 9)]);
      pieces.push(...call);
      continue;
    }
    const text = kind < 0.4 && markers.length > 0 ? pick(markers) : pick(FRAGMENTS);
    if (kind > 0.7) {
      words.push(`x${words.length}y`);
      pieces.push([words.at(-1)]);
    } else if (controlForm.test(text) && random() < 0.7) pieces.push(['', text]);
    else pieces.push([text]);
  }
  words.push('wend');
  return { pieces: [...pieces, [' wend']], words };
}

/** Cuts and joins pieces at other places. Control tokens stay. */
function recut(pieces, random) {
  const units = pieces.flatMap(([text, control]) => [
    ...text.split('').map((unit) => [unit]),
    ...(control === undefined ? [] : [['', control]]),
  ]);
  const joined = [];
  for (const [text, control] of units) {
    const last = joined.at(-1);
    if (last !== undefined && last[1] === undefined && random() < 0.8)
      joined[joined.length - 1] = [last[0] + text, control];
    else joined.push([text, control]);
  }
  return joined;
}

const withoutIds = (read) => read.map(({ id, ...part }) => part);
const textOf = (read) => read.map((part) => part.content ?? part.reasoning ?? part.arguments).join('\n');

for (const name of NAMES)
  test(`${name}: random answers lose and duplicate no word, however they are cut`, () => {
    for (let seed = 1; seed <= 120; seed++) {
      const random = randomOf(seed);
      const { pieces, words } = randomAnswer(random, name);
      const options = { template: TEMPLATE, toolFormat: random() < 0.5 ? name : 'auto' };
      if (options.toolFormat === 'auto') options.template += FORMATS[name].signs[0];
      const read = readPieces(pieces, options);
      const about = `seed ${seed}: ${JSON.stringify(pieces)} -> ${JSON.stringify(read)}`;
      for (let n = 0; n < 3; n++)
        assert.deepEqual(withoutIds(readPieces(recut(pieces, random), options)), withoutIds(read), about);
      const text = textOf(read);
      // The heads of gpt-oss's messages belong to no text.
      const found = words.filter((word) => text.includes(word));
      if (name !== 'gpt_oss') assert.deepEqual(found, words, about);
      let at = 0;
      for (const word of found) {
        at = text.indexOf(word, at);
        assert.ok(at >= 0, `${word} out of order, ${about}`);
        assert.equal(text.indexOf(word, at + 1), -1, `${word} twice, ${about}`);
      }
    }
  });

test('text without markers comes back byte for byte', () => {
  for (const name of NAMES)
    for (let seed = 1; seed <= 100; seed++) {
      const random = randomOf(seed);
      const text = Array.from({ length: 40 }, () => ' \n<>|{["a\u{1f600}é'.charAt(random() * 11)).join('');
      const pieces = recut([[`.${text}`]], random);
      assert.deepEqual(readPieces(pieces, { template: '', toolFormat: name }), [{ content: `.${text}` }]);
    }
});

const HOSTILE = [
  '<',
  '{',
  '[',
  '"',
  ' ',
  '\n',
  '\\',
  'a',
  '(',
  '{"a":',
  '[{',
  '1',
  '`',
  '<|',
  '<think>',
  'now(',
];

/** How many items are looked at and taken while an answer is read. */
function workOf(text, options) {
  let work = 0;
  const { peek, skip } = Tape.prototype;
  Tape.prototype.peek = function () {
    work++;
    return peek.call(this);
  };
  Tape.prototype.skip = function () {
    work++;
    return skip.call(this);
  };
  try {
    const reader = createAnswerReader({ template: TEMPLATE, promptTail: '', tools: TOOLS, ...options });
    reader.push(text);
    reader.end();
  } finally {
    Object.assign(Tape.prototype, { peek, skip });
  }
  return work;
}

for (const name of NAMES)
  test(`${name}: work grows with the length of a hostile answer, not faster`, () => {
    for (const start of ['', ...FORMATS[name].markers])
      for (const fill of [...HOSTILE, ...FORMATS[name].markers]) {
        const text = start + fill.repeat(3000 / fill.length);
        const work = workOf(text, { toolFormat: name });
        assert.ok(work > 0 && work <= 6 * text.length + 100, `${work} for ${text.length} of ${start}${fill}`);
      }
  });

test('a megabyte of what a reader must hold ends, in one piece and in single units', () => {
  const size = 2 ** 20;
  const begun = '<tool_call>{"name": "add", "arguments": {"a": ';
  const read = (pieces) => textOf(readPieces(pieces, { template: '', toolFormat: 'hermes' }));
  for (const text of [
    `${begun}"${'a'.repeat(size)}`,
    `${begun}${'['.repeat(size)}`,
    `${begun}${'1'.repeat(size)}`,
    `<tool_call>{"name": "now", "arguments": {},${' '.repeat(size)}"a b`,
    `<tool_call>{"name": "now", "arguments": {},"a":${' '.repeat(size)}"a b`,
    `<tool_call>{"more": ${'['.repeat(size)}${']'.repeat(size)}`,
  ])
    assert.ok(read([[text]]).length >= size, text.slice(0, 60));
  for (const text of [' '.repeat(size), `<tool_call>{"arguments": {"a": "${'<'.repeat(size)}`])
    assert.equal(read(Array.from(text, (unit) => [unit])), text);
  for (const [format, text] of [
    ['hermes', `<tool_call>${'{"function":'.repeat(size / 12)}`],
    ['gemma', `\`\`\`tool_code\n${'print('.repeat(size / 6)}`],
    ['gemma', `\`\`\`tool_code\nadd(a=${'('.repeat(size)}`],
    ['llama3', '<|python_start|><|python_end|>'.repeat(size / 30)],
  ])
    assert.ok(
      textOf(readPieces([[text]], { template: '', toolFormat: format })).length >= size - 100,
      format,
    );
  const head = [['', '<|channel|>'], ['\n'.repeat(size), '<|message|>'], ['Yes']];
  assert.deepEqual(readPieces(head, { template: '', toolFormat: 'gpt_oss' }), [{ content: 'Yes' }]);
  const value = `<function=get_weather><parameter=any>${'<'.repeat(size)}`;
  assert.ok(textOf(readPieces([[value]], { toolFormat: 'qwen3_coder' })).length >= size);
});
