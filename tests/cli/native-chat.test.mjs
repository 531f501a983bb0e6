// native-chat.test.mjs: chat templates in the native `chord`: prompts, system turns, conversations, and the
// npm command's answers.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import test from 'node:test';
import { SMOLLM2, needsModel } from '../ts/level2.mjs';
import { CTRL_D, inTerminal, needsTerminal } from '../ts/terminal.mjs';

const root = new URL('../../', import.meta.url).pathname;
const folder = mkdtempSync(`${tmpdir()}/chord-`);
test.after(() => rmSync(folder, { recursive: true, force: true }));

const CHATML =
  "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const STANDARD = 'You are a helpful assistant.';

/** The path of a fixture with these metadata keys too. */
function withKeys(fixture, keys) {
  const bytes = readFileSync(`${root}tests/golden/${fixture}.gguf`);
  const string = (text) => {
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    return Buffer.concat([size, Buffer.from(text)]);
  };
  const type = (n) => Buffer.from([n, 0, 0, 0]);
  const entry = ([key, value]) =>
    typeof value === 'string'
      ? Buffer.concat([string(key), type(8), string(value)])
      : Buffer.concat([string(key), type(4), type(value)]); // a u32 below 256
  const added = Object.entries(keys).map(entry);
  const length = added.reduce((sum, { length: n }) => sum + n, 0);
  added.push(entry(['test.padding', ' '.repeat((32 - ((length + 32) % 32)) % 32)])); // tensors stay aligned
  const head = Buffer.from(bytes.subarray(0, 24)); // magic, version, tensors, keys
  head.writeBigUInt64LE(head.readBigUInt64LE(16) + BigInt(added.length), 16);
  const file = `${folder}/${fixture}-${Object.keys(keys).length}-${Math.random()}.gguf`;
  writeFileSync(file, Buffer.concat([head, ...added, bytes.subarray(24)]));
  return file;
}
const withTemplate = (template, fixture = 'q4_1-smollm') =>
  withKeys(fixture, { 'tokenizer.chat_template': template });

