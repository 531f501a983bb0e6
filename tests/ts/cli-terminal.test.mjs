// SPDX-License-Identifier: Apache-2.0
// cli-terminal.test.mjs: what a user of `wasm-chord` sees and types in a terminal. The tests need python3 for
// a pseudo-terminal.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { CHATML, withContext, withTemplate } from './chat.mjs';
import { FIXTURE, SMOLLM2, needsModel } from './level2.mjs';
import { bin, CTRL_C, CTRL_D, inTerminal, needsTerminal, screenOf, UP } from './terminal.mjs';

const flags = ['--temperature', '0', '--max-tokens', '6', '--threads', '1'];
/** Seconds of an answer: the fixture's answers end after some dozens of tokens, within milliseconds. */
const story = [SMOLLM2, '--temperature', '0', '--max-tokens', '2000', '--threads', '1'];
const needsBoth = { skip: needsTerminal.skip || needsModel.skip };

/** Runs `use(file, folder)` with a fixture that has a chat template. */
async function withFile(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-terminal-'));
  try {
    const file = path.join(folder, 'tiny.gguf');
    await writeFile(file, withContext(await withTemplate(CHATML), 100_000));
    return await use(file, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Resolves to the exports of a file of ts/cli. */
async function importSource(name) {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(`../../ts/cli/${name}`, import.meta.url))],
    bundle: true,
    format: 'esm',
    write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}

test(
  'a conversation opens with the model, its size, its threads and the keys, in sentences',
  needsTerminal,
  () =>
    withFile(async (file) => {
      const { screen, status } = await inTerminal(['chat', file, ...flags], async ({ see, type }) => {
        await see('> ');
        type(CTRL_D);
      });
      assert.equal(status, 0);
      assert.match(screen[0], /^tiny \([\d.]+M parameters, Q4_1, [\d.]+ [kM]B\) on 1 thread\.$/);
      assert.match(
        screen.slice(1, 4).join(' '),
        /Ctrl-C stops an answer, and leaves at the empty prompt\. ↑ .*\/help/,
      );
    }),
);

test('Ctrl-C stops an answer, a second one leaves, and the shell sees 130', needsBoth, async () => {
  const { screen, status } = await inTerminal(['chat', ...story, '--system', ''], async ({ see, type }) => {
    await see('> ');
    type('Tell me a long story.\r');
    await see(/\n[^>]/);
    type(CTRL_C);
    await see('stopped');
    await see('> ');
    type('half a question');
    await see('half a question');
    type(CTRL_C); // empties the line
    await see('> ');
    type('/system\r');
    await see('no system turn');
    await see('> ');
    type(CTRL_C);
  });
  assert.equal(status, 130, screen.join('\n'));
});

test(
  '↑ brings back questions of this conversation and of earlier ones; --no-history keeps none',
  needsTerminal,
  () =>
    withFile(async (file, folder) => {
      const history = path.join(folder, 'state/history');
      const env = { WASM_CHORD_HISTORY: history };
      const ask = (more, keys) =>
        inTerminal(
          ['chat', file, ...flags, ...more],
          async ({ see, type }) => {
            for (const line of keys) {
              await see('> ');
              type(line);
              await see(/token/);
            }
            await see('> ');
            type(CTRL_D);
          },
          { env },
        );
      await ask([], ['First question\r', 'Second question\r']);
      assert.equal(await readFile(history, 'utf8'), 'First question\nSecond question\n');
      await inTerminal(
        ['chat', file, ...flags],
        async ({ see, type }) => {
          for (const line of ['/help', '/system', '/exit']) {
            await see('> ');
            type(`${line}\r`);
          }
        },
        { env },
      );
      assert.equal(await readFile(history, 'utf8'), 'First question\nSecond question\n', 'no commands');
      assert.equal((await stat(history)).mode & 0o077, 0, 'others can read the history');
      const { screen } = await ask([], [`${UP}${UP}\r`, `${UP}\r`]);
      assert.equal(screen.filter((line) => line === '> First question').length, 2, screen.join('\n'));
      const before = await readFile(history, 'utf8');
      const none = await ask(['--no-history'], [`${UP}Third question\r`]);
      assert.ok(none.screen.includes('> Third question'), none.screen.join('\n'));
      assert.equal(await readFile(history, 'utf8'), before);
    }),
);

test(
  'what is typed during an answer is not drawn into it, and stands at the next prompt',
  needsBoth,
  async () => {
    const { raw, screen } = await inTerminal(['chat', ...story, '--system', ''], async ({ see, type }) => {
      await see('> ');
      type('Tell me a long story.\r');
      await see(/\n[^>]/);
      type('Write a long poem.');
      // The program has read the keys: it reads Ctrl-C after them.
      type(CTRL_C);
      await see('stopped');
      await see('> Write a long poem.');
      type('\r');
      await see(/\n[^>]/);
      type('Write a long letter.\r');
      type(CTRL_C);
      await see('> Write a long letter.');
      await see(/\n[^>]/);
      type(CTRL_C);
      await see('> ');
      type(CTRL_C);
    });
    assert.equal(raw.match(/Write a long poem\./g).length, 1, raw);
    assert.ok(
      screen.includes('> Write a long poem.') && screen.includes('> Write a long letter.'),
      screen.join('\n'),
    );
  },
);

test(
  'a text breaks at words at the edge of a narrow terminal, and loses nothing',
  needsTerminal,
  async () => {
    const long = [
      'generate',
      FIXTURE,
      'Hello',
      '--temperature',
      '2',
      '--top-k',
      '200',
      '--seed',
      '5',
      '--quiet',
    ];
    const run = (columns) =>
      inTerminal([...long, '--max-tokens', '300', '--ignore-eos', '--threads', '1'], async () => {}, {
        columns,
      });
    const [narrow, wide] = [await run(24), await run(5000)];
    const words = wide.screen.join('\n').split(/\s+/);
    assert.ok(narrow.screen.length > wide.screen.length + 10, narrow.screen.join('\n'));
    assert.equal(narrow.screen.join('').replace(/\s+/g, ''), words.join(''));
    // No line begins or ends inside a word that fits the line.
    const fitting = new Set(words.filter((word) => word.length > 0));
    const edges = narrow.screen.flatMap((line) => [
      line.trim().split(/\s+/)[0],
      line.trim().split(/\s+/).at(-1),
    ]);
    const broken = edges.filter((word) => word !== '' && !fitting.has(word));
    const cut = words.filter((word) => word.length > 23).length;
    assert.ok(broken.length <= 4 * cut, `${broken.join(' | ')} in\n${narrow.screen.join('\n')}`);
  },
);

test(
  'in a terminal a tiny model gets the settings that it needs; options of the user win, and a pipe has the system turn alone',
  needsTerminal,
  () =>
    withFile(async (file, folder) => {
      const more = ['--max-tokens', '12', '--threads', '1', '--quiet'];
      const talk = async (options) => {
        const saved = path.join(folder, `${options.length}.json`);
        await inTerminal(['chat', file, ...more, ...options], async ({ see, type }) => {
          for (const line of ['Hi there', `/save ${saved}`, '/exit']) {
            await see('> ');
            type(`${line}\r`);
          }
        });
        return JSON.parse(await readFile(saved, 'utf8')).messages;
      };
      const preset = await talk([]);
      const same = [
        '--temperature',
        '0',
        '--frequency-penalty',
        '0.2',
        '--system',
        'You are a helpful assistant.',
      ];
      assert.deepEqual(preset, await talk(same));
      assert.deepEqual(preset[0], { role: 'system', content: 'You are a helpful assistant.' });
      const own = await talk(['--temperature', '0', '--system', '']);
      assert.equal(own[0].role, 'user');
      const piped = (...options) =>
        spawnSync(process.execPath, [bin, 'chat', file, ...more, '--temperature', '0', ...options], {
          input: 'Hi there\n',
          encoding: 'utf8',
        }).stdout;
      assert.equal(piped('--system', ''), `${own[1].content}\n`);
      const withSystem = await talk(['--temperature', '0', '--frequency-penalty', '0']);
      assert.equal(piped(), `${withSystem[2].content}\n`);
      assert.notEqual(piped(), piped('--system', ''));
    }),
);

test('a download shows bytes, rate and time left', needsTerminal, async () => {
  const bytes = await readFile(FIXTURE);
  const server = createServer(async (request, response) => {
    response.writeHead(200, { 'content-length': bytes.length });
    for (let at = 0; at < bytes.length && request.method !== 'HEAD'; at += 16 << 10) {
      response.write(bytes.subarray(at, at + (16 << 10)));
      await new Promise((resolve) => setTimeout(resolve, 150));
    }
    response.end();
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const url = `http://127.0.0.1:${server.address().port}/tiny.gguf`;
    const { raw } = await inTerminal(['tokenize', url, 'x'], async () => {}, { columns: 100 });
    assert.match(raw, /\d %  [\d.]+ kB of 322\.9 kB {2}[\d.]+ kB\/s {2}\d s left/);
  } finally {
    server.close();
  }
});

test('a word that reaches the edge is moved, a longer one is cut, and wide characters count twice', async () => {
  const { WordWrap } = await importSource('wrap.ts');
  const shown = (pieces, columns) => {
    const wrap = new WordWrap();
    return screenOf(
      pieces
        .map((piece) => wrap.write(piece, columns))
        .join('')
        .replaceAll('\n', '\r\n'),
      columns,
    );
  };
  const each = (text) => [...text];
  for (const pieces of [['one two three four'], each('one two three four'), ['one tw', 'o thr', 'ee four']])
    assert.deepEqual(shown(pieces, 10), ['one two', 'three', 'four']);
  assert.deepEqual(shown(['exactly9! no'], 10), ['exactly9!', 'no']);
  assert.deepEqual(shown(['a abcdefghijklmnop b'], 10), ['a', 'abcdefghi', 'jklmnop b']);
  assert.deepEqual(shown(['  indented\n\n  so that words move'], 12), [
    '  indented',
    '',
    '  so that',
    'words move',
  ]);
  assert.deepEqual(shown(each('你好世界你好世界'), 10), ['你好世界', '你好世界']);
  assert.deepEqual(shown(each('你好世界。你好'), 10), ['你好世', '界。你好']);
  assert.deepEqual(shown(each('abc 你好世界'), 10), ['abc 你好', '世界']);
  assert.deepEqual(shown(['ab\tcd ef gh'], 14), ['ab      cd ef', 'gh']);
  assert.equal(
    new WordWrap().write('a terminal that tells no width', undefined),
    'a terminal that tells no width',
  );
});

test("the columns of every character are those of Python's Unicode tables", needsTerminal, async () => {
  const { columnsOf } = await importSource('width.ts');
  // Characters that the tables of both know, without those that Unicode 16 made wide (4DC0 to 4DFF) and the
  // vowels of Hangul, which a terminal draws over the character before them.
  const script = `
import unicodedata as u
for c in range(0x20, 0x110000):
    category, width = u.category(chr(c)), u.east_asian_width(chr(c))
    if category not in ('Cc', 'Cn', 'Co', 'Cs') and not 0x4dc0 <= c < 0x4e00 and not 0x1160 <= c < 0x1200:
        print(c, 0 if category in ('Mn', 'Me', 'Cf') else 2 if width in 'WF' else 1)`;
  const { stdout, status } = spawnSync('python3', ['-c', script], { maxBuffer: 1 << 26, encoding: 'utf8' });
  assert.equal(status, 0);
  const rows = stdout.trimEnd().split('\n');
  assert.ok(rows.length > 100_000);
  const wrong = rows
    .map((row) => row.split(' ').map(Number))
    .map(([code, columns]) => [code, columns, String.fromCodePoint(code)])
    .filter(([, columns, sign]) => !/\p{Cn}/u.test(sign) && columnsOf(sign) !== columns)
    .map(([code]) => code.toString(16));
  assert.ok(wrong.length <= 2, wrong.join(' '));
});

test(
  'a load draws a bar with bytes on one line, and none where TERM is dumb; NO_COLOR leaves colours out',
  needsTerminal,
  async () => {
    const run = (env) => inTerminal(['info', FIXTURE], async () => {}, { columns: 60, env });
    const { raw, screen } = await run({});
    assert.match(raw, /\r\x1b\[2K(?:starting|reading|downloading)/);
    assert.match(raw, /of [\d.]+ kB/);
    assert.match(screen[0], /^file /, 'the bar must be erased');
    const dumb = await run({ TERM: 'dumb' });
    assert.doesNotMatch(dumb.raw, /\x1b|starting|reading/);
    const talk = (env) =>
      withFile((file) =>
        inTerminal(
          ['chat', file, ...flags],
          async ({ see, type }) => {
            await see('> ');
            type(CTRL_D);
          },
          { env },
        ),
      );
    assert.match((await talk({})).raw, /\x1b\[2m/);
    assert.doesNotMatch((await talk({ NO_COLOR: '1' })).raw, /\x1b\[[\d;]*m/);
  },
);

test('what a model thinks is faint, and its answer begins a paragraph', async () => {
  const { TextPrinter } = await importSource('terminal.ts');
  const { stdout } = process;
  const before = { isTTY: stdout.isTTY, write: stdout.write, hasColors: stdout.hasColors };
  let written = '';
  const run = async (isTTY) => {
    written = '';
    try {
      Object.assign(stdout, { isTTY, hasColors: () => true, write: (text) => ((written += text), true) });
      const printer = new TextPrinter();
      for (const [piece, thought] of [
        ['', 'Hm, \x1b[31m'],
        ['', 'well.'],
        ['', ''],
        ['Yes', ''],
        ['.', ''],
      ])
        await printer.write(piece, thought);
    } finally {
      Object.assign(stdout, before);
    }
  };
  const { TERM } = process.env;
  process.env.TERM = 'xterm';
  await run(true);
  process.env.TERM = TERM ?? '';
  assert.equal(written, '\x1b[2mHm, \\u001b[31m\x1b[22m\x1b[2mwell.\x1b[22m\n\nYes.');
  await run(false);
  assert.equal(written, 'Yes.');
});
