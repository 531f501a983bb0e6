// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: real models on the GPU's executor beside the CPU's (agreement.mjs): in Node over Dawn, and
// in Firefox over lavapipe. SmolLM2 takes two and a half minutes in Node on two quiet cores; Gemma did
// not end within 16 minutes beside other work, and Qwen wasn't tried. ENGINES=firefox runs one of them;
// ADAPTER=system takes this machine's GPU.
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { launch, missingWebgpu } from '../../tools/browsers.mjs';
import { startServer } from '../../tools/serve.mjs';
import { root } from '../e2e/browser.mjs';
import { readGolden } from '../reference/golden.mjs';
import { REAL, fileOf, needs } from '../reference/real.mjs';
import { missing, openGpu } from '../webgpu/gpu.mjs';
import { agreement } from './agreement.mjs';

const SECOND = 1000;

/** The agreement, computed in a page of Firefox. */
async function inFirefox(name) {
  const server = await startServer({ root, isolated: true });
  const browser = await launch('firefox', { webgpu: true });
  try {
    const page = await browser.open(`${server.address}/tests/e2e/blank.html`);
    await page.evaluate((file) => {
      window.found = undefined;
      Promise.all([import('/dist/index.js'), import('/tests/real/agreement.mjs')])
        .then(([{ loadModel }, { agreement }]) => agreement(loadModel, `/models/${file}`))
        .catch((error) => ({ error: String(error) }))
        .then((found) => (window.found = found));
    }, REAL[name].file);
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

async function inNode(name) {
  await openGpu(); // names the driver to Dawn
  return agreement(loadModel, fileOf(name), { gpu: ['enable-dawn-features=disable_workgroup_init'] });
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
        const { same, of, nmse, parted } = found[text];
        const leads = parted.map(([row, cpu, gpu]) => `${row}: ${cpu.toFixed(3)} against ${gpu.toFixed(3)}`);
        t.diagnostic(`${text} text: ${same} of ${of}, NMSE ${nmse.toExponential(1)}; ${leads.join(', ')}`);
        assert.equal(of, 128);
        // The CPU quantises its inputs to 8 bits, so the two part where two tokens are equally good.
        if (engine === 'node') assert.ok(same >= 0.99 * of, `${text} text: ${same} of ${of}`);
        for (const [row, cpu] of parted)
          assert.ok(cpu <= tolerance.regret, `${row}: the CPU's lead is ${cpu}`);
      }
    });
