// SPDX-License-Identifier: Apache-2.0
// paging-fixtures.test.mjs: every fixture with its layers paged has the logits of the resident model to the
// last bit, with an I/O worker and with reads between the steps. The fixtures are too small for the options
// of loadModel to page them, so the parts are called as ts/worker/load.ts calls them.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = await mkdtemp(path.join(os.tmpdir(), 'chord-paging-'));
// Workers of the package don't keep a process alive, and nothing else here does.
const alive = setInterval(() => {}, 1000);
test.after(async () => {
  clearInterval(alive);
  await rm(folder, { recursive: true });
});
await build({
  stdin: {
    contents: `export { WasmEngine } from './ts/wasm/engine.ts'; export { compileModule } from './ts/wasm/instantiate.ts';
      export { ThreadPool } from './ts/wasm/threads.ts'; export { startPaging } from './ts/paging/start.ts';`,
    resolveDir: root,
  },
  bundle: true,
  format: 'esm',
  define: { IMPORT: 'undefined' },
  outfile: path.join(folder, 'parts.mjs'),
});
const { WasmEngine, compileModule, ThreadPool, startPaging } = await import(
  pathToFileURL(path.join(folder, 'parts.mjs'))
);
const dist = pathToFileURL(`${root}dist/`).href;
const threadUrl = `${dist}thread.js`;
const pagingUrl = `${dist}paging.js`;
const { module } = await compileModule({ wasm: dist });
const golden = new URL('../golden/', import.meta.url);
const fixtures = (await readdir(golden)).filter((name) => name.endsWith('.gguf'));
const IDS = Array.from({ length: 37 }, (_, i) => 3 + ((i * 7) % 90));

/** Loads a fixture, and runs `use`. `residentBytes`: as in PlanOptions. */
async function withFixture(name, { residentBytes, hasWorker = true, threads = 1, batchTokens }, use) {
  const file = fileURLToPath(new URL(name, golden));
  const bytes = new Uint8Array(await readFile(file));
  const engine = new WasmEngine(module);
  engine.file.setFileBytes(bytes.byteLength);
  engine.file.push(0, bytes);
  const plan = engine.file.plan({ residentBytes, threads, batchTokens });
  const pool = threads > 1 ? await ThreadPool.start(threads - 1, threadUrl) : undefined;
  if (!engine.file.begin()) engine.file.push(0, bytes);
  assert.ok(engine.file.isReady);
  const source = { kind: 'path', path: file, name };
  const startWorker = hasWorker ? () => ThreadPool.start(1, threadUrl) : undefined;
  const isPaged = plan.n_paged + plan.n_lazy > 0;
  const paging = isPaged ? await startPaging(engine, [source], startWorker, pagingUrl) : undefined;
  await pool?.join(engine.instance);
  try {
    return await use(engine, plan, paging);
  } finally {
    engine.free();
    await pool?.stop();
    await paging?.stop();
  }
}

/** The logits of all IDS, and of a few greedy tokens, as bytes. */
async function logits(engine) {
  const session = engine.openSession();
  const rows = [];
  const finish = async () => {
    for (let isDone = false; !isDone;) {
      ({ isDone } = await engine.executor.run(session, 2e5));
      if (!isDone) continue;
      for (let i = 0; i < session.state().n_rows; i++) rows.push(Buffer.from(session.logits(i).buffer));
      const { n_past, n_tokens } = session.state();
      isDone = n_past === n_tokens;
    }
  };
  session.setOutputs('all');
  session.push(IDS);
  await finish();
  session.setOutputs('last');
  for (let i = 0; i < 4; i++) {
    session.push([(IDS[i] * 5) % 90]);
    await finish();
  }
  engine.closeSession(session);
  return Buffer.concat(rows);
}

test('every fixture paged has the logits of the resident model to the last bit', async (t) => {
  assert.ok(fixtures.length > 15);
  for (const name of fixtures) {
    const [expected, whole, blocks] = await withFixture(name, {}, async (engine, plan) => [
      await logits(engine),
      plan.layer_bytes,
      engine.file.modelInfo().n_layer,
    ]);
    assert.ok(expected.byteLength > 0 && whole > 0);
    if (blocks === 1) continue; // its slot would be as large as the layer
    const ways = [
      { residentBytes: 1 }, // one slot
      { residentBytes: Math.ceil(whole * 0.7), threads: 2 },
      { residentBytes: Math.ceil(whole * 0.7), hasWorker: false, batchTokens: 8 },
    ];
    for (const way of ways) {
      const [found, plan, read] = await withFixture(name, way, async (engine, planned, paging) => [
        await logits(engine),
        planned,
        paging?.pager.bytesRead ?? 0,
      ]);
      assert.ok(plan.n_paged > 0, `${name}: nothing is paged with ${JSON.stringify(way)}`);
      assert.ok(found.equals(expected), `${name} with ${JSON.stringify(way)}`);
      // Each layer is read once a batch: of the prompt, and of each of four tokens.
      const batches = Math.ceil(IDS.length / Math.min(plan.n_batch, plan.n_logits)) + 4;
      assert.ok(
        read >= plan.paged_bytes * (batches - 1),
        `${name}: ${read} bytes of ${plan.paged_bytes} a walk`,
      );
      assert.ok(read <= plan.paged_bytes * (batches + 1) + 1e5, `${name}: ${read} bytes`);
      t.diagnostic(
        `${name}: ${plan.n_paged} paged, ring of ${plan.n_ring}, ${plan.n_lazy} lazy, ${read} bytes`,
      );
    }
  }
});
