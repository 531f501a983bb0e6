// native.test.mjs: the native `chord` and examples/c/generate.c, compared with llama.cpp's golden of a
// fixture.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import test from 'node:test';

const root = new URL('../../', import.meta.url).pathname;
const fixture = `${root}tests/golden/f16-d64.gguf`;
const lines = readFileSync(fixture.replace('.gguf', '.txt'), 'utf8')
  .split('\n')
  .map((line) => line.split(' '));

/** Returns ids, greedy tokens and their margins of the golden's prompt with n tokens. */
function prompt(n) {
  const at = lines.findIndex(([key, value]) => key === 'prompt' && Number(value) === n);
  const row = (key) =>
    lines
      .slice(at)
      .find((line) => line[0] === key)
      .slice(1)
      .map(Number);
  return { ids: row('ids'), greedy: row('greedy'), margins: row('margins') };
}
const tolerance = Number(lines.find(([key]) => key === 'tolerance')[3]);

function run(program, ...args) {
  const { status, stdout, stderr } = spawnSync(`${root}build/native/${program}`, args, { encoding: 'utf8' });
  return { status, stdout, stderr };
}

test('info prints metadata and the model; --json parses; --program lists the ops', () => {
  const text = run('chord', 'info', fixture);
  assert.equal(text.status, 0, text.stderr);
  assert.match(text.stdout, /general\.architecture +llama/);
  const info = JSON.parse(run('chord', 'info', fixture, '--json').stdout);
  assert.equal(info.metadata['general.architecture'], 'llama');
  assert.equal(info.n_vocab, Number(lines.find(([key]) => key === 'n_vocab')[1]));
  const program = run('chord', 'info', fixture, '--program').stdout;
  assert.match(program, /EMBED .*token_embd\.weight/);
  assert.match(program, /ATTEND +layer 0/);
});

test("tokenize prints llama.cpp's ids", () => {
  const texts = lines.filter(([key, flags, hex]) => key === 'text' && flags === '1' && hex !== '-');
  assert.ok(texts.length > 0);
  for (const [, , hex, ...ids] of texts) {
    const text = Buffer.from(hex, 'hex').toString('utf8');
    if (text.includes('\0')) continue; // an argument can't contain NUL
    const { ids: got } = JSON.parse(
      run('chord', 'tokenize', fixture, '--text', text, '--no-parse', '--json').stdout,
    );
    assert.deepEqual(got, ids.map(Number), JSON.stringify(text));
  }
});

test('generate continues greedily as llama.cpp does while the margin is above the noise', () => {
  let compared = 0;
  for (const n of [1, 31, 33, 70]) {
    const { ids, greedy, margins } = prompt(n);
    const noisy = margins.findIndex((margin) => margin <= tolerance);
    const sure = noisy < 0 ? greedy.length : noisy;
    compared += sure;
    for (const threads of ['1', '2']) {
      const result = run(
        'chord',
        'generate',
        fixture,
        '--ids',
        ids.join(','),
        '--temperature',
        '0',
        '--ignore-eos',
        '--max-tokens',
        String(greedy.length),
        '--threads',
        threads,
        '--json',
      );
      assert.equal(result.status, 0, result.stderr);
      const got = result.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).token)
        .filter((token) => token >= 0);
      assert.deepEqual(got.slice(0, sure), greedy.slice(0, sure));
      assert.match(result.stderr, new RegExp(`${n} prompt tokens in`));
    }
  }
  assert.ok(compared >= 20, `only ${compared} tokens had a margin above the noise`);
});

test('within --memory a model of seven layers gives the same tokens, and says what it read', () => {
  const model = `${root}tests/golden/gemma3-f32.gguf`;
  const args = ['generate', model, '--ids', '2,5,9', '--max-tokens', '6', '--temperature', '0', '--json'];
  const whole = run('chord', ...args);
  assert.equal(whole.status, 0, whole.stderr);
  const least = run('chord', ...args, '--memory', '1');
  assert.equal(least.status, 1);
  const [, bytes] = /out-of-memory: the model needs (\d+) bytes, also if its layers are paged/.exec(
    least.stderr,
  );
  const paged = run('chord', ...args, '--memory', bytes);
  assert.equal(paged.status, 0, paged.stderr);
  assert.equal(paged.stdout, whole.stdout);
  assert.match(paged.stderr, /7 layers are paged through [12] slots .* MB read in \d+ batches/);
  assert.doesNotMatch(whole.stderr, /paged/);
});