function run(args, { input = '', env = {} } = {}) {
  const { status, stdout, stderr } = spawnSync(`${root}build/native/chord`, args, {
    encoding: 'utf8',
    input,
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}
const parsed = (stdout) =>
  stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** The ids of `text` in the chat template, and of a text that is tokenised as it is. */
function turn(file, text, ...options) {
  const { status, stdout, stderr } = run(['tokenize', file, '--text', text, '--chat', '--json', ...options]);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout).ids;
}
const plain = (file, text) => JSON.parse(run(['tokenize', file, '--text', text, '--json']).stdout).ids;

test('--chat puts the text into the chat template, behind a standard system turn of a tiny model', () => {
  const file = withTemplate(CHATML);
  const prompt = (system) =>
    `${system === '' ? '' : `<|im_start|>system\n${system}<|im_end|>\n`}<|im_start|>user\nHi "é"\\\n<|im_end|>\n<|im_start|>assistant\n`;
  const question = 'Hi "é"\\\n';
  assert.deepEqual(turn(file, question), plain(file, prompt(STANDARD)));
  assert.deepEqual(turn(file, question, '--system', 'Be brief.'), plain(file, prompt('Be brief.')));
  assert.deepEqual(turn(file, question, '--system', ''), plain(file, prompt('')));
  assert.ok(!plain(file, prompt('')).some((id, i, ids) => id === ids[i + 1])); // <|im_start|> is one token
});

test('generate --chat continues the prompt that tokenize --chat shows', () => {
  const file = withTemplate(CHATML);
  const ids = turn(file, 'Once upon');
  const greedy = ['--temperature', '0', '--ignore-eos', '--max-tokens', '8', '--json'];
  const chat = run(['generate', file, '--prompt', 'Once upon', '--chat', ...greedy]);
  assert.equal(chat.status, 0, chat.stderr);
  assert.match(chat.stderr, new RegExp(`${ids.length} prompt tokens in`));
  assert.equal(parsed(chat.stdout).length, 9);
  assert.equal(chat.stdout, run(['generate', file, '--ids', ids.join(','), ...greedy]).stdout);
});

// The vocabulary adds BOS, id 1.
test('a prompt has one BOS, whether the template writes it or not', () => {
  const body = '{{ messages[0].content }}</s>';
  const without = withTemplate(body, 'f32-linear-spm');
  const wanted = plain(without, 'Hello there</s>');
  assert.equal(wanted.filter((id) => id === 1).length, 1);
  assert.deepEqual(turn(without, 'Hello there', '--system', ''), wanted);
  for (const lead of ['{{ bos_token }}', '<s>'])
    assert.deepEqual(
      turn(withTemplate(lead + body, 'f32-linear-spm'), 'Hello there', '--system', ''),
      wanted,
      lead,
    );
  const twice = withTemplate(`<s><s>${body}`, 'f32-linear-spm');
  assert.deepEqual(turn(twice, 'Hello there', '--system', ''), [1, ...wanted]);
});

test('a system turn that the template refuses goes to the user', () => {
  const file = withTemplate(
    "{% if messages[0].role == 'system' %}{{ raise_exception('no system turns') }}{% endif %}" + CHATML,
  );
  const wanted = plain(file, '<|im_start|>user\nBe brief.\nHi<|im_end|>\n<|im_start|>assistant\n');
  assert.deepEqual(turn(file, 'Hi', '--system', 'Be brief.'), wanted);
});

test('a template that reads parts gets parts', () => {
  const file = withTemplate(
    "{% for m in messages %}{% for p in m.content if p.type == 'text' %}[{{ m.role }}] {{ p.text }}{% endfor %}{% endfor %}",
  );
  assert.deepEqual(turn(file, 'Hi', '--system', 'Be brief.'), plain(file, '[system] Be brief.[user] Hi'));
  const mixed = withTemplate(
    "{% if messages[0].role == 'system' %}{{ messages[0].content[0].text + '. ' }}{% endif %}" +
      '{% set c = messages[-1].content %}{{ c if c is string else c[0].text }}{# type #}',
  );
  assert.deepEqual(turn(mixed, 'Hi', '--system', 'Be brief'), plain(mixed, 'Be brief. Hi'));
  const both = withTemplate(
    '{% for m in messages %}{{ m.content if m.content is string else m.content[0].type }}{% endfor %}',
  );
  assert.deepEqual(turn(both, 'Hi', '--system', ''), plain(both, 'Hi'));
});

test('what nobody gave is null, and the time is local', () => {
  const nulls = withTemplate(
    '{{ tools }} {{ documents is none }} {{ add_generation_prompt }} {{ other is defined }}',
  );
  assert.deepEqual(turn(nulls, 'a'), plain(nulls, 'None True True False'));
  const clock = withTemplate("{{ strftime_now('%Y-%m-%d %H') }}");
  const at = () => new Date(Date.now() + 14 * 3600e3).toISOString().slice(0, 13).replace('T', ' ');
  const before = at();
  const got = run(['tokenize', clock, '--text', 'a', '--chat', '--json'], { env: { TZ: 'XXX-14' } });
  const { ids } = JSON.parse(got.stdout);
  assert.ok(
    [before, at()].some((hour) => JSON.stringify(plain(clock, hour)) === JSON.stringify(ids)),
    got.stdout,
  );
});

test('without a template the family has one, and otherwise the error says so', () => {
  const qwen = `${root}tests/golden/qwen2-q4_k.gguf`;
  assert.deepEqual(
    turn(qwen, 'Hi', '--system', ''),
    plain(qwen, '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'),
  );
  const llama = `${root}tests/golden/f16-d64.gguf`;
  for (const args of [
    ['generate', llama, '--chat', '--prompt', 'a'],
    ['chat', llama],
  ]) {
    const { status, stdout, stderr } = run(args, { input: 'Hi\n' });
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^chord: the model has no chat template \(tokenizer.chat_template\)/);
  }
  const number = withKeys('q4_1-smollm', { 'tokenizer.chat_template': 7 });
  assert.match(run(['chat', number]).stderr, /'tokenizer.chat_template' is u32 instead of a string/);
});

test('--chat-template chooses a template by its name, and an unknown name lists the names', () => {
  const file = withKeys('q4_1-smollm', {
    'tokenizer.chat_template.tool_use': '[{{ messages[-1].content }}]',
    'tokenizer.chat_template': CHATML,
    'tokenizer.chat_template.rag': '({{ messages[-1].content }})',
  });
  for (const [name, wanted] of [
    ['tool_use', '[Hi]'],
    ['rag', '(Hi)'],
    ['default', '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n'],
  ])
    assert.deepEqual(turn(file, 'Hi', '--system', '', '--chat-template', name), plain(file, wanted));
  const { status, stderr } = run(['chat', file, '--chat-template', 'tool'], { input: 'Hi\n' });
  assert.equal(status, 1);
  assert.match(stderr, /^chord: invalid-argument: .*'tool'; the file has 'tool_use, rag'\n$/);
});

