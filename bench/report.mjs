// SPDX-License-Identifier: Apache-2.0
// report.mjs: from single measurements to medians, ratios, a table for people and JSON.
import { QUIET } from './machine.mjs';

/** { median, min, max, values } of numbers in the order they were taken. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), values };
}

// Of loads less is better. Native llama.cpp maps the file instead of reading it: no ratio.
const ROWS = ({ prefill, decode }) => [
  { name: 'loadSeconds', title: 'load from a Blob, s', of: (run) => run.loadMs / 1000, ratio: (a, b) => b / a, against: ['wllama'] },
  { name: 'prefill', title: `prefill ${prefill}, tokens/s`, of: (run) => run.prefill, ratio: (a, b) => a / b, against: ['wllama', 'native'] },
  { name: 'decode', title: `decode ${decode}, tokens/s`, of: (run) => run.decode, ratio: (a, b) => a / b, against: ['wllama', 'native'] },
];

/** One record a row and thread count: spreads by engine, and how many times as fast as the others ours is. */
export function summarize({ settings, engines, runs }) {
  return ROWS(settings).flatMap((row) => settings.threads.map((threads) => {
    const found = {};
    for (const engine of engines) {
      const good = runs.filter((run) => run.engine === engine && run.wanted === threads && !run.error);
      if (good.length > 0) found[engine] = spread(good.map(row.of));
    }
    const ratios = {};
    for (const other of row.against) if (found.ours && found[other]) ratios[other] = row.ratio(found.ours.median, found[other].median);
    return { measure: row.name, title: row.title, threads, engines: found, ratios };
  }));
}

const figure = (value) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const TITLES = { ours: 'wasm-chord', wllama: 'wllama', native: 'native' };

/** What the record says, in lines of text. */
export function table(record) {
  const { machine, model, settings, engines, versions, missing, runs } = record;
  const cell = (found) => (found ? `${figure(found.median)} (${figure(found.min)}..${figure(found.max)})` : 'missing');
  const columns = ['ours', 'wllama', 'native'].filter((engine) => engines.includes(engine) || missing[engine]);
  const others = columns.filter((engine) => engine !== 'ours' && columns.includes('ours'));
  const rows = [['', 'threads', ...columns.map((engine) => TITLES[engine]), ...others.map((engine) => `x ${TITLES[engine]}`)]];
  for (const { title, threads, engines: found, ratios } of record.summary) {
    rows.push([title, String(threads), ...columns.map((engine) => cell(found[engine])), ...others.map((engine) => (ratios[engine] ? figure(ratios[engine]) : '-'))]);
  }
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  const lines = rows.map((row) => row.map((text, column) => text.padEnd(widths[column])).join('  ').trimEnd());

  const disturbed = runs.filter((run) => run.busy > QUIET);
  const errors = new Set(runs.filter((run) => run.error).map((run) => `${TITLES[run.engine]}, ${run.wanted} thread(s): ${run.error}`));
  return [
    `${model.file}, ${(model.bytes / 1e6).toFixed(1)} MB, ${model.architecture}, ${model.quantization}; ${settings.repeat} repetition(s), median (min..max)`,
    `${machine.cpu}, ${machine.cores} cores, VNNI ${machine.vnni === null ? 'unknown' : machine.vnni ? 'yes' : 'no'}; load average at start ${machine.load.map((n) => n.toFixed(2)).join(' ')}`,
    ...Object.entries(versions).map(([engine, version]) => `${TITLES[engine]}: ${version}`),
    ...Object.entries(missing).map(([engine, reason]) => `${TITLES[engine]} is missing: ${reason}`),
    '', ...lines, '',
    ...(engines.includes('native') ? ['Native llama.cpp maps the file into memory, so its load has no ratio.'] : []),
    ...[...errors].map((error) => `FAILED ${error}`),
    disturbed.length === 0 ? 'The machine was quiet before every measurement.'
      : `NOT QUIET: before ${disturbed.length} of ${runs.length} measurements others used up to ${Math.max(...runs.map((run) => run.busy)).toFixed(1)} cores; don't quote these figures.`,
  ].join('\n');
}