test('logits --all prints one row of the vocabulary per token', () => {
  const { ids } = prompt(31);
  const result = run('chord', 'logits', fixture, '--ids', ids.join(','), '--all', '--json');
  const rows = result.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    rows.map((row) => row.position),
    ids.map((_, i) => i),
  );
  assert.ok(
    rows.every(
      (row) => row.logits.length === JSON.parse(run('chord', 'info', fixture, '--json').stdout).n_vocab,
    ),
  );
});

test('a failure exits with 1 and names code and culprit; wrong usage exits with 2', () => {
  const cut = `${root}build/native/cut.gguf`;
  writeFileSync(cut, readFileSync(fixture).subarray(0, 5000));
  const failed = run('chord', 'info', cut);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /invalid-gguf: .* the file ends at 5000/);
  assert.equal(run('chord', 'info', `${root}build/native/no-such-file`).status, 1);
  for (const args of [
    [],
    ['sing', fixture],
    ['info', fixture, '--loud'],
    ['generate', fixture, '--prompt', 'a', '--top-k', 'many'],
    ['tokenize', fixture],
  ])
    assert.equal(run('chord', ...args).status, 2, args.join(' '));
  const empty = run('chord', 'generate', fixture, '');
  assert.deepEqual([empty.status, empty.stderr], [1, 'chord: the prompt has no tokens\n']);
});

test('the text is an argument after the model, before or after the options, as in the npm command', () => {
  for (const [command, name] of [
    ['tokenize', '--text'],
    ['generate', '--prompt'],
    ['logits', '--text'],
  ]) {
    const options = command === 'generate' ? ['--temperature', '0', '--max-tokens', '4'] : ['--json'];
    const wanted = run('chord', command, fixture, name, 'Once upon', ...options);
    assert.equal(wanted.status, 0, wanted.stderr);
    assert.ok(wanted.stdout.length > 0);
    for (const args of [
      ['Once upon', ...options],
      [...options, 'Once upon'],
    ]) {
      const got = run('chord', command, fixture, ...args);
      assert.equal(got.status, 0, got.stderr);
      assert.equal(got.stdout, wanted.stdout);
    }
  }
});

test('wrong usage names the argument at fault', () => {
  for (const [args, complaint] of [
    [['info', fixture, '--loud'], "'--loud' isn't an option"],
    [['generate', fixture, '--temprature', '0'], "'--temprature' isn't an option"],
    [['generate', fixture, 'Once', 'upon'], "the argument 'upon' is one too many"],
    [['info', fixture, 'Once'], "the argument 'Once' is one too many"],
    [
      ['generate', fixture, 'a', '--prompt', 'b'],
      "the argument 'a' can't be combined with --prompt, --text or --ids",
    ],
    [
      ['logits', fixture, '--ids', '1', 'a'],
      "the argument 'a' can't be combined with --prompt, --text or --ids",
    ],
    [['generate', fixture, '--prompt'], '--prompt needs a value'],
    [['generate', fixture, 'a', '--kv', 'f64'], "--kv f64 isn't known"],
    [['generate', fixture, 'a', '--kv', 'vector'], "--kv vector isn't known"],
    [['generate', fixture, 'a', '--isa', 'f16'], "--isa f16 isn't known"],
    [['generate', fixture, 'a', '--seed', '1x'], "--seed 1x isn't a number"],
    [['tokenize', fixture], 'a text or --ids is needed'],
  ]) {
    const { status, stderr } = run('chord', ...args);
    assert.equal(status, 2, args.join(' '));
    assert.equal(stderr.split('\n')[0], `chord: ${complaint}`);
  }
});

