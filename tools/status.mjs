// SPDX-License-Identifier: Apache-2.0
// status.mjs: writes the status table of README.md from the test results in build/results/.
//
//   make status            after make test; writes between the two markers in README.md
//
// A cell is `yes` when every test that it names ran and passed, `no` when one failed, `not run` when one was
// skipped or its suite has no results, and `-` where there is no test. A matcher that finds no title in the
// results of its suite is an error: the title has changed.
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
const columns = [
  `Chromium ${version}`,
  `Chromium ${version}, no headers`,
  `Node ${process.versions.node.split('.')[0]}`,
];

/** [feature, one matcher per column]. A matcher is [file, part of the test's name]. */
const features = [
  [
    "fixtures: llama.cpp's ids and logits",
    ['e2e-level2', 'llama.cpp'],
    ['e2e-level2', 'llama.cpp'],
    ['ts-fixtures', 'llama.cpp'],
  ],
  ['SmolLM2 as good as llama.cpp', null, null, ['ts-smollm2', 'tokens as good']],
  [
    '`loadModel`, streaming, abort (level 2)',
    ['e2e-page', ': isolated, level 2'],
    ['e2e-page', ': not isolated, level 2'],
    ['ts-level2-generate', ''],
  ],
  [
    '`chat.completions`, the chat page',
    ['e2e-chat', ': isolated'],
    ['e2e-chat', ': not isolated'],
    ['ts-chat', ''],
  ],
  [
    '`WasmModel`, `AsyncTokenStream` (level 1)',
    ['e2e-page', ': isolated, level 1'],
    ['e2e-page', ': not isolated, level 1'],
    ['ts-level1', ''],
  ],
  [
    'URL, File, Blob, bytes, stream as source',
    ['e2e-level2', 'every kind of source'],
    null,
    ['ts-level2-load', 'source'],
  ],
  [
    'malformed files are typed errors',
    ['e2e-page', 'says what is wrong'],
    null,
    ['ts-level2-load', 'next load works'],
  ],
  ['memory within the bound', ['e2e-memory', ''], null, ['ts-level2-memory', '']],
  ['behind a bundler (Vite)', ['bundler-vite', ''], null, null],
];

function cell(matcher) {
  if (!matcher) return '-';
  const found = tests.filter((test) => test.file === matcher[0] && test.name.includes(matcher[1]));
  if (found.some((test) => test.result === 'failed')) return '**no**';
  return found.length > 0 && found.every((test) => test.result === 'passed') ? 'yes' : 'not run';
}

const files = new Set(tests.map((test) => test.file));
const stale = features
  .flatMap(([, ...matchers]) => matchers)
  .filter((matcher) => matcher && files.has(matcher[0]))
  .filter(([file, part]) => !tests.some((test) => test.file === file && test.name.includes(part)));
if (stale.length > 0) {
  for (const [file, part] of stale)
    console.error(`tools/status.mjs: no title in the results of ${file} contains '${part}'`);
  process.exit(1);
}

const table = [
  ['', ...columns],
  ['---', ...columns.map(() => '---')],
  ...features.map(([name, ...matchers]) => [name, ...matchers.map(cell)]),
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
