// SPDX-License-Identifier: Apache-2.0
// ledger.mjs: what the tests of this folder ran and compared, for the table of tools/checkkern-webgpu.mjs and
// for the check that no text of ts/webgpu/kernels is without a case. A case is the dispatches that ran
// between two comparisons; what was compared after them is each one's result.

const rows = new Map();
/** What the device with the most of all had. */
const offered = { f16: false, subgroups: false, packedDot: false, immediates: false };
let pending = new Set();
let isOpen = false;

/** Dispatches run, on a device with `features`. */
export function ran(dispatches, features) {
  if (!isOpen) pending = new Set();
  isOpen = true;
  for (const name of Object.keys(offered)) offered[name] ||= features[name];
  for (const { kernel, with: texts = [] } of dispatches) {
    const key = [kernel, ...texts, features.immediates].join(' ');
    if (!rows.has(key))
      rows.set(key, { kernel, texts, immediates: features.immediates, cases: 0, results: 0, worst: 0 });
    pending.add(key);
  }
}

/** A result of the last dispatches is wrong by `error` of at most `bound`. Both 0: it is equal. */
export function compared(error = 0, bound = 0) {
  for (const key of pending) {
    const row = rows.get(key);
    if (isOpen) row.cases += 1;
    row.results += 1;
    if (error > 0) row.worst = Math.max(row.worst, error / bound);
  }
  isOpen = false;
}

/**
 * { rows: [{ kernel, texts, immediates, cases, results, worst }], offered }; worst is the largest share of a
 * bound, 0 where all results were equal.
 */
export const ledger = () => ({ rows: [...rows.values()], offered });

/** What a text can't be compiled without. */
const needs = [
  { of: /\bf16\b/, has: ({ f16 }) => f16 },
  { of: /subgroup/, has: ({ subgroups }) => subgroups },
  { of: /4x8|4xI8|4I8/, has: ({ packedDot }) => packedDot },
];

/** Names in `texts` (name to WGSL) that no case of `entries` used, although a device with `features` can. */
export function withoutCase(entries, texts, features) {
  const ofCases = entries.filter(({ cases }) => cases > 0);
  // batch.wgsl is in front of every kernel.
  const used = new Set(ofCases.flatMap(({ kernel, texts: others }) => ['batch', kernel, ...others]));
  return Object.keys(texts).filter(
    (name) => !used.has(name) && needs.every(({ of, has }) => !of.test(texts[name]) || has(features)),
  );
}
