// SPDX-License-Identifier: Apache-2.0
// status.mjs: writes the status table of README.md from the test results in build/results/ and from the table
// of docs/ENGINES.md (`make engines`).
//
//   make status            after make test; writes between the two markers in README.md
//
// A cell is `yes` when every test that it names ran and passed, `no` when one failed, `not run` when one was
// skipped or its suite has no results. Where `make test` has no test, the cell is that of docs/ENGINES.md,
// and `-` where that has none either. A matcher that finds no title in the results of its suite is an error:
// the title has changed.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { chromiumPath } from './browsers.mjs';

const root = new URL('..', import.meta.url).pathname;
const folder = `${root}build/results/`;
const tests = (existsSync(folder) ? readdirSync(folder) : []).flatMap((file) =>
  JSON.parse(readFileSync(folder + file, 'utf8')).map((test) => ({
    ...test,
    file: file.replace('tests-', '').replace('.json', ''),
  })),
);

const version = chromiumPath
  ? execFileSync(chromiumPath, ['--version'], { encoding: 'utf8' }).match(/\d+/)[0]
  : '?';

/** The cells of docs/ENGINES.md: row -> { column: cell }. */
const engines = {};
const [heads, , ...rows] = readFileSync(`${root}docs/ENGINES.md`, 'utf8')
  .match(/<!-- passed -->\n([\s\S]*?)\n<!-- \/passed -->/)[1]
  .split('\n')
  .map((line) => line.slice(2, -2).split(' | '));
for (const [row, ...cells] of rows)
  engines[row] = Object.fromEntries(cells.map((cell, i) => [heads[i + 1], cell]));
const engineOf = (name) => heads.find((head) => head.startsWith(name) && head.endsWith(', isolated'));

const columns = [
  `Chromium ${version}`,
  `Chromium ${version}, no headers`,
  ...['Firefox', 'WebKit'].map((name) => engineOf(name)?.replace(', isolated', '') ?? name),
  `Node ${process.versions.node.split('.')[0]}`,
];
/** The column of docs/ENGINES.md for each column. */
const inEngines = [
  engineOf('Chromium'),
  engineOf('Chromium')?.replace(', isolated', ', not isolated'),
  engineOf('Firefox'),
  engineOf('WebKit'),
  columns.at(-1),
];

/**
 * [feature, row of docs/ENGINES.md, a matcher for Chromium, Chromium without headers and Node]. A matcher is
 * [file, part of the test's name].
 */
const features = [
  [
    "fixtures: llama.cpp's ids and logits",
    "fixtures: llama.cpp's ids and logits",
    ['e2e-level2', 'llama.cpp'],
    ['e2e-level2', 'llama.cpp'],
    ['ts-fixtures', 'llama.cpp'],
  ],
  [
    'SmolLM2 as good as llama.cpp',
    'SmolLM2 as good as llama.cpp',
    null,
    null,
    ['ts-smollm2', 'tokens as good'],
  ],
  [
    '`loadModel`, streaming, abort (level 2)',
    'level 2: stream, seeds, tokenize, chat',
    ['e2e-page', ': isolated, level 2'],
    ['e2e-page', ': not isolated, level 2'],
    ['ts-level2-generate', ''],
  ],
  [
    '`chat.completions`, the chat page',
    'the chat page',
    ['e2e-chat', ': isolated'],
    ['e2e-chat', ': not isolated'],
    ['ts-chat', ''],
  ],
  [
    '`WasmModel`, `AsyncTokenStream` (level 1)',
    'level 1: stream, break, free',
    ['e2e-page', ': isolated, level 1'],
    ['e2e-page', ': not isolated, level 1'],
    ['ts-level1', ''],
  ],
  [
    'URL, File, Blob, bytes, stream as source',
    'URL, File, Blob, bytes, Response, stream',
    ['e2e-level2', 'every kind of source'],
    null,
    ['ts-level2-load', 'source'],
  ],
  [
    'malformed files are typed errors',
    'bad files are typed errors',
    ['e2e-page', 'says what is wrong'],
    null,
    ['ts-level2-load', 'next load works'],
  ],
  ['memory within the bound', 'memory within its bound', ['e2e-memory', ''], null, ['ts-level2-memory', '']],
  ['behind a bundler (Vite)', null, ['bundler-vite', ''], null, null],
];

function cell(matcher, row, column) {
  if (!matcher) return (row && engines[row][column]) ?? '-';
  const found = tests.filter((test) => test.file === matcher[0] && test.name.includes(matcher[1]));
  if (found.some((test) => test.result === 'failed')) return '**no**';
  return found.length > 0 && found.every((test) => test.result === 'passed') ? 'yes' : 'not run';
}

const files = new Set(tests.map((test) => test.file));
const stale = features
  .flatMap(([, , ...matchers]) => matchers)
  .filter((matcher) => matcher && files.has(matcher[0]))
  .filter(([file, part]) => !tests.some((test) => test.file === file && test.name.includes(part)));
const lost = features.map(([, row]) => row).filter((row) => row && !engines[row]);
for (const [file, part] of stale)
  console.error(`tools/status.mjs: no title in the results of ${file} contains '${part}'`);
for (const row of lost) console.error(`tools/status.mjs: docs/ENGINES.md has no row '${row}'`);
if (stale.length + lost.length > 0) process.exit(1);

const table = [
  ['', ...columns],
  ['---', ...columns.map(() => '---')],
  ...features.map(([name, row, chromium, headerless, node]) => [
    name,
    ...[chromium, headerless, null, null, node].map((matcher, i) => cell(matcher, row, inEngines[i])),
  ]),
]
  .map((row) => `| ${row.join(' | ')} |`)
  .join('\n');
const readme = `${root}README.md`;
const text = readFileSync(readme, 'utf8');
const marked = /(<!-- status -->\n)[\s\S]*?(<!-- \/status -->)/;
if (!marked.test(text)) throw new Error('README.md has no status markers');
writeFileSync(
  readme,
  text.replace(marked, (_, begin, end) => `${begin}${table}\n${end}`),
);
console.log(table);
