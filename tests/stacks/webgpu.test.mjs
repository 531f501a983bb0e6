// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: a page of each stack finds webgpu.js, the WebGPU backend: in Chromium with SwiftShader as
// adapter, from a worker and from the page's own thread.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { launchChromium, webgpuArguments } from '../../tools/browsers.mjs';
import { needs } from '../e2e/browser.mjs';
import { devServer, fixture, resultOf, tool, withPage, withServer } from './stacks.mjs';

let launching;
after(async () => (await launching)?.close());

/** The page at `address` ran on the GPU, or said that the backend which it loaded runs no models. */
async function answersOnGpu(address) {
  const browser = await (launching ??= launchChromium(webgpuArguments));
  const context = await browser.newContext();
  try {
    const { error, hint, faults } = await resultOf(context, address);
    assert.match(error, /runs no models yet/, `${error}\nhint: ${hint}\n${faults.join('\n')}`);
  } finally {
    await context.close();
  }
}

/** The folder, served as a page's origin. */
async function servedAnswers(folder, extra = {}) {
  await cp(fixture, path.join(folder, 'model.gguf'));
  await withServer({ isolated: false, directory: folder, extra }, (address) => answersOnGpu(`${address}/`));
}

const index = (folder) => cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
const builds = {
  webpack: async (folder) => {
    await tool(
      'webpack-cli/bin/cli.js',
      ['--mode', 'production', '--entry', './main.js', '-o', 'dist'],
      folder,
    );
    await index(folder);
  },
  Parcel: (folder) => tool('parcel/lib/bin.js', ['build', 'index.html', '--no-cache'], folder),
  'Vite 8': (folder) => tool('vite/bin/vite.js', ['build', '--logLevel', 'warn'], folder),
  'Vite 6': (folder) => tool('vite6/bin/vite.js', ['build', '--logLevel', 'warn'], folder),
};
for (const [name, build] of Object.entries(builds))
  test(`${name} carries webgpu.js along`, needs(), () =>
    withPage({ options: "{ backend: 'webgpu' }" }, async (folder) => {
      await build(folder);
      await servedAnswers(path.join(folder, 'dist'));
    }),
  );

test("webpack's page finds webgpu.js without a worker", needs(), () =>
  withPage({ options: "{ backend: 'webgpu', worker: false }" }, async (folder) => {
    await builds.webpack(folder);
    await servedAnswers(path.join(folder, 'dist'));
  }),
);

for (const version of [6, 7, 8])
  test(`Vite ${version}'s dev server finds webgpu.js`, needs(), () =>
    withPage({ options: "{ backend: 'webgpu' }" }, async (folder) => {
      await cp(fixture, path.join(folder, 'model.gguf'));
      const port = 47340 + version;
      const vite = version === 8 ? 'vite/bin/vite.js' : `vite${version}/bin/vite.js`;
      const end = await devServer(vite, ['--port', String(port), '--strictPort'], folder, port);
      try {
        await answersOnGpu(`http://localhost:${port}/`);
      } finally {
        await end();
      }
    }),
  );

for (const file of ['index.js', 'inline.js'])
  test(`a page without a bundler finds webgpu.js with ${file}, also from another origin`, needs(), () =>
    withPage({}, async (folder) => {
      const directory = path.join(folder, 'node_modules');
      const options = "{ backend: 'webgpu' }";
      const extra = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' };
      await withServer({ isolated: false, directory, extra }, async (cdn) => {
        for (const from of [`./node_modules/wasm-chord/dist/${file}`, `${cdn}/wasm-chord/dist/${file}`])
          await withPage({ from, options }, servedAnswers);
      });
    }),
  );

test('webgpuUrl names the file for a bundler that leaves it behind', needs(), () => {
  const options = `{ backend: 'webgpu', workerUrl: 'chord/worker.js', wasmUrl: 'chord/',
    threadUrl: 'chord/thread.js', webgpuUrl: 'chord/webgpu.js' }`;
  return withPage({ options }, async (folder) => {
    await tool('esbuild/bin/esbuild', ['main.js', '--bundle', '--outdir=dist', '--format=esm'], folder);
    await index(folder);
    await cp(path.join(folder, 'node_modules/wasm-chord/dist'), path.join(folder, 'dist/chord'), {
      recursive: true,
    });
    await servedAnswers(path.join(folder, 'dist'), {
      'content-security-policy':
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src data:",
    });
  });
});
