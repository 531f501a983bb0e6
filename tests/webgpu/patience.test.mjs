// SPDX-License-Identifier: Apache-2.0
// patience.test.mjs: a wait for the GPU in Firefox, which answers at a submit or else every 100 ms.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { load } from './room.mjs';

const browser = 'Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0';
Object.defineProperty(globalThis, 'navigator', { value: { userAgent: browser }, configurable: true });
const { answered, within } = await load('patience');

/** A device that answers at its third submit, and counts. */
function fakeDevice(answerAt = 3) {
  const device = { submits: 0, queue: { submit: (list) => device.count(list) } };
  const answer = new Promise((resolve) => {
    device.count = (list) => {
      assert.deepEqual(list, []);
      device.submits += 1;
      if (device.submits === answerAt) resolve('answer');
    };
  });
  return { device, answer };
}

test('empty submits bring the answer, and end with it', async () => {
  for (const wait of [answered, (device, answer) => within(60_000, device, answer)]) {
    const { device, answer } = fakeDevice();
    assert.equal(await wait(device, answer), 'answer');
    const { submits } = device;
    assert.ok(submits >= 3);
    await pause(20);
    assert.equal(device.submits, submits);
  }
});

test('they end when the GPU is given up, and when the wait fails', async () => {
  const { device } = fakeDevice();
  await assert.rejects(within(20, device, new Promise(() => {})), { code: 'device-lost' });
  await assert.rejects(answered(device, Promise.reject(new Error('lost'))), /lost/);
  const { submits } = device;
  await pause(20);
  assert.equal(device.submits, submits);
});
