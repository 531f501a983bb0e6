// SPDX-License-Identifier: Apache-2.0
// next15.test.mjs: `next build` and `next start` of Next.js 15, which bundles with webpack.
import test from 'node:test';
import { needs } from '../e2e/browser.mjs';
import { build, next, serves } from './next.mjs';

test('Next 15 builds an app whose page, route and action each run a model', needs(), async () => {
  const folder = await build(15, {});
  await serves([process.execPath, next, 'start', '--port', '47350'], folder, 47350);
});
