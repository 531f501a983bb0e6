// SPDX-License-Identifier: Apache-2.0
// cli-escapes.test.mjs: the npm bin sends no control characters of a file to a terminal. The tests need
// python3 for a pseudo-terminal.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { withTemplate } from './chat.mjs';
import { FIXTURE } from './level2.mjs';

const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const needsPython = {
  skip: spawnSync('python3', ['-c', 'import pty']).status === 0 ? false : 'no python3 with a pseudo-terminal',
};
/**
 * C0 except line feed and tab, DEL, C1, bidi marks, line and paragraph separators. The regex isn't global: a
 * global regex keeps lastIndex between calls.
 */
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
const CONTROLS = new RegExp(CONTROL, 'g');
const shown = (text) =>
  text.replace(CONTROLS, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, '0')}`);

/** Runs the bin with stdout and stderr as pipes, or both together as a terminal. */
function run(parameters, { isTerminal = false, stdin = '' } = {}) {
  const command = [process.execPath, bin, ...parameters];
  return new Promise((resolve) => {
    const child = isTerminal
      ? spawn('python3', ['-c', 'import pty, sys; pty.spawn(sys.argv[1:])', ...command], {
          stdio: ['ignore', 'pipe', 'pipe'],
          timeout: 60_000,
        })
      : spawn(command[0], command.slice(1), { stdio: 'pipe', timeout: 60_000 });
    let stdout = '',
      stderr = '';
    child.stdout.setEncoding('utf8').on('data', (data) => {
      stdout += data;
    });
    child.stderr.setEncoding('utf8').on('data', (data) => {
      stderr += data;
    });
    child.stdin?.on('error', () => {}).end(stdin);
    child.on('close', (status) =>
      resolve({ status, stdout: isTerminal ? stdout.replaceAll('\r\n', '\n') : stdout, stderr }),
    );
  });
}

/** Runs `use(file)` with a fixture that has this general.name and this chat template. */
async function withFile(name, template, use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-escapes-'));
  try {
    const bytes = Buffer.from(await withTemplate(template));
    const at = bytes.indexOf('general.name') + 'general.name'.length + 4;
    const length = Number(bytes.readBigUInt64LE(at));
    const filled = Buffer.from(name);
    assert.ok(filled.length <= length, `${filled.length} bytes of name, ${length} in the fixture`);
    filled.copy(bytes.fill('.', at + 8, at + 8 + length), at + 8);
    const file = path.join(folder, 'hostile.gguf');
    await writeFile(file, bytes);
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test(
  'info escapes the controls of a name and keeps it on one line, on a terminal and in a pipe',
  needsPython,
  async () => {
    for (const name of ['\x1b[2Jx', 'a\nb: c', '\x9b31m', '\u202eabc', 'a\rb\u2028c']) {
      await withFile(name, 'x', async (file) => {
        for (const isTerminal of [false, true]) {
          const { stdout } = await run(['info', file, '--quiet'], { isTerminal });
          assert.doesNotMatch(stdout, CONTROL, JSON.stringify(stdout));
          const wanted = shown(name).replaceAll('\n', '\\u000a');
          assert.ok(
            stdout.split('\n').some((line) => line.startsWith(`name          ${wanted}`)),
            `${JSON.stringify(wanted)} in ${stdout}`,
          );
        }
        const { stdout } = await run(['info', file, '--json', '--quiet'], { isTerminal: true });
        assert.doesNotMatch(stdout, CONTROL);
        assert.ok(JSON.parse(stdout).name.startsWith(name), 'the JSON must hold the name as in the file');
      });
    }
  },
);

test('an error from a template stays on one line and sends no controls', needsPython, () =>
  withFile('x', "{{ raise_exception('a\x1b[31mred\nwasm-chord: all is well\x9b\u202e') }}", async (file) => {
    const piped = await run(['generate', file, 'Hi', '--chat']);
    assert.equal(piped.status, 1);
    assert.match(
      piped.stderr,
      /^wasm-chord: invalid-argument: chat template, line 2: a\\u001b\[31mred\\u000awasm-chord: all is well\\u009b\\u202e\n$/,
    );
    const terminal = await run(['generate', file, 'Hi', '--chat', '--quiet'], { isTerminal: true });
    assert.equal(terminal.stdout, piped.stderr);
    const chat = await run(['chat', file], { stdin: 'Hi\n' });
    assert.match(chat.stderr, /a\\u001b\[31mred\\u000awasm-chord/);
    assert.doesNotMatch(chat.stderr, CONTROL);
    const usage = await run(['info', 'a', 'x\x1b[31m\ny']);
    assert.doesNotMatch(usage.stderr, CONTROL);
    assert.equal(usage.stderr.split('\n').length, 3);
  }),
);

test(
  'generated text goes to a pipe unchanged, and to a terminal with its controls escaped',
  needsPython,
  async () => {
    const flags = [
      '--temperature',
      '6',
      '--top-k',
      '0',
      '--top-p',
      '1',
      '--min-p',
      '0',
      '--max-tokens',
      '200',
      '--seed',
      '11',
      '--quiet',
      '--ignore-eos',
    ];
    const piped = await run(['generate', FIXTURE, 'Hello', ...flags]);
    assert.ok(piped.stdout.match(CONTROLS)?.length > 5, 'the text must contain controls');
    const terminal = await run(['generate', FIXTURE, 'Hello', ...flags], { isTerminal: true });
    assert.equal(terminal.stdout, shown(piped.stdout));
    const text = '\x1b[31m\x9b\u202e';
    for (const command of [
      ['tokenize', FIXTURE, text],
      ['tokenize', FIXTURE, text, '--json'],
      ['logits', FIXTURE, '\x9b', '--top', '400'],
    ]) {
      const { stdout, status } = await run([...command, '--quiet'], { isTerminal: true });
      assert.equal(status, 0);
      assert.doesNotMatch(stdout, CONTROL);
    }
  },
);
