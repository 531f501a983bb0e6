// SPDX-License-Identifier: Apache-2.0
// results.mjs: keeps the results of a run as rows of bench/results/<machine>.csv, one file per machine.
//
// A row is one figure of one engine: median, minimum and maximum of a run's repetitions. `date` identifies
// the run (UTC, to the minute). `commit` is wasm-chord's, also in the rows of peers, with `+` when the
// checkout differed from the commit. Rows of the engine `ceiling` hold the machine's limits during that run.
import { existsSync } from 'node:fs';
import { appendFile, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { summarizeCeilings } from './report.mjs';

export const COLUMNS = ['date', 'commit', 'model', 'engine', 'threads', 'figure', 'median', 'min', 'max'];

const CEILINGS = {
  readGBs: 'memory read, GB/s',
  relaxed32: 'dot into 32 bits, GMAC/s',
  relaxed16: 'dot into 16 bits, GMAC/s',
  i16: 'dot of 16 bits, GMAC/s',
};

// From best to worst. These instruction sets decide how fast a dot of bytes is.
const INSTRUCTIONS = ['avx_vnni', 'avx512_vnni', 'avx512f', 'avx2', 'i8mm', 'asimddp'];

const slug = (text) =>
  text
    .toLowerCase()
    .replace(/\([^)]*\)/g, '')
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-|-$/g, '');

/** Name of a machine's file: its CPU and the best of INSTRUCTIONS. */
export function fileOf({ cpu, flags }) {
  const best = INSTRUCTIONS.find((name) => flags?.includes(name));
  return `${slug(best ? `${cpu} ${best}` : cpu)}.csv`;
}

const rounded = (value) => String(Number(value.toPrecision(4)));

const quoted = (text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/**
 * An engine with its version: of ours browser or Node and module, of wllama and native llama.cpp the package.
 */
function engineOf(engine, text = '') {
  if (engine === 'wllama') return `wllama ${text.split(', ')[0]}`;
  const variant = /wasm32-\w+/.exec(text)?.[0];
  const home = text.split(', ').at(-1);
  return variant ? `${home} ${variant}` : home || engine;
}

/** The rows of one run's record, as run.mjs makes it. */
export function rowsOf({ date, model, versions, summary, ceilings = [] }) {
  const run = [
    `${date.slice(0, 16)}Z`,
    /[0-9a-f]{7,}\+?/.exec(versions.ours ?? versions.simd ?? versions.node ?? '')?.[0] ?? '',
    model.file,
  ];
  const row = (engine, threads, figure, { median, min, max }) => [
    ...run,
    engine,
    String(threads),
    figure,
    ...[median, min, max].map(rounded),
  ];
  const rows = summary.flatMap(({ title, threads, engines }) =>
    Object.entries(engines).map(([engine, spread]) =>
      row(engineOf(engine, versions[engine]), threads, title, spread),
    ),
  );
  for (const [threads, found] of Object.entries(summarizeCeilings(ceilings))) {
    for (const [name, title] of Object.entries(CEILINGS))
      if (found[name]) rows.push(row('ceiling', threads, title, found[name]));
  }
  return rows;
}

/** Rows as lines of the file. */
export const linesOf = (rows) => rows.map((row) => `${row.map(quoted).join(',')}\n`).join('');

/** Adds a run to its machine's file in `folder` and gives that path; a disturbed run isn't kept: undefined. */
export async function keep(folder, record) {
  if (!record.isQuiet) return undefined;
  const file = path.join(folder, fileOf(record.machine));
  await mkdir(folder, { recursive: true });
  await appendFile(file, linesOf(existsSync(file) ? rowsOf(record) : [COLUMNS, ...rowsOf(record)]));
  return file;
}
