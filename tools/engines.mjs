// SPDX-License-Identifier: Apache-2.0
// engines.mjs: writes the tables of docs/ENGINES.md from what tests/engines found, in build/engines/.
//
//   make engines           after make test-engines; writes between the markers in docs/ENGINES.md
//
// A cell is `yes` when the test passed and `**no**` when it failed; `-` where there is no such test.
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url).pathname;
const folder = `${root}build/engines/`;
const order = ['chromium', 'firefox', 'webkit', 'node'];
const files = existsSync(folder) ? readdirSync(folder).sort() : [];
const rows = order
  .flatMap((engine) => files.filter((file) => file.startsWith(engine)))
  .map((file) => JSON.parse(readFileSync(folder + file, 'utf8')))
  .flatMap(({ title, version, modes }) =>
    Object.entries(modes).map(([mode, found]) => ({
      name: `${title} ${version
        .split('.')
        .slice(0, title === 'WebKit' ? 2 : 1)
        .join('.')}`,
      mode,
      found,
    })),
  );
if (rows.length === 0) {
  console.error('tools/engines.mjs: build/engines is empty; run `make test-engines`');
  process.exit(1);
}

const title = ({ name, mode }) => (mode === 'Node' ? name : `${name}, ${mode}`);
const yes = (check) => (check === undefined ? '-' : check.passed ? 'yes' : '**no**');
const table = (lines) => lines.map((line) => `| ${line.join(' | ')} |`).join('\n');

/** What each engine offers, and what a model then takes. */
function environments() {
  const head = ['', 'variant', 'threads', 'Memory64', 'OPFS', "hash of the fixtures' logits"];
  const line = (row) => {
    const { info, memory64, opfs } = row.found.environment;
    const hash = row.found.fixtures?.logits;
    const [has, at] = [(fact) => (fact ? 'yes' : 'no'), title(row)];
    return [at, `\`${info.variant}\``, info.threads, has(memory64), has(opfs), hash ? `\`${hash}\`` : '-'];
  };
  return table([head, head.map(() => '---'), ...rows.filter((row) => row.found.environment?.info).map(line)]);
}

function reasons() {
  const list = new Map();
  for (const row of rows) {
    const info = row.found.environment?.info;
    if (!info) continue;
    const text = `${info.threadsReason ?? info.backendReason}; ${info.variantReason ?? ''}`.replace(
      /; $/,
      '',
    );
    list.set(text, [...(list.get(text) ?? []), title(row)]);
  }
  return [...list].map(([text, names]) => `- ${names.join('; ')}: ${text}.`).join('\n');
}

const CHECKS = {
  fixtures: "fixtures: llama.cpp's ids and logits",
  smollm2: 'SmolLM2 as good as llama.cpp',
  level1: 'level 1: stream, break, free',
  level2: 'level 2: stream, seeds, tokenize, chat',
  sources: 'URL, File, Blob, bytes, Response, stream',
  threads: 'the same logits with any number of threads',
  memory64: 'plan above 4 GiB: 64-bit addresses, or refused with the reason',
  abort: 'abort within one step',
  badFiles: 'bad files are typed errors',
  memory: 'memory within its bound',
  cache: 'cache: the second load reads no network',
  resume: 'a download resumes',
  testPage1: 'the test page, level 1',
  testPage2: 'the test page, level 2',
  chatPage: 'the chat page',
};

function passed() {
  const used = Object.entries(CHECKS).filter(([id]) => rows.some(({ found }) => found[id]));
  const lines = used.map(([id, what]) => [what, ...rows.map(({ found }) => yes(found[id]))]);
  return table([['', ...rows.map(title)], ['---', ...rows.map(() => '---')], ...lines]);
}

function agreement() {
  const golden = readFileSync(`${root}tests/golden/smollm2.txt`, 'utf8');
  const [, nmse, , , regret, differ] = golden
    .match(/^noise kv16fa-prefill .*/m)[0]
    .split(' ')
    .slice(1);
  const judged = rows.filter(({ found }) => found.smollm2?.passed);
  const steps = judged[0]?.found.smollm2.steps;
  const percent = (count) => `${((100 * (steps - count)) / steps).toFixed(1)} %`;
  const head = ['', 'variant', 'same best token', 'largest regret', 'NMSE of logits', 'KL divergence'];
  const line = (row) => {
    const { smollm2, environment } = row.found;
    return [
      row.name,
      `\`${environment.info.variant}\``,
      percent(smollm2.differ),
      smollm2.regret.toFixed(3),
      smollm2.nmse.toExponential(1),
      smollm2.kl.toExponential(1),
    ];
  };
  const native = [
    'llama.cpp itself',
    'native',
    percent(Number(differ)),
    regret,
    Number(nmse).toExponential(1),
    '-',
  ];
  return table([head, head.map(() => '---'), ...judged.map(line), native]);
}

const file = `${root}docs/ENGINES.md`;
let text = readFileSync(file, 'utf8');
for (const [name, make] of Object.entries({ environments, reasons, passed, agreement })) {
  const marked = new RegExp(`(<!-- ${name} -->\\n)[\\s\\S]*?(<!-- /${name} -->)`);
  if (!marked.test(text)) throw new Error(`docs/ENGINES.md has no markers for ${name}`);
  text = text.replace(marked, (_, begin, end) => `${begin}${make()}\n${end}`);
}
writeFileSync(file, text);
console.log(`docs/ENGINES.md: ${rows.length} rows`);
