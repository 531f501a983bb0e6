// SPDX-License-Identifier: Apache-2.0
// over.mjs: runs cases of tests/ts over the package whose executor is the float64 interpreter. A test file
// runs unchanged, except for two imports: `../../dist/` becomes `../../build/dist-interpreter/`, and
// `node:test` becomes cases.mjs, which runs only the cases named here. The interpreter keeps no cache: a
// step costs 17 ms, and more after a longer text. So cases with hundreds of steps are left out. Also left
// out, because they test more than any executor must do:
//   'profile returns the time ...'                only the CPU executor measures its ops
//   'an error during a generation ...'            the message names a layer; the interpreter checks no norm
//   'stats and KV cache count ...'                needs tokens that are computed faster than they are read
//   fixtures, smollm2                             compared by the CPU executor's tolerances and hashes
//   level2-load, -lifecycle, -process, -memory    they test loading and workers, and compute almost nothing
import { register } from 'node:module';
import { after } from 'node:test';
import assert from 'node:assert/strict';

const hooks = `
  const folder = ${JSON.stringify(new URL('../ts/', import.meta.url).href)};
  export async function load(url, context, next) {
    const found = await next(url, context);
    if (!url.startsWith(folder)) return found;
    const source = String(found.source).replaceAll('../../dist/', '../../build/dist-interpreter/');
    return { ...found, source: source.replaceAll("from 'node:test'", "from '../executor/cases.mjs'") };
  }`;

/**
 * Runs the cases of tests/ts/`file` whose titles start with one of `names`, or all. An unused name fails.
 */
export async function over(file, names) {
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
  globalThis.wantedCases = names;
  globalThis.foundCases = new Set();
  after(() => assert.deepEqual(names?.filter((name) => !globalThis.foundCases.has(name)) ?? [], [], `every name must be the start of a title in ${file}`));
  await import(`../ts/${file}`);
}