test('a model loads through a pipe or a FIFO, whose length is unknown', () => {
  const { ids } = prompt(1);
  const wanted = run('chord', 'logits', fixture, '--ids', ids.join(',')).stdout;
  assert.match(wanted, /position 0/);
  const shell = (script) => spawnSync('sh', ['-c', script], { cwd: root, encoding: 'utf8' });
  const piped = shell(`cat ${fixture} | build/native/chord logits /dev/stdin --ids ${ids.join(',')}`);
  assert.equal(piped.stderr, '');
  assert.equal(piped.stdout, wanted);
  const fifo = `${root}build/native/fifo`;
  const named = shell(
    `rm -f ${fifo} && mkfifo ${fifo} && { cat ${fixture} > ${fifo} & build/native/chord info ${fifo}; }; rm -f ${fifo}`,
  );
  assert.match(named.stdout, /general\.architecture +llama/, named.stderr);
  const cut = shell(`head -c 200000 ${fixture} | build/native/chord logits /dev/stdin --ids 1`);
  assert.match(cut.stderr, /invalid-gguf: the file ends inside tensor/);
  assert.match(run('chord', 'info', root).stderr, /can't be read at offset 0/); // `root` is a folder
});

test('a text from a file is printed on one line and without control characters', () => {
  const hostile = `${root}build/native/hostile.gguf`;
  const bytes = readFileSync(fixture);
  const replace = (text, by) => {
    assert.equal(Buffer.byteLength(by), text.length);
    Buffer.from(by).copy(bytes, bytes.indexOf(text));
  };
  replace('f16-d64', '\x1b[2J\nx\r'); // general.name
  replace('llama.rope.dimension_count', 'llama\u202e\u0085\n.rope.dimension'); // an unknown key
  writeFileSync(hostile, bytes);
  // eslint-disable-next-line no-control-regex
  const obeyed = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;
  for (const options of [[], ['--json'], ['--tensors'], ['--program']]) {
    const { status, stdout } = run('chord', 'info', hostile, ...options);
    assert.equal(status, 0);
    assert.doesNotMatch(stdout, obeyed);
  }
  assert.match(run('chord', 'info', hostile).stdout, /general\.name +\\x1b\[2J\\x0ax\\x0d\n/);
  assert.equal(
    JSON.parse(run('chord', 'info', hostile, '--json').stdout).metadata['general.name'],
    '\x1b[2J\nx\r',
  );
  replace('blk.1.ffn_up', 'blk\x1b[2J\n_up_');
  writeFileSync(hostile, bytes);
  const failed = run('chord', 'info', hostile);
  assert.equal(failed.status, 1);
  assert.match(failed.stderr, /^chord: .*invalid-gguf: .*\n$/);
  assert.doesNotMatch(failed.stderr, obeyed);
  assert.doesNotMatch(run('chord', 'info', `${root}build/no\x1b[2J\nfile`).stderr, obeyed);
});

test('info prints the metadata and types of a file whose architecture is not known, and then fails', () => {
  const strange = `${root}build/native/strange.gguf`;
  const bytes = readFileSync(fixture);
  for (let at = -1; (at = bytes.indexOf('llama', at + 1)) >= 0;) bytes.write('lxama', at);
  writeFileSync(strange, bytes);
  const { status, stdout, stderr } = run('chord', 'info', strange);
  assert.equal(status, 1);
  assert.match(stderr, /unsupported-architecture: .*lxama/);
  assert.match(stdout, /general\.architecture +lxama\n/);
  const types = /^types\n {2}.*$/m;
  assert.equal(types.exec(stdout)[0], types.exec(run('chord', 'info', fixture).stdout)[0]);
  const json = JSON.parse(run('chord', 'info', strange, '--json').stdout);
  assert.match(json.problem, /lxama/);
  assert.deepEqual(json.types, JSON.parse(run('chord', 'info', fixture, '--json').stdout).types);
});

test('examples/c/generate.c, built as its first comment says, continues a prompt', () => {
  const text = 'The capital of France is';
  const a = run('generate', fixture, text, '8');
  assert.equal(a.status, 0, a.stderr);
  const b = run('chord', 'generate', fixture, '--prompt', text, '--max-tokens', '8', '--temperature', '0');
  assert.equal(a.stdout.trimEnd(), b.stdout.trimEnd());
  assert.equal(run('generate', fixture).status, 2);
});

test('examples/c/generate.c ends with the cause when the file is empty or cut anywhere', () => {
  const cut = `${root}build/native/cut.gguf`;
  for (const [n, cause] of [
    [0, /the file ends at byte 0, inside its header/],
    [20, /the file ends at byte \d+, inside its header/],
    [200000, /the file ends inside tensor/],
  ]) {
    writeFileSync(cut, readFileSync(fixture).subarray(0, n));
    const { status, stderr } = run('generate', cut, 'a', '1');
    assert.equal(status, 1);
    assert.match(stderr, cause);
  }
});

test('an unknown pre-tokenizer is refused by name; --any-pre reads it as `default`', () => {
  const bytes = readFileSync(fixture);
  bytes[bytes.indexOf('tokenizer.ggml.pre') + 'tokenizer.ggml.pre'.length + 12] = 'x'.charCodeAt(0);
  const path = `${root}build/test/any-pre.gguf`;
  writeFileSync(path, bytes);
  const refused = run('chord', 'tokenize', path, '1234');
  assert.equal(refused.status, 1);
  assert.match(refused.stderr, /unsupported-tokenizer.*'xmollm'/);
  const { status, stdout } = run('chord', 'tokenize', path, '1234', '--any-pre');
  assert.equal(status, 0);
  assert.match(stdout, /\d/);
});
