// checkkern-webgpu.mjs: checks the WGSL kernels and prints a table: kernel, its texts, and for each engine
// the number of cases and the largest share of its bound that a result was wrong by. The cases are those of
// tests/webgpu. Fails when a case fails, and when a text of ts/webgpu/kernels has none.
//
//   node tools/checkkern-webgpu.mjs [node] [chromium] [firefox] [FILE ...] [--json]
//
// FILE is a file of KERNEL_TESTS, such as rows: only its cases. SPDX-License-Identifier: Apache-2.0
import { KERNEL_TESTS, ENGINES, missingEngine, openEngine } from '../tests/webgpu/kernels.mjs';
import { withoutCase } from '../tests/webgpu/ledger.mjs';
import { readTexts } from './wgsl.mjs';

/** What a variant has without saying it, and what comes with a format. */
const SILENT =
  /^(before_plain|lanes_workgroup|unpack_shifts|group_\w+|store_\w+|formats\/(halves|k_scales|iq4_values))$/;

const args = process.argv.slice(2);
const isJson = args.includes('--json');
const words = args.filter((word) => word !== '--json');
const known = [...ENGINES, ...Object.keys(KERNEL_TESTS)];
for (const word of words)
  if (!known.includes(word)) throw new Error(`${word} is neither an engine nor a file: ${known.join(', ')}`);
const chosen = (list) =>
  list.some((one) => words.includes(one)) ? list.filter((one) => words.includes(one)) : list;
const files = chosen(Object.keys(KERNEL_TESTS));
const texts = await readTexts();
const engines = [];
let failed = 0;

for (const name of chosen(ENGINES)) {
  const reason = missingEngine(name);
  if (reason) {
    console.log(`SKIP the WGSL kernels in ${name}: ${reason}`);
    if (process.env.CI === 'true') failed += 1;
    continue;
  }
  engines.push(await check(name));
}
if (isJson) console.log(JSON.stringify(engines, null, 1));
else print();
process.exit(failed > 0 ? 1 : 0);

async function check(name) {
  const engine = await openEngine(name);
  const { title } = engine;
  const found = { title, tests: 0, failed: [], rows: [], offered: {} };
  try {
    for (const file of files) {
      const { tests, rows, offered } = await engine.run(file);
      found.tests += tests.length;
      found.failed.push(...tests.filter(({ error }) => error).map((one) => `${one.name}: ${one.error}`));
      found.rows.push(...rows);
      Object.entries(offered).forEach(([key, has]) => (found.offered[key] ||= has));
    }
  } finally {
    await engine.close();
  }
  const isWhole = files.length === Object.keys(KERNEL_TESTS).length;
  found.withoutCase = !isWhole ? [] : withoutCase(found.rows, texts, found.offered);
  failed += found.failed.length + found.withoutCase.length;
  return found;
}

/** Texts that are beside a kernel in all of its rows tell nothing. */
function variantOf({ texts: list, immediates }, common) {
  const shown = list
    .filter((text) => !common.has(text) && !SILENT.test(text))
    .map((text) => text.replace(/^(formats\/|lanes_|unpack_)/, ''));
  return [...shown, ...(immediates ? ['immediates'] : [])].join(' ');
}

function print() {
  const table = new Map();
  const all = engines.flatMap(({ rows }) => rows);
  for (const kernel of [...new Set(all.map((row) => row.kernel))].sort()) {
    const lists = all.filter((row) => row.kernel === kernel).map((row) => row.texts);
    const common = new Set(lists[0].filter((text) => lists.every((list) => list.includes(text))));
    engines.forEach(({ rows }, i) => {
      for (const row of rows.filter((one) => one.kernel === kernel)) {
        const key = `${kernel}\n${variantOf(row, common)}`;
        if (!table.has(key))
          table.set(
            key,
            engines.map(() => ({ cases: 0, worst: 0 })),
          );
        const cell = table.get(key)[i];
        cell.cases += row.cases;
        cell.worst = Math.max(cell.worst, row.worst);
      }
    });
  }
  const cellOf = ({ cases, worst }) =>
    cases === 0 ? '-' : `${String(cases).padStart(4)}  ${worst === 0 ? 'exact' : worst.toPrecision(2)}`;
  const lines = [...table].map(([key, cells]) => [...key.split('\n'), ...cells.map(cellOf)]);
  const heads = ['kernel', 'with', ...engines.map(({ title }) => title)];
  const widths = heads.map((head, i) => Math.max(head.length, ...lines.map((line) => line[i].length)));
  console.log('WGSL kernels: cases, and the largest error as a share of its bound\n');
  for (const line of [heads, ...lines])
    console.log(
      line
        .map((text, i) => text.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    );
  console.log();
  for (const { title, tests, failed: list, offered, withoutCase: missing } of engines) {
    const has = Object.keys(offered).filter((name) => offered[name]);
    console.log(`${title}: ${tests} tests, ${list.length} failed; offers ${has.join(', ') || 'nothing'}`);
    for (const text of list) console.log(`  FAILED ${text}`);
    for (const name of missing) console.log(`  NO CASE for ts/webgpu/kernels/${name}.wgsl`);
  }
}
