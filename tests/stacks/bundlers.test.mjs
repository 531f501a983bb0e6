// SPDX-License-Identifier: Apache-2.0
// bundlers.test.mjs: a page built by each bundler but Vite without settings for this package, and run in
// Chromium.
// Where a bundler doesn't carry other files along, by the two ways that the docs name: wasm-chord/inline, and
// explicit addresses.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { needs } from '../e2e/browser.mjs';
import { runs, tool, tools, withPage } from './stacks.mjs';

test('webpack builds a page without a warning about the package', needs(), () =>
  withPage({}, async (folder) => {
    const output = await tool(
      'webpack-cli/bin/cli.js',
      ['--mode', 'production', '--entry', './main.js', '-o', 'dist'],
      folder,
    );
    assert.doesNotMatch(output, /Critical dependency|Module not found/);
    assert.doesNotMatch(output, /lazy \^/, 'a dynamic import was taken for a folder of modules');
    await cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
    await runs(path.join(folder, 'dist'));
  }),
);

test('Parcel builds a page', needs(), () =>
  withPage({}, async (folder) => {
    await tool('parcel/lib/bin.js', ['build', 'index.html', '--no-cache'], folder);
    await runs(path.join(folder, 'dist'));
  }),
);

/**
 * Rollup has no command line option for finding packages, so a configuration imports its own plugin for that.
 */
async function rollup(folder) {
  const plugin = path.join(tools, '@rollup/plugin-node-resolve/dist/es/index.js');
  await writeFile(
    path.join(folder, 'rollup.config.mjs'),
    `import { nodeResolve } from ${JSON.stringify(plugin)};
    export default {
      input: 'main.js',
      output: { dir: 'dist', format: 'es' },
      plugins: [nodeResolve({ browser: true })],
    };`,
  );
  await tool('rollup/dist/bin/rollup', ['-c', '--silent'], folder);
}
const esbuild = (folder, ...more) =>
  tool(
    'esbuild/bin/esbuild',
    ['main.js', '--bundle', '--outdir=dist', '--log-level=warning', ...more],
    folder,
  );
const ways = {
  Rollup: rollup,
  'esbuild, as a module,': (folder) => esbuild(folder, '--format=esm'),
  'esbuild, as a classic script,': async (folder) => {
    assert.equal((await esbuild(folder)).trim(), '');
    const page = path.join(folder, 'index.html');
    await writeFile(page, (await readFile(page, 'utf8')).replace('type="module"', 'defer'));
  },
};
for (const [name, build] of Object.entries(ways)) {
  test(`${name} builds a page with wasm-chord/inline`, needs(), () =>
    withPage({ from: 'wasm-chord/inline' }, async (folder) => {
      await build(folder);
      await cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
      await runs(path.join(folder, 'dist'));
    }),
  );
}

const explicit = "{ workerUrl: 'chord/worker.js', threadUrl: 'chord/thread.js', wasmUrl: 'chord/' }";
for (const name of ['Rollup', 'esbuild, as a module,']) {
  test(
    `${name} builds a page that names the addresses of the other files, under a strict policy`,
    needs(),
    () =>
      withPage({ options: explicit }, async (folder) => {
        await ways[name](folder);
        await cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
        await cp(path.join(folder, 'node_modules/wasm-chord/dist'), path.join(folder, 'dist/chord'), {
          recursive: true,
        });
        const policy =
          "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src data:";
        await runs(path.join(folder, 'dist'), {
          extra: { 'content-security-policy': policy },
          more: ({ variant }) => assert.match(variant, /^wasm32-/),
        });
      }),
  );
}

test('a page whose bundler left the other files behind gets a hint that helps', needs(), () =>
  withPage({}, async (folder) => {
    await ways['esbuild, as a module,'](folder);
    await cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
    await assert.rejects(runs(path.join(folder, 'dist')), /wasm-chord\/inline.*workerUrl/s);
  }),
);
