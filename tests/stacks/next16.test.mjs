// SPDX-License-Identifier: Apache-2.0
// next16.test.mjs: Next.js 16, which bundles with Turbopack, and the folder that it makes for a deployment.
import test from 'node:test';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { needs } from '../e2e/browser.mjs';
import { build, serves } from './next.mjs';

test("Next 16's standalone folder runs where the package isn't installed", needs(), async () => {
  const folder = await build(16, { STANDALONE: '1' });
  const away = await mkdtemp(path.join(tmpdir(), 'wasm-chord-next-'));
  try {
    await cp(path.join(folder, '.next/standalone'), away, { recursive: true, verbatimSymlinks: true });
    for (const name of ['.next/static', 'public'])
      await cp(path.join(folder, name), path.join(away, name), { recursive: true });
    await rm(path.join(folder, 'node_modules/wasm-chord'), { recursive: true });
    await serves([process.execPath, 'server.js'], away, 47351);
  } finally {
    await rm(away, { recursive: true, force: true });
  }
});
