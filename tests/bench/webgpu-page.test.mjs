// SPDX-License-Identifier: Apache-2.0
// webgpu-page.test.mjs: the WebGPU benchmark's page in Chromium over SwiftShader: every figure is there, the
// charts hold their text, and a peer that can't run says why.
import test from 'node:test';
import assert from 'node:assert/strict';
import { launch, missingWebgpu } from '../../tools/browsers.mjs';
import { withServer } from '../e2e/browser.mjs';

const reason = missingWebgpu('chromium');
if (reason && process.env.CI === 'true') throw new Error(reason);

test('the page measures, draws and compares', { skip: reason || false, timeout: 280_000 }, () =>
  withServer({ isolated: true }, async (address) => {
    const browser = await launch('chromium', { webgpu: true });
    try {
      const page = await browser.open(`${address}/bench/webgpu/`);
      await page.waitFor(() => document.documentElement.dataset.ready === 'true', null, 60);
      const found = await page.evaluate(async () => {
        const options = { prefill: [16, 32], depths: [0, 16], repeat: 1 };
        const figures = await globalThis.measure('tiny', 'Q4_0', options);
        globalThis.show(figures);
        const peer = await globalThis.measurePeer('WebLLM');
        const boxes = [...document.querySelectorAll('#charts svg')].map((svg) => {
          const frame = svg.getBoundingClientRect();
          const texts = [...svg.querySelectorAll('text')].map((text) => text.getBoundingClientRect());
          const isInside = ({ left, right }) => left >= frame.left - 1 && right <= frame.right + 1;
          const touch = (a, b) =>
            a.left < b.right && b.left < a.right && a.top + 3 < b.bottom && b.top + 3 < a.bottom;
          return {
            inside: texts.every(isInside),
            apart: texts.every((a, i) => texts.every((b, k) => i === k || !touch(a, b))),
            circles: svg.querySelectorAll('path[d*="a5.5"]').length,
          };
        });
        const rows = [...document.querySelectorAll('#table th:first-child')].map((cell) => cell.textContent);
        return { figures, peer, boxes, rows };
      });
      const { figures, peer, boxes, rows } = found;
      for (const rate of [...Object.values(figures.prefill), ...Object.values(figures.decode)])
        assert.ok(rate > 0);
      for (const key of ['loadMs', 'ttftColdMs', 'ttftMs', 'longestFrameMs'])
        assert.ok(figures[key] > 0, key);
      assert.deepEqual(Object.keys(figures.decode), ['0', '16']);
      assert.ok(figures.perToken.gpuDispatches <= 16 && figures.perToken.gpuBytesRead > 0);
      assert.ok(figures.agreement >= 0.9, `${figures.agreement}`);
      assert.ok(
        figures.profile.some(
          ({ op, ms, gigabytesPerSecond: rate }) => /matvec/.test(op) && ms > 0 && rate > 0,
        ),
      );
      for (const { prefillOf, decodeOf } of figures.predicted)
        assert.ok(prefillOf[32] > prefillOf[16] && decodeOf[16] < decodeOf[0]);
      assert.deepEqual(
        boxes.map(({ inside, apart, circles }) => ({ inside, apart, circles })),
        Array(2).fill({ inside: true, apart: true, circles: 3 }),
      );
      assert.ok(['not-installed', 'no-build'].includes(peer.code), JSON.stringify(peer));
      for (const row of ['decode at 16, tokens/s', 'first token, cold, ms', 'same token as the CPU'])
        assert.ok(rows.includes(row), `${row}: ${rows}`);
    } finally {
      await browser.close();
    }
  }),
);
