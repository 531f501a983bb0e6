// SPDX-License-Identifier: Apache-2.0
// over.mjs: runs a file of tests/ts over the package whose executor is the float64 interpreter. The file runs
// unchanged, except for two imports: `../../dist/` becomes `../../build/dist-interpreter/`, and `node:test`
// becomes cases.mjs. Each file of this folder names the cases that it leaves out, with the reasons. These
// files of tests/ts don't run over the interpreter:
//   fixtures, smollm2                       compared by the CPU executor's tolerances and hashes
//   level1-smollm2, level2-smollm2          bounds of a step's time; the interpreter can't cut a batch
//   level2-memory                           SmolLM2's memory; the bound counts the CPU's caches, not doubles
//   level1-errors, level2-sources, larger-than-memory, chat-template, format-chat, level1-chat,
//   template-hostile, template-messages, template-named, template-tokens
//                                           no case computes a token, or only to show that a load succeeded
//   cli, cli-chat, cli-escapes, examples    the command line and the pages, not levels 1 and 2
import { createRequire, register, syncBuiltinESMExports } from 'node:module';
import { after } from 'node:test';
import assert from 'node:assert/strict';

const folder = new URL('../ts/', import.meta.url).href;
const module = (source) => `data:text/javascript,${encodeURIComponent(source)}`;
const hooks = module(`
  export async function load(url, context, next) {
    const found = await next(url, context);
    if (!url.startsWith(${JSON.stringify(folder)})) return found;
    const source = String(found.source).replaceAll('../../dist/', '../../build/dist-interpreter/');
    return { ...found, source: source.replaceAll("from 'node:test'", "from '../executor/cases.mjs'") };
  }`);

/** Some files of tests/ts are workers. In Node 20 a worker doesn't inherit the hooks. */
function hookWorkers() {
  const threads = createRequire(import.meta.url)('node:worker_threads');
  const execArgv = [
    ...process.execArgv,
    '--import',
    module(`import { register } from 'node:module'; register(${JSON.stringify(hooks)});`),
  ];
  threads.Worker = class extends threads.Worker {
    constructor(url, options) {
      super(url, String(url).startsWith(folder) ? { execArgv, ...options } : options);
    }
  };
  syncBuiltinESMExports();
}

/**
 * Runs the cases of tests/ts/`file`, except those whose names start with a key of `leftOut`. The value is the
 * reason. A key without a case is an error.
 */
export async function over(file, leftOut = {}) {
  register(hooks);
  hookWorkers();
  globalThis.leftOut = Object.keys(leftOut);
  globalThis.foundLeftOut = new Set();
  after(() =>
    assert.deepEqual(
      globalThis.leftOut.filter((name) => !globalThis.foundLeftOut.has(name)),
      [],
      `cases that ${file} doesn't have`,
    ),
  );
  await import(`../ts/${file}`);
}
