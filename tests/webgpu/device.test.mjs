// SPDX-License-Identifier: Apache-2.0
// device.test.mjs: what kernels may use on an adapter, by its features and its name. No GPU is needed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { load } from './room.mjs';

const { openDevice, tileOf } = await load('device', 'tiles');

/** The features of an adapter with this `info`, which has all of `has`. */
async function featuresOf(info, { has = ['shader-f16', 'subgroups'], agent, ...options } = {}) {
  const asked = [];
  const adapter = {
    features: new Set(has),
    limits: {},
    info,
    requestDevice: async ({ requiredFeatures }) => {
      asked.push(...requiredFeatures);
      const lost = new Promise(() => {});
      return { features: new Set(requiredFeatures), limits: {}, lost, destroy() {} };
    },
  };
  const gpu = {
    requestAdapter: async () => adapter,
    wgslLanguageFeatures: new Set(['packed_4x8_integer_dot_product']),
  };
  const before = Object.getOwnPropertyDescriptor(globalThis, 'navigator');
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: agent }, configurable: true });
  try {
    return { ...(await openDevice(gpu, options)).features, asked };
  } finally {
    if (before === undefined) delete globalThis.navigator;
    else Object.defineProperty(globalThis, 'navigator', before);
  }
}
/** How products of prompts with such weights read inputs on a device. */
const inputsOf = (features, format) => tileOf([{ format, nIn: 256 }], features)?.inputs ?? 'f32';

test('packed dots are preferred, except where they are made of several instructions', async () => {
  const windows = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0 Safari/537.36';
  const mac = 'Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:153.0) Gecko/20100101 Firefox/153.0';
  for (const [vendor, agent, inputs] of [
    ['nvidia', windows, 'q8'],
    ['', windows, 'q8'],
    ['intel', undefined, 'q8'],
    ['apple', windows, 'f16'],
    ['', mac, 'f16'],
  ]) {
    const features = await featuresOf({ vendor }, { agent });
    assert.equal(inputsOf(features, 'q4_k'), inputs, `${vendor} ${agent}`);
    assert.equal(inputsOf(features, 'f16'), 'f16');
    assert.equal(inputsOf(features, 'f32'), 'f32');
  }
  assert.equal(inputsOf(await featuresOf({ vendor: 'apple' }, { has: [] }), 'q4_k'), 'f32');
});

test('what is left out is not asked for, and subgroup matrices are only seen', async () => {
  const experiment = 'chromium-experimental-subgroup-matrix';
  const features = await featuresOf(
    { vendor: 'apple' },
    { has: ['shader-f16', experiment], without: ['f16'] },
  );
  assert.deepEqual(features.asked, []);
  assert.deepEqual([features.f16, features.f16Tiles, features.subgroups], [false, false, false]);
  assert.equal(features.subgroupMatrices, true);
  assert.equal(inputsOf(features, 'q4_k'), 'f32');
});

test('where there is no adapter the error says what may be missing', async () => {
  const none = { requestAdapter: async () => null };
  await assert.rejects(openDevice(none), { code: 'no-webgpu', message: /no adapter/, hint: /Vulkan driver/ });
});
