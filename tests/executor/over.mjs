// SPDX-License-Identifier: Apache-2.0
// over.mjs: runs cases of tests/ts, unchanged, over the package whose executor is the float64 interpreter. A file's text
// is the same, but for `../../dist/`, which becomes `../../build/dist-interpreter/`, and `node:test`, which runs only the
// cases named here. The interpreter keeps no cache: a step costs 17 ms and more behind a longer text. So the cases
// with hundreds of steps are left out. Left out for what they say of the CPU's executor, and not of any:
//   'profile tells the time of each op'           only the CPU's executor measures its ops
//   'an error in the midst of a run ...'          the text names the layer; the interpreter has no check in a norm
//   'what was read before leaving counts ...'     counts on tokens that are computed faster than they are read
//   fixtures, smollm2                             tolerances and hashes of the CPU's executor, gigabytes of work
//   level2-load, -lifecycle, -process, -memory    they are about loading and workers, and compute next to nothing
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

/** Runs the cases of tests/ts/`file` whose names begin with one of `names`, or all. A name without a case is an error. */
export async function over(file, names) {
  register(`data:text/javascript,${encodeURIComponent(hooks)}`);
  globalThis.wantedCases = names;
  globalThis.foundCases = new Set();
  after(() => assert.deepEqual(names?.filter((name) => !globalThis.foundCases.has(name)) ?? [], [], `cases that ${file} doesn't have`));
  await import(`../ts/${file}`);
}
