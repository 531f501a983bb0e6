// SPDX-License-Identifier: Apache-2.0
// families.test.mjs: a small model of each family (models.mjs) against llama.cpp's answers (goldens.json,
// which tools/make_family_goldens.py writes): logits and greedy tokens, in F32 and with quantised matrices,
// on the CPU; logits on the GPU for the families that have ops or shapes of their own.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { loadModel } from '../../dist/index.js';
import { FLOAT_NMSE, missing, openGpu } from '../webgpu/gpu.mjs';
import { prove } from '../reference/proof.mjs';
import { NAMES, modelOf } from './models.mjs';

const goldens = JSON.parse(readFileSync(new URL('goldens.json', import.meta.url), 'utf8'));
const ON_GPU = (
  'llama.iq ' +
  'mistral3 granite apertus olmo bitnet gemma3n-own gemma4 gemma4-dense gemma4-moe llama.few lfm2 qwen3moe ' +
  'qwen35 qwen2moe granitemoe-shared bailingmoe2 gpt-oss gpt2 mamba2 granitehybrid falcon-h1 ' +
  'qwen35moe lfm2moe granitehybrid-moe qwen35moe-scales qwen3-scales.nv deepseek2 deepseek2-old minicpm3 ' +
  'rwkv7 arwkv7-gate'
).split(' ');

/** The rest runs on the GPU for the page of proofs alone, if it can: a load takes seconds. */
const onGpu = process.env.PROOF ? NAMES : ON_GPU;

const bestOf = (row) => row.reduce((best, x, i) => (x > row[best] ? i : best), 0);

/** Checks the logits of the golden's rows, and the greedy tokens while their lead is above the noise. */
async function compare(name, options) {
  const golden = goldens[name];
  const { tolerance } = golden;
  const model = await loadModel(modelOf(name), { cache: 'none', contextLength: 256, ...options });
  try {
    const exact = new Float32Array(Uint8Array.from(Buffer.from(golden.logits, 'base64')).buffer);
    const width = model.info.vocabularySize;
    const logits = await model.logits(golden.ids, { all: true });
    let [error, power] = [0, 0];
    const rows = golden.rows.map((row, k) => {
      let [rowError, rowPower] = [0, 0];
      for (let i = 0; i < width; i++) {
        rowError += (logits[row * width + i] - exact[k * width + i]) ** 2;
        rowPower += exact[k * width + i] ** 2;
      }
      error += rowError;
      power += rowPower;
      return rowError / rowPower;
    });
    const nmse = error / power;
    const most = options.backend === 'cpu' ? tolerance.nmse : Math.min(tolerance.nmse, FLOAT_NMSE);
    assert.ok(nmse <= most, `NMSE ${nmse.toExponential(1)}, the tolerance is ${most}`);
    assert.ok(Math.min(...rows) <= tolerance.median, `NMSE of the better row: ${Math.min(...rows)}`);
    // On the GPU the logits are enough: a software adapter takes minutes for tokens one by one.
    let ids = golden.ids;
    let same = 0;
    for (const [k, want] of options.backend === 'cpu' ? golden.greedy.entries() : []) {
      const got = bestOf(await model.logits(ids));
      if (got !== want) {
        assert.ok(
          golden.margins[k] <= tolerance.regret,
          `token ${k} is ${got}, ${want} leads by ${golden.margins[k]}`,
        );
        break;
      }
      same += 1;
      ids = [...ids, want];
    }
    const greedy = options.backend === 'cpu' ? [same, golden.greedy.length] : undefined;
    const { backend } = options;
    prove('families', { model: name, backend, nmse, part: nmse / tolerance.nmse, greedy });
    return { nmse, info: model.info };
  } finally {
    await model.dispose();
  }
}

test('every model has a golden, and every golden a model', () => {
  assert.deepEqual(Object.keys(goldens).sort(), [...NAMES].sort());
});

for (const name of NAMES)
  test(`${name}: logits and greedy tokens are llama.cpp's`, async (t) => {
    const { nmse } = await compare(name, { backend: 'cpu', threads: 1 });
    t.diagnostic(`NMSE ${nmse.toExponential(1)}, llama.cpp's own ${goldens[name].native.nmse}`);
  });

for (const name of onGpu)
  test(`${name}: logits are llama.cpp's on the GPU`, async (t) => {
    if (missing()) return t.skip(missing());
    await openGpu(); // names the driver to Dawn
    // SwiftShader compiles the zeroing of workgroup memory element by element.
    const gpu = ['enable-dawn-features=disable_workgroup_init'];
    const run = compare(name, { backend: 'webgpu', kvType: 'f32', gpu });
    const refusal = ON_GPU.includes(name)
      ? undefined
      : await run.then(
          () => undefined,
          (error) => error,
        );
    if (refusal?.code === 'no-webgpu') return t.skip(refusal.message);
    const { nmse, info } = await run;
    assert.equal(info.backend, 'webgpu');
    t.diagnostic(`NMSE ${nmse.toExponential(1)}`);
  });
