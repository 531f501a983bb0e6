// SPDX-License-Identifier: Apache-2.0
// floors.test.mjs: whole models on a device with what every adapter has and no more: bindings of 128 MiB,
// eight storage buffers and 256 invocations, 16 KiB of workgroup memory, no features. The kernels' tests have
// such a device too.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { modelOf } from '../families/models.mjs';
import { FLOAT_NMSE, missing, openGpu } from './gpu.mjs';
import { nmse, using } from './ways.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const goldens = JSON.parse(readFileSync(new URL('../families/goldens.json', import.meta.url), 'utf8'));
const device = { isLeast: true, without: ['f16', 'subgroups', 'packedDot', 'immediates'] };
const FLOORS = {
  maxStorageBufferBindingSize: 128 << 20,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupStorageSize: 16 << 10,
};

// Sinks, windows and experts; recurrences; widths that differ, and keys and values of other layers.
for (const name of ['gpt-oss.mix', 'qwen35.mix', 'gemma4.mix'])
  test(`${name}: logits are llama.cpp's with the least that an adapter has`, { skip }, async (t) => {
    const { ids, rows, logits } = goldens[name];
    await using(gpu, new Uint8Array(modelOf(name)), { device, contextLength: 256 }, async (model) => {
      const { limits } = model.opened.device;
      for (const [limit, most] of Object.entries(FLOORS)) assert.equal(limits[limit], most, limit);
      const got = await model.logits(ids);
      const exact = new Float32Array(Uint8Array.from(Buffer.from(logits, 'base64')).buffer);
      const width = got[0].length;
      const error = nmse(
        rows.map((row) => got[row]),
        rows.map((_, k) => exact.subarray(k * width, (k + 1) * width)),
      );
      t.diagnostic(`NMSE ${error.toExponential(1)}`);
      assert.ok(error <= FLOAT_NMSE, `NMSE ${error}`);
      // Sums of the same terms in another order (ways.mjs).
      const one = await model.logits(ids.slice(0, 3), { batch: 1 });
      assert.ok(nmse(one, got.slice(0, 3)) <= 1e-9);
    });
  });
