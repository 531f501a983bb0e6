// SPDX-License-Identifier: Apache-2.0
// embeddings.test.mjs: a small model of each family for embeddings (encoders.mjs) against llama.cpp's answers
// (embeddings.json, which tools/make_embedding_goldens.py writes), in F32 and with quantised matrices; each
// text alone and in the company of others.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { loadModel } from '../../dist/index.js';
import { prove } from '../reference/proof.mjs';
import { missing, openGpu } from '../webgpu/gpu.mjs';
import { ENCODER_NAMES, encoderOf } from './encoders.mjs';
import { FAMILIES, modelOf } from './models.mjs';

const goldens = JSON.parse(readFileSync(new URL('embeddings.json', import.meta.url), 'utf8'));
const bytesOf = (rows) =>
  Buffer.concat(rows.map((row) => Buffer.from(row.buffer, row.byteOffset, row.byteLength)));

test('every model has a golden, and every golden a model', () => {
  assert.deepEqual(Object.keys(goldens).sort(), [...ENCODER_NAMES].sort());
});

/** Compares a model's embeddings with the golden, and each text's bytes alone and in company. */
async function compare(t, name, options) {
  const { texts, width, values, tolerance, native } = goldens[name];
  const exact = new Float32Array(Uint8Array.from(Buffer.from(values, 'base64')).buffer);
  const model = await loadModel(encoderOf(name), { cache: 'none', contextLength: 256, ...options });
  try {
    assert.equal(model.info.backend, options.backend);
    const rows = await model.embed(texts, { normalize: false });
    let [error, power] = [0, 0];
    const each = rows.map((row, k) => {
      assert.equal(row.length, width);
      const [before, size] = [error, power];
      row.forEach((x, i) => {
        error += (x - exact[k * width + i]) ** 2;
        power += exact[k * width + i] ** 2;
      });
      return (error - before) / (power - size);
    });
    assert.ok(error / power <= tolerance, `NMSE ${error / power}, the tolerance is ${tolerance}: ${each}`);
    const alone = [];
    for (const ids of texts) alone.push(await model.embed(Int32Array.from(ids), { normalize: false }));
    assert.ok(bytesOf(alone).equals(bytesOf(rows)), 'a text alone has other bytes');
    const nmse = error / power;
    prove('embeddings', { model: name, backend: options.backend, nmse, part: nmse / tolerance });
    t.diagnostic(`NMSE ${nmse.toExponential(1)}, llama.cpp's own ${native}`);
  } finally {
    await model.dispose();
  }
}

for (const name of ENCODER_NAMES)
  test(`${name}: embeddings are llama.cpp's, alone and in company`, (t) =>
    compare(t, name, { backend: 'cpu', threads: 2 }));

/** On the GPU each family in F32, and one with quantised matrices: a load takes seconds. */
const ON_GPU = process.env.PROOF
  ? ENCODER_NAMES
  : ENCODER_NAMES.filter((name) => !name.endsWith('.mix') || name.startsWith('gemma'));

for (const name of ON_GPU)
  test(`${name}: embeddings are llama.cpp's on the GPU, alone and in company`, async (t) => {
    if (missing()) return t.skip(missing());
    await openGpu(); // names the driver to Dawn
    // SwiftShader compiles the zeroing of workgroup memory element by element.
    const gpu = ['enable-dawn-features=disable_workgroup_init'];
    await compare(t, name, { backend: 'webgpu', kvType: 'f32', gpu });
  });

test('every family that continues texts makes embeddings too, alone and in company', async () => {
  const long = Int32Array.from({ length: 60 }, (_, i) => (i * 3) % 250);
  for (const name of Object.keys(FAMILIES)) {
    const model = await loadModel(modelOf(name), {
      cache: 'none',
      contextLength: 256,
      backend: 'cpu',
      threads: 1,
    });
    try {
      const rows = await model.embed([[1, 2, 3], long, [9, 8, 7, 6]]);
      const alone = await model.embed(long);
      assert.ok(alone.every(Number.isFinite) && bytesOf([alone]).equals(bytesOf([rows[1]])), name);
    } finally {
      await model.dispose();
    }
  }
});
