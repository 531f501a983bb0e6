// SPDX-License-Identifier: Apache-2.0
// report.mjs: turns single measurements into medians, ratios, shares of the machine's limits, and a table for
// people.
import { parts, QUIET, SHORT, STOLEN } from './plan.mjs';

export const TITLES = {
  ours: 'Chromium, relaxed',
  simd: 'Chromium, simd',
  node: 'Node, relaxed',
  wllama: 'wllama',
  native: 'native llama.cpp',
};
const OURS = ['ours', 'simd', 'node'];
const PEERS = ['wllama', 'native'];
const MARKS = { wllama: 'x W', native: 'x N' };

/** { median, min, max, values } of numbers in the order in which they were measured. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted.at(-1), values };
}

const rate = (tokens, ms) => (tokens / ms) * 1000;

/**
 * The rules to read `measure` from a run: { title, of, isLess, against }. isLess: less is better. `against`:
 * peers with a ratio.
 */
function rowOf(measure, { decode }) {
  const [kind, n] = parts(measure);
  switch (kind) {
    // llama.cpp maps the file
    case 'load':
      return {
        title: 'load from a Blob, s',
        of: (run) => run.loadMs / 1000,
        isLess: true,
        against: ['wllama'],
      };
    case 'start':
      return {
        title: `load to first token after ${SHORT}, warm, s`,
        of: (run) => run.steps.start?.startMs / 1000,
        isLess: true,
        against: PEERS,
      };
    case 'ttft':
      return {
        title: `first token after ${SHORT}, ms`,
        of: (run) => run.steps.d0?.firstMs,
        isLess: true,
        against: PEERS,
      };
    case 'prefill':
      return {
        title: `prefill ${n}, tokens/s`,
        of: ({ steps: { [`d${n}`]: step } }) => step && rate(step.count, step.firstMs),
        isLess: false,
        against: PEERS,
      };
    case 'decode':
      return {
        title: `decode ${decode} at ${n}, tokens/s`,
        of: ({ steps: { [`d${n}`]: step } }) => step && rate(step.tokens, step.decodeMs),
        isLess: false,
        against: PEERS,
      };
    // native: memory of the whole process
    case 'memory':
      return {
        title: 'peak memory, MB',
        of: (run) => run.memoryBytes / 1e6,
        isLess: true,
        against: ['wllama'],
      };
    case 'abort':
      return {
        title: 'abort of a prefill, ms',
        of: (run) => run.steps.abort?.abortMs,
        isLess: true,
        against: ['wllama'],
      };
    case 'gap':
      return { title: 'longest gap, ms', of: (run) => run.steps.gap?.gapMs, isLess: true, against: [] };
    case 'gapload':
    case 'gapprefill':
    case 'gapdecode': {
      const phase = kind.slice('gap'.length);
      return {
        title: `longest gap, ${phase}, ms`,
        of: (run) => run.steps.gaps?.[`${phase}GapMs`],
        isLess: true,
        against: [],
      };
    }
    default:
      throw new Error(`no measure is called ${measure}`);
  }
}

/** Medians of the ceilings by thread count: { 1: { readGBs, i16, relaxed?, ... } }, each a spread. */
export function summarizeCeilings(found) {
  const by = {};
  for (const { threads, readGBs, dot } of found) {
    const at = (by[threads] ??= {});
    for (const [name, value] of Object.entries({ readGBs, ...dot })) (at[name] ??= []).push(value);
  }
  for (const at of Object.values(by)) for (const name of Object.keys(at)) at[name] = spread(at[name]);
  return by;
}

/** `median` as a share of its ceiling; undefined where that measure and engine have none. */
function shareOf(measure, engine, median, { work, kvBytesPerToken }, limits, { decode }) {
  const [kind, n] = parts(measure);
  if (!work || !limits) return undefined;
  if (kind === 'decode')
    return (
      (median * (work.bytesPerToken + kvBytesPerToken * ((n || SHORT) + decode / 2))) /
      (limits.readGBs.median * 1e9)
    );
  const dot = limits[engine === 'simd' ? 'i16' : 'relaxed'];
  if (kind === 'prefill' && dot && OURS.includes(engine))
    return (median * work.maddsPerPromptToken) / (dot.median * 1e9);
  return undefined;
}

