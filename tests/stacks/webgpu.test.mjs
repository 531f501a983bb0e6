// SPDX-License-Identifier: Apache-2.0
// webgpu.test.mjs: a page of each stack finds webgpu.js, the WebGPU backend: in Chromium with SwiftShader as
// adapter, from a worker and from the page's own thread. An estimate imports the backend and opens a device.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { launchChromium, webgpuArguments } from '../../tools/browsers.mjs';
import { needs } from '../e2e/browser.mjs';
import { devServer, fixture, resultOf, tool, withPage, withServer } from './stacks.mjs';

let launching;
after(async () => (await launching)?.close());

const main = `
  import { estimateModel } from 'PACKAGE';
  estimateModel(new URL('model.gguf', document.baseURI).href, OPTIONS).then(
    ({ backend, backendReason }) => (window.result = { backend, backendReason }),
    (error) => (window.result = { error: String(error.stack ?? error), hint: error.hint }),
  );
`;

const withGpuPage = ({ from = 'wasm-chord', options = "{ backend: 'webgpu' }" }, use) =>
  withPage({}, async (folder) => {
    await writeFile(path.join(folder, 'main.js'), main.replace('PACKAGE', from).replace('OPTIONS', options));
    return use(folder);
  });

/** The page at `address` opened a GPU. */
async function answersOnGpu(address) {
  const browser = await (launching ??= launchChromium(webgpuArguments));
  const context = await browser.newContext();
  try {
    const { error, hint, faults, backend, backendReason } = await resultOf(context, address);
    assert.equal(error, undefined, `${error}\nhint: ${hint}\n${faults.join('\n')}`);
    assert.equal(backend, 'webgpu');
    assert.match(backendReason, /^WebGPU, as asked: .*swiftshader/i);
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
    withGpuPage({}, async (folder) => {
      await build(folder);
      await servedAnswers(path.join(folder, 'dist'));
    }),
  );

test("webpack's page finds webgpu.js without a worker", needs(), () =>
  withGpuPage({ options: "{ backend: 'webgpu', worker: false }" }, async (folder) => {
    await builds.webpack(folder);
    await servedAnswers(path.join(folder, 'dist'));
  }),
);

for (const version of [6, 7, 8])
  test(`Vite ${version}'s dev server finds webgpu.js`, needs(), () =>
    withGpuPage({}, async (folder) => {
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
      const extra = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' };
      await withServer({ isolated: false, directory, extra }, async (cdn) => {
        for (const from of [`./node_modules/wasm-chord/dist/${file}`, `${cdn}/wasm-chord/dist/${file}`])
          await withGpuPage({ from }, servedAnswers);
      });
    }),
  );

test('webgpuUrl names the file for a bundler that leaves it behind', needs(), () => {
  const options = `{ backend: 'webgpu', workerUrl: 'chord/worker.js', wasmUrl: 'chord/',
    threadUrl: 'chord/thread.js', webgpuUrl: 'chord/webgpu.js' }`;
  return withGpuPage({ options }, async (folder) => {
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