test('a template that fails or never ends is an error that names the line', () => {
  for (const [template, wanted] of [
    ['a\n{{ messages[5].content.x }}', /line 2: an undefined value is used/],
    ['a\n{% for i in range(1000000000) %}{% endfor %}', /line 2: /],
    ["\n\n{{ raise_exception('roles must \x1b[31m alternate') }}", /line 3: roles must {2}\[31m alternate/],
    ['{% if %}', /line 1: /],
    [
      "{% set ns = namespace(s='ab') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
      /line 1: /,
    ],
  ]) {
    const { status, stdout, stderr } = run(['generate', withTemplate(template), 'Hi', '--chat']);
    assert.equal(status, 1, stderr);
    assert.equal(stdout, '');
    assert.match(stderr, /^chord: chat template, line /);
    assert.match(stderr, wanted);
    assert.equal(stderr.trim().split('\n').length, 1);
  }
});

test('options of a chat where there is none are wrong usage', () => {
  const file = withTemplate(CHATML);
  for (const [args, complaint] of [
    [['info', file, '--chat'], '--chat is an option of generate, tokenize and logits'],
    [['chat', file, '--chat'], '--chat is an option of generate, tokenize and logits'],
    [['generate', file, '--chat', '--ids', '1'], '--chat takes a text, not --ids'],
    [['generate', file, '--chat'], 'a text or --ids is needed'],
    [['generate', file, 'a', '--system', 'b'], '--system needs --chat'],
    [['logits', file, 'a', '--chat-template', 'b'], '--chat-template needs --chat'],
    [['chat', file, 'a'], "the argument 'a' is one too many"],
    [['chat', file, '--prompt', 'a'], 'chat reads its questions from stdin'],
    [['chat', file, '--no-parse'], "a chat's special tokens are added and read"],
    [['chat', file, '--system'], '--system needs a value'],
  ]) {
    const { status, stdout, stderr } = run(args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stdout, '');
    assert.equal(stderr.split('\n')[0], `chord: ${complaint}`);
  }
});

test('chat answers line by line, keeps its turns and what it computed, and is quiet in a pipe', () => {
  const file = withTemplate(CHATML);
  const options = ['--temperature', '0', '--max-tokens', '6'];
  const input = 'Once upon\r\n\n \t\na time, "é"';
  const { status, stdout, stderr } = run(['chat', file, '--json', ...options], { input });
  assert.equal(status, 0);
  assert.equal(stderr, '');
  const [first, second, ...more] = parsed(stdout);
  assert.equal(more.length, 0);
  const say = (role, text) => `<|im_start|>${role}\n${text}<|im_end|>\n`;
  const open = '<|im_start|>assistant\n';
  const start = say('system', STANDARD) + say('user', 'Once upon');
  const prompts = [
    plain(file, start + open),
    plain(file, start + say('assistant', first.text) + say('user', 'a time, "é"') + open),
  ];
  assert.ok(first.text.length > 0);
  assert.equal(first.stats.promptTokens, prompts[0].length);
  assert.equal(first.stats.cachedTokens, 0);
  assert.equal(second.stats.promptTokens, prompts[1].length);
  assert.ok(second.stats.cachedTokens >= prompts[0].length, JSON.stringify(second));
  for (const { stats } of [first, second]) {
    assert.ok(stats.tokens > 0 && stats.tokens <= 6);
    assert.equal(stats.finishReason, stats.tokens === 6 ? 'length' : 'stop');
  }
  // What was kept changes no answer.
  const again = run(['generate', file, '--ids', prompts[1].join(','), '--json', ...options]).stdout;
  const text = parsed(again)
    .map((line) => line.text)
    .join('');
  assert.equal(second.text, text);
  const shown = run(['chat', file, ...options], { input });
  assert.equal(shown.stderr, '');
  assert.equal(shown.stdout, `${first.text}\n${second.text}\n`);
  assert.deepEqual(run(['chat', file]), { status: 0, stdout: '', stderr: '' });
});

test('a seed gives the same answers again', () => {
  const file = withTemplate(CHATML);
  const ask = (seed) =>
    parsed(
      run(['chat', file, '--json', '--max-tokens', '8', '--ignore-eos', '--seed', seed], { input: 'a\nb\n' })
        .stdout,
    ).map(({ text }) => text);
  const [one, same, other] = [ask('5'), ask('5'), ask('6')];
  assert.equal(one.length, 2);
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
});

// The fixture has a context of 256 tokens.
test('a conversation that outgrows the context loses its oldest turns, not its system turn', () => {
  const file = withTemplate(CHATML);
  const input = Array.from({ length: 12 }, (_, i) => `Question ${i}: where is the sea, and why?\n`).join('');
  const { status, stdout, stderr } = run(
    ['chat', file, '--json', '--temperature', '0', '--ignore-eos', '--max-tokens', '12'],
    { input },
  );
  assert.equal(status, 0, stderr);
  const answers = parsed(stdout);
  assert.equal(answers.length, 12);
  const dropped = answers.map(({ droppedMessages = 0 }) => droppedMessages);
  assert.equal(dropped[0], 0);
  assert.ok(dropped.at(-1) >= 8 && dropped.at(-1) < 22, dropped.join());
  assert.ok(dropped.every((n, i) => n % 2 === 0 && (i === 0 || n >= dropped[i - 1])));
  assert.ok(new Set(dropped).size < 6, `a cut lasts: ${dropped.join()}`);
  for (const { stats } of answers) assert.equal(stats.tokens, 12);
});

test('a question that no context can hold ends a piped chat with 1', () => {
  const file = withTemplate(CHATML);
  const { status, stdout, stderr } = run(['chat', file, '--max-tokens', '4'], {
    input: `Hi\n${'sea '.repeat(400)}\nHi\n`,
  });
  assert.equal(status, 1);
  assert.match(stderr, /^chord: context-full: /);
  assert.equal(stdout.trimEnd().split('\n').length, 1);
  assert.equal(run(['generate', file, 'sea '.repeat(400), '--chat']).status, 1);
});

test('at a terminal chat prompts, and survives a question that is too long', needsTerminal, async () => {
  const file = withTemplate(CHATML);
  const answers = [];
  const { status } = await inTerminal(
    ['chat', file, '--json', '--temperature', '0', '--max-tokens', '6', '--system', ''],
    async (terminal) => {
      for (const question of ['Once', 'upon', 'sea '.repeat(300), 'a time']) {
        await terminal.see('> ');
        terminal.type(`${question}\n`);
        const [line] = await terminal.see(/\{"text".*\}|context-full/);
        if (line.startsWith('{')) answers.push(JSON.parse(line));
        else assert.equal(question.length, 1200);
      }
      await terminal.see('> ');
      terminal.type(CTRL_D);
    },
    { command: [`${root}build/native/chord`], columns: 2000 },
  );
  assert.equal(status, 0);
  assert.equal(answers.length, 3);
  const say = (role, text) => `<|im_start|>${role}\n${text}<|im_end|>\n`;
  const asked = say('user', 'Once') + say('assistant', answers[0].text) + say('user', 'upon');
  const whole = `${asked}${say('assistant', answers[1].text)}${say('user', 'a time')}<|im_start|>assistant\n`;
  assert.equal(answers[2].stats.promptTokens, plain(file, whole).length);
  assert.equal(answers[2].droppedMessages, undefined);
});

test('the answers of SmolLM2 are those of the npm command', needsModel, () => {
  const npm = (args, input = '') =>
    parsed(spawnSync(process.execPath, [`${root}dist/cli.js`, ...args], { encoding: 'utf8', input }).stdout);
  const options = ['--temperature', '0', '--max-tokens', '24', '--threads', '1', '--json'];
  for (const more of [[], ['--system', 'Answer in rhymes.'], ['--system', '']]) {
    const args = ['--prompt', 'What is the capital of France? "é"', '--chat', ...options, ...more];
    const native = run(['generate', SMOLLM2, ...args]);
    const wanted = npm(['generate', SMOLLM2, ...args]);
    const join = (lines) => lines.map(({ text = '' }) => text).join('');
    assert.ok(join(wanted).length > 10);
    assert.equal(join(parsed(native.stdout)), join(wanted));
    const { stats } = wanted.at(-1);
    assert.match(native.stderr, new RegExp(`${stats.promptTokens} prompt tokens`));
  }
  const input = 'What is the capital of France?\nAnd of Spain?\n';
  const facts = ({ text, stats: { promptTokens, cachedTokens, tokens, finishReason } }) => ({
    text,
    promptTokens,
    cachedTokens,
    tokens,
    finishReason,
  });
  const native = parsed(run(['chat', SMOLLM2, ...options], { input }).stdout);
  assert.equal(native.length, 2);
  assert.deepEqual(native.map(facts), npm(['chat', SMOLLM2, ...options], input).map(facts));
});