/**
 * One record per measure and thread count: { measure, title, threads, engines: spreads, ratios: of each of
 * ours to each peer, above 1 when ours is better, shares: of the ceiling of the same run }.
 */
export function summarize({ settings, engines, runs, model, ceilings = [] }) {
  const limits = summarizeCeilings(ceilings);
  return settings.measures.flatMap((measure) =>
    settings.threads.map((threads) => {
      const { title, of, isLess, against } = rowOf(measure, settings);
      const found = {},
        ratios = {},
        shares = {};
      for (const engine of engines) {
        const values = runs
          .filter((run) => run.engine === engine && run.wanted === threads && !run.error)
          .map(of)
          .filter(Number.isFinite);
        if (values.length > 0) found[engine] = spread(values);
      }
      for (const engine of OURS) {
        for (const peer of against) {
          if (!found[engine] || !found[peer]) continue;
          const ratio = found[engine].median / found[peer].median;
          (ratios[engine] ??= {})[peer] = isLess ? 1 / ratio : ratio;
        }
      }
      for (const engine of Object.keys(found)) {
        const share = shareOf(measure, engine, found[engine].median, model, limits[threads], settings);
        if (share !== undefined) shares[engine] = share;
      }
      return { measure, title, threads, engines: found, ratios, shares };
    }),
  );
}

/** `value` with three digits. */
export const figure = (value) => value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
const cell = ({ median, min, max }) => `${figure(median)} (${figure(min)}..${figure(max)})`;

/** Aligns rows of texts as lines. Each column is as wide as its widest text. */
function align(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  );
}

/** One block per measure, one line per engine, one group of columns per thread count. */
export function body({ settings: { threads, measures }, engines, missing, summary, titles = TITLES }) {
  const shown = Object.keys(TITLES).filter((engine) => engines.includes(engine) || missing[engine]);
  const peers = PEERS.filter((peer) => shown.includes(peer) && OURS.some((engine) => shown.includes(engine)));
  const rows = [
    [
      '',
      ...threads.flatMap((n) => [
        `${n} thread${n > 1 ? 's' : ''}`,
        ...peers.map((peer) => MARKS[peer]),
        'limit',
      ]),
    ],
  ];
  for (const measure of measures) {
    const at = threads.map((n) => summary.find((row) => row.measure === measure && row.threads === n));
    if (!shown.some((engine) => at.some((row) => row.engines[engine]) || missing[engine])) continue;
    rows.push([at[0].title, ...Array(rows[0].length - 1).fill('')]);
    for (const engine of shown) {
      if (!at.some((row) => row.engines[engine]) && !missing[engine]) continue;
      rows.push([
        `  ${titles[engine]}`,
        ...at.flatMap(({ engines: found, ratios, shares }) => [
          found[engine] ? cell(found[engine]) : 'missing',
          ...peers.map((peer) => (ratios[engine]?.[peer] ? figure(ratios[engine][peer]) : '')),
          shares[engine] ? `${Math.round(shares[engine] * 100)} %` : '',
        ]),
      ]);
    }
  }
  return align(rows);
}

/** Two lines of ceilings per thread count. */
export const limitLines = (ceilings) =>
  Object.entries(summarizeCeilings(ceilings)).flatMap(([threads, { readGBs, relaxed32, relaxed16, i16 }]) => {
    const dots = relaxed32
      ? [`relaxed into 32 bits ${cell(relaxed32)}`, `into 16 bits ${cell(relaxed16)}`]
      : [];
    dots.push(`i16 ${cell(i16)}`);
    return [
      `Ceilings, ${threads} thread${threads > 1 ? 's' : ''} in the browser: memory read ${cell(readGBs)} GB/s,`,
      `  GMAC/s of dots: ${dots.join(', ')}`,
    ];
  });

