// SPDX-License-Identifier: Apache-2.0
// vite.test.mjs: a page that Vite builds, or serves for development, without settings for this package.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, mkdir, rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { needs } from '../e2e/browser.mjs';
import { answers, devServer, fixture, runs, tool, withPage } from './stacks.mjs';

for (const version of [6, 7, 8]) {
  const vite = version === 8 ? 'vite/bin/vite.js' : `vite${version}/bin/vite.js`;
  const serve = async (folder, port) => {
    await cp(fixture, path.join(folder, 'model.gguf'));
    const end = await devServer(vite, ['--port', String(port), '--strictPort'], folder, port);
    try {
      await answers(`http://localhost:${port}/`);
    } finally {
      await end();
    }
  };
  test(`Vite ${version} builds a page`, needs(), () =>
    withPage({}, async (folder) => {
      const output = await tool(vite, ['build', '--logLevel', 'warn'], folder);
      assert.equal(output.trim(), '');
      await runs(path.join(folder, 'dist'));
    }),
  );

  test(`Vite ${version}'s dev server serves a page`, needs(), () =>
    withPage({}, (folder) => serve(folder, 47310 + version)),
  );

  test(`Vite ${version}'s dev server serves a workspace whose packages are hoisted`, needs(), () =>
    withPage({}, async (folder) => {
      const page = path.join(folder, 'apps/page');
      await mkdir(page, { recursive: true });
      for (const file of ['index.html', 'main.js', 'package.json'])
        await rename(path.join(folder, file), path.join(page, file));
      const workspace = { name: 'workspace', private: true, workspaces: ['apps/*'] };
      await writeFile(path.join(folder, 'package.json'), JSON.stringify(workspace));
      await serve(page, 47320 + version);
    }),
  );
}
