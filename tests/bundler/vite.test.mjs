// SPDX-License-Identifier: Apache-2.0
// vite.test.mjs: vite builds a page from the packed package without any settings. The built page loads the
// model and answers in Chromium, isolated and not. The build contains worker, thread and wasm files.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { root, runTool, withProject } from './package.mjs';
import { MODEL, needs, openPage, withBrowser, withServer } from '../e2e/browser.mjs';

test('a page that vite built from the packed package runs at both levels', needs(MODEL), (t) =>
  withProject(path.join(root, 'tests/bundler/project'), async (folder) => {
    const { status, output } = await runTool('vite/bin/vite.js', ['build', '--logLevel', 'warn'], folder);
    assert.equal(status, 0, output);
    const files = await readdir(path.join(folder, 'dist/assets'));
    t.diagnostic(`vite built ${files.join(' ')}`);
    for (const part of [
      /^worker-.*\.js$/,
      /^thread-.*\.js$/,
      /^webgpu-.*\.js$/,
      /^wasm32-simd-.*\.wasm$/,
      /^wasm32-relaxed-.*\.wasm$/,
      /^wasm64-relaxed-.*\.wasm$/,
    ])
      assert.ok(
        files.some((name) => part.test(name)),
        `no ${part} among ${files.join(' ')}`,
      );

    await symlink(path.join(root, MODEL), path.join(folder, 'dist/model.gguf'));
    for (const isolated of [true, false]) {
      await withServer({ isolated, directory: path.join(folder, 'dist') }, (address) =>
        withBrowser(async (browser) => {
          const page = await openPage(browser, `${address}/?model=model.gguf`);
          await page.waitForFunction(() => window.result, null, { timeout: 180_000 });
          const result = await page.evaluate(() => window.result);
          assert.equal(result.error, undefined);
          t.diagnostic(
            `${isolated ? 'isolated' : 'not isolated'}: ${result.variant}, ${result.threads} thread(s), ${result.text}`,
          );
          assert.match(result.text, /Paris/);
          assert.equal(result.again, result.text);
          if (!isolated) assert.equal(result.threads, 1);
          assert.deepEqual(page.faults, []);
        }),
      );
    }
  }),
);