const percent = (part) => `${(part * 100).toFixed(1)} %`;

/**
 * Lines about disturbances: cores that other processes used before the measurements, and time that the
 * machine host gave to other guests during the measurements.
 */
function disturbance(runs) {
  const busy = runs.filter((run) => run.busy > QUIET),
    robbed = runs.filter((run) => run.stolen > STOLEN);
  const stolen = runs
    .map((run) => run.stolen)
    .filter((part) => typeof part === 'number')
    .sort((a, b) => a - b);
  const again = runs.filter((run) => run.again).length;
  return [
    ...(stolen.length
      ? [
          `The machine host gave ${percent(stolen[stolen.length >> 1])} (${percent(stolen[0])}..${percent(stolen.at(-1))}) of the wanted processor time to other guests.`,
        ]
      : []),
    ...(again
      ? [
          `${again} of ${runs.length} measurements were repeated because the machine host gave away more than ${STOLEN * 100} %.`,
        ]
      : []),
    ...(busy.length
      ? [
          `NOT QUIET: before ${busy.length} of ${runs.length} measurements other processes used up to ${Math.max(...runs.map((run) => run.busy)).toFixed(1)} cores; don't quote these figures.`,
        ]
      : []),
    ...(robbed.length
      ? [
          `NOT QUIET: during ${robbed.length} of ${runs.length} measurements the machine host gave away more than ${STOLEN * 100} %; don't quote these figures.`,
        ]
      : []),
    ...(busy.length || robbed.length ? [] : ['The machine was quiet before every measurement.']),
  ];
}

/** The record as lines of text. */
export function table(record) {
  const { machine, model, settings, engines, versions, missing, runs, ceilings = [] } = record;
  const errors = new Set(
    runs
      .filter((run) => run.error)
      .map((run) => `${TITLES[run.engine]}, ${run.wanted} thread(s): ${run.error}`),
  );
  const late = runs.filter((run) => run.steps?.abort?.late),
    deaf = runs.filter((run) => run.steps?.abort?.deaf);
  const names = (list) => [...new Set(list.map((run) => TITLES[run.engine]))].join(', ');
  return [
    `${model.file}, ${(model.bytes / 1e6).toFixed(1)} MB, ${model.architecture}, ${model.quantization}; ${settings.repeat} repetition(s), median (min..max); context ${settings.contextLength}`,
    `${machine.cpu}, ${machine.cores} cores, VNNI ${machine.vnni === null ? 'unknown' : machine.vnni ? 'yes' : 'no'}; load average at start ${machine.load.map((n) => n.toFixed(2)).join(' ')}`,
    ...Object.entries(versions).map(([engine, version]) => `${TITLES[engine]}: ${version}`),
    ...Object.entries(missing).map(([engine, reason]) => `${TITLES[engine]} is missing: ${reason}`),
    ...(settings.leftOut?.length
      ? [`Left out, the model's context is ${model.trainedContextLength}: ${settings.leftOut.join(', ')}`]
      : []),
    '',
    ...body(record),
    '',
    ...limitLines(ceilings),
    'x W, x N: ratios to wllama and to native llama.cpp with the same number of threads; above 1 ours is better.',
    ...(ceilings.length
      ? [
          'limit: decode: bytes of weights and KV per token over the memory read; prefill: matmuls over the faster dot of that variant',
          "  (attention isn't counted).",
        ]
      : []),
    ...(engines.includes('native')
      ? [
          'Native llama.cpp maps the file, and its memory is the memory of the whole process, so load and memory have no ratios.',
        ]
      : []),
    ...(late.length ? [`The prefill was over before the abort: ${names(late)}.`] : []),
    ...(deaf.length ? [`The prefill ignored the abort: ${names(deaf)}.`] : []),
    ...[...errors].map((error) => `FAILED ${error}`),
    ...disturbance(runs),
  ].join('\n');
}
