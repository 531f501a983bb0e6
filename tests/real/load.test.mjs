// SPDX-License-Identifier: Apache-2.0
// load.test.mjs: loads models with a large vocabulary in Node and in Chromium. Prints the milliseconds of
// everything that a load does besides reading tensors. Asserts the memory of vocabulary and model.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, open, readFile, stat } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import path from 'node:path';
import { build } from 'esbuild';
import { loadModel } from '../../dist/index.js';
import { memoryBound } from '../e2e/memory-bound.mjs';
import { needs as needsBrowser, openPage, root, withBrowser, withServer } from '../e2e/browser.mjs';
import { REAL, fileOf, needs } from '../reference/real.mjs';

const HEAD = 8 << 20; // larger than the header of each of these files
const names = ['gemma3-270m', 'qwen2.5-coder-0.5b', 'qwen2.5-coder-1.5b'];

/** Bundles ts/wasm/engine.ts for Node and for pages. Resolves to the bundle's path below the root. */
let bundled;
function engineModule() {
  return (bundled ??= (async () => {
    const outfile = 'build/test/engine.mjs';
    await mkdir(path.join(root, 'build/test'), { recursive: true });
    await build({
      absWorkingDir: root,
      entryPoints: ['ts/wasm/engine.ts'],
      outfile,
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      target: 'es2022',
      external: ['node:*'],
      logLevel: 'warning',
    });
    return outfile;
  })());
}

/** Runs in Node or in a page: HEADER, PLAN and `begin`, five times. A user waits for the first. */
async function loadHeads({ engine, wasm, head, size }) {
  const { WasmEngine } = await import(engine);
  const bytesOf = async (source) =>
    typeof source === 'string'
      ? new Uint8Array(
          await (await fetch(source, { headers: { range: `bytes=0-${(8 << 20) - 1}` } })).arrayBuffer(),
        )
      : source;
  const [module, bytes] = [await WebAssembly.compile(await bytesOf(wasm)), await bytesOf(head)];
  const runs = [];
  let plan;
  for (let i = 0; i < 5; i++) {
    const one = new WasmEngine(module);
    const times = [performance.now()];
    one.file.setFileBytes(size);
    if (!one.file.push(0, bytes)) throw new Error('the header is longer than the bytes given');
    times.push(performance.now());
    plan = one.file.plan({});
    times.push(performance.now());
    one.file.begin();
    times.push(performance.now());
    one.free();
    runs.push({
      header: times[1] - times[0],
      plan: times[2] - times[1],
      begin: times[3] - times[2],
      total: times[3] - times[0],
    });
  }
  return { runs, plan: { ...plan } };
}

function check(t, name, where, { runs: [first, ...more], plan }) {
  const { vocabulary_bytes: built, header_bytes: raw, file_vocabulary_bytes: inFile } = plan;
  const ms = (run) =>
    `${run.total.toFixed(0)} ms (header ${run.header.toFixed(0)}, plan ${run.plan.toFixed(0)}, vocabulary ${run.begin.toFixed(0)})`;
  t.diagnostic(
    `${name}, ${where}: ${ms(first)}, again ${ms(more.at(-1))}; ${(built / 1e6).toFixed(2)} MB built beside ${(raw / 1e6).toFixed(2)} MB of header, ` +
      `${((built + raw) / inFile).toFixed(2)} of ${(inFile / 1e6).toFixed(2)} MB in the file (bound: 2.5)`,
  );
  assert.ok(inFile > 5e6, 'the vocabulary must have more than 5 MB in the file');
  assert.ok(
    built + raw <= 2.5 * inFile,
    `${built} + ${raw} bytes for a vocabulary of ${inFile} bytes in the file, at most 2.5 times that is allowed`,
  );
}

async function headOf(file) {
  const handle = await open(file);
  try {
    return (await handle.read(new Uint8Array(HEAD), 0, HEAD, 0)).buffer;
  } finally {
    await handle.close();
  }
}

for (const name of names) {
  const { title, file } = REAL[name];
  test(`${title}'s vocabulary stays within its memory bound in Node`, needs(name), async (t) => {
    const engine = pathToFileURL(path.join(root, await engineModule())).href;
    for (const variant of ['wasm32-simd', 'wasm32-relaxed']) {
      const wasm = await readFile(path.join(root, `build/wasm/${variant}.wasm`));
      if (!WebAssembly.validate(wasm)) continue;
      check(
        t,
        name,
        variant,
        await loadHeads({
          engine,
          wasm,
          head: await headOf(fileOf(name)),
          size: (await stat(fileOf(name))).size,
        }),
      );
    }
  });

  test(
    `${title} loads and generates within the memory bound of docs/DESIGN.md in Node`,
    needs(name),
    async (t) => {
      const begin = performance.now();
      const model = await loadModel(fileOf(name), { threads: 2 });
      try {
        const ms = performance.now() - begin;
        const check = async (when) => {
          const counters = await model.counters();
          const [bound, terms] = await memoryBound(fileOf(name), model.info, counters);
          const held = counters.wasmBytes + counters.bufferBytesPeak;
          t.diagnostic(`${name}, ${when}: ${(held / 1e6).toFixed(1)} MB of ${terms}`);
          assert.ok(held > model.info.memory.weights, 'the counters must include the weights');
          assert.ok(held <= bound, `${when}: ${held} bytes are held, at most ${bound} are allowed`);
          return counters;
        };
        t.diagnostic(`${name}: loadModel took ${ms.toFixed(0)} ms, tensors included`);
        await check('loaded');
        await model
          .generate('The keeper of the lighthouse climbed the stairs. '.repeat(12), {
            maxTokens: 8,
            temperature: 0,
            ignoreEos: true,
          })
          .text();
        assert.ok((await check('used')).kvPages >= 4);
      } finally {
        await model.dispose();
      }
    },
  );

  const browser =
    name === 'qwen2.5-coder-1.5b' || needs(name).skip ? needs(name) : needsBrowser(`models/${file}`);
  if (name !== 'qwen2.5-coder-1.5b')
    test(`${title}'s vocabulary stays within its memory bound in Chromium`, browser, (t) =>
      withServer({ isolated: true }, (address) =>
        withBrowser(async (chromium) => {
          const engine = `/${await engineModule()}`;
          for (const variant of ['wasm32-simd', 'wasm32-relaxed']) {
            const page = await openPage(chromium, `${address}/tests/e2e/blank.html`);
            check(
              t,
              name,
              `Chromium, ${variant}`,
              await page.evaluate(loadHeads, {
                engine,
                wasm: `/build/wasm/${variant}.wasm`,
                head: `/models/${file}`,
                size: (await stat(fileOf(name))).size,
              }),
            );
            await page.close();
          }
        }),
      ),
    );
}
