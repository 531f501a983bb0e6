// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: real models on the GPU's executor beside the CPU's (agreement.mjs) and llama.cpp: in Node
// over Dawn, and in Firefox over lavapipe. ENGINES=firefox runs one of them; ADAPTER=system takes this
// machine's GPU.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { loadModel } from '../../dist/index.js';
import { launch, missingWebgpu } from '../../tools/browsers.mjs';
import { startServer } from '../../tools/serve.mjs';
import { root } from '../e2e/browser.mjs';
import { readGolden } from '../reference/golden.mjs';
import { REAL, fileOf, needs } from '../reference/real.mjs';
import { openModel } from '../webgpu/engine.mjs';
import { missing, openGpu } from '../webgpu/gpu.mjs';
import { CONTEXT, agreement } from './agreement.mjs';

const SECOND = 1000;
/** SwiftShader takes longer for a batch than a GPU may. */
const PATIENCE_MS = 600 * SECOND;
const best = JSON.parse(readFileSync(`${root}tests/golden/best.json`, 'utf8'));

/** The agreement, computed in a page of Firefox. */
async function inFirefox(name) {
  const server = await startServer({ root, isolated: true });
  const browser = await launch('firefox', { webgpu: true });
  try {
    const page = await browser.open(`${server.address}/tests/e2e/blank.html`);
    await page.evaluate(
      ({ file, texts }) => {
        window.found = undefined;
        Promise.all([import('/dist/index.js'), import('/tests/real/agreement.mjs')])
          .then(([{ loadModel }, { agreement }]) => agreement(loadModel, `/models/${file}`, texts))
          .catch((error) => ({ error: String(error) }))
          .then((found) => (window.found = found));
      },
      { file: REAL[name].file, texts: best[name] },
    );
    for (;;) {
      const found = await page.evaluate(() => window.found);
      if (found?.error !== undefined) throw new Error(found.error);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, SECOND));
    }
  } finally {
    await browser.close();
    await server.close();
  }
}

/** How many tokens of two lists are the same. */
const same = (a, b) => a.filter((token, i) => token === b[i]).length;
const MOST = 0.99;

/**
 * At how many of 128 tokens CPU and GPU must agree: at MOST of them in the model's own greedy text. In a
 * foreign text more tokens are nearly as good as the best. The CPU quantises its inputs to 8 bits, as
 * llama.cpp does, and both part from exact there. That is a count of rare events, n of 128 by llama.cpp, so
 * two such counts differ by less than 3 sqrt(2 n).
 */
function leastOf(text, known) {
  if (text === 'own') return MOST * 128;
  const n = Math.max(128 - known, (1 - MOST) * 128);
  return 128 - n - 3 * Math.sqrt(2 * n);
}

/**
 * The executor without worker. loadModel's batches have as many output rows as fit in 4 MiB, 4 of Gemma's,
 * and SwiftShader takes 3.6 s a token then.
 */
async function inNode(name) {
  const texts = best[name];
  return agreement(loadModel, fileOf(name), texts, async () => {
    const gpu = await openGpu();
    const model = await openModel(gpu, await readFile(fileOf(name)), {
      contextLength: CONTEXT,
      outputRows: 64,
      patienceMs: PATIENCE_MS,
    });
    try {
      const logits = [];
      for (const { ids } of Object.values(texts)) logits.push(flat(await model.logits(ids)));
      return {
        logits,
        info: {
          backend: model.executor.name,
          backendReason: model.executor.downgrade ?? 'all that the GPU has',
        },
      };
    } finally {
      model.free();
    }
  });
}

/** Rows one behind the other. */
function flat(rows) {
  const all = new Float32Array(rows.length * rows[0].length);
  rows.forEach((row, i) => all.set(row, i * row.length));
  return all;
}

const IN = {
  node: { missing, run: inNode },
  firefox: { missing: () => missingWebgpu('firefox'), run: inFirefox },
};
const engines = (process.env.ENGINES ?? 'node,firefox').split(',');

for (const engine of engines)
  for (const name of ['smollm2', 'gemma3-270m', 'qwen2.5-coder-0.5b'])
    test(`${name} in ${engine}: CPU and GPU prefer the same token`, needs(name), async (t) => {
      const reason = IN[engine].missing();
      if (reason) return t.skip(reason);
      const found = await IN[engine].run(name);
      assert.equal(found.backend, 'webgpu');
      t.diagnostic(found.reason);
      const { tolerance } = await readGolden(name);
      for (const text of ['own', 'foreign']) {
        const { cpu, gpu, nmse, parted } = found[text];
        const { exact, native } = best[name][text];
        const leads = parted.map(([row, cpu, gpu]) => `${row}: ${cpu.toFixed(3)} against ${gpu.toFixed(3)}`);
        const [both, right, known] = [same(cpu, gpu), same(gpu, exact), same(native, exact)];
        t.diagnostic(
          `${text} text: GPU and CPU ${both} of 128 (NMSE ${nmse.toExponential(1)}), GPU and exact ${right}, ` +
            `CPU and exact ${same(cpu, exact)}, llama.cpp and exact ${known}; ${leads.join(', ')}`,
        );
        assert.equal(gpu.length, 128);
        if (engine === 'node') {
          assert.ok(right >= MOST * 128, `${text} text: the GPU and exact agree at ${right} of 128`);
          assert.ok(both >= leastOf(text, known), `${text} text: GPU and CPU agree at ${both} of 128`);
        }
        for (const [row, cpu] of parted)
          assert.ok(cpu <= tolerance.regret, `${row}: the CPU's lead is ${cpu}`);
      }
    });
