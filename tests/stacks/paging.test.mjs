// SPDX-License-Identifier: Apache-2.0
// paging.test.mjs: a page of each stack finds paging.js, which a model needs that is larger than its memory:
// in the engine worker, and in the I/O worker of an isolated page.
import test, { after } from 'node:test';
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { launchChromium } from '../../tools/browsers.mjs';
import { needs } from '../e2e/browser.mjs';
import { pagedModel } from '../ts/paged-model.mjs';
import { devServer, resultOf, tool, withPage, withServer } from './stacks.mjs';

let launching;
after(async () => (await launching)?.close());

const main = `
  import { estimateModel, loadModel } from 'PACKAGE';
  async function run() {
    const source = await (await fetch(new URL('model.gguf', document.baseURI))).blob();
    const options = OPTIONS;
    const least = await estimateModel(source, { ...options, memoryBudget: 1 });
    const model = await loadModel(source, { ...options, memoryBudget: least.memory.total });
    const { length } = await model.logits([3, 4, 5]);
    const { info: { pagedLayers, pagingReason } } = model;
    await model.dispose();
    return { length, pagedLayers, pagingReason };
  }
  run().then(
    (result) => (window.result = result),
    (error) => (window.result = { error: String(error.stack ?? error), hint: error.hint }),
  );
`;

const withPagedPage = ({ from = 'wasm-chord', options = '{}' }, use) =>
  withPage({}, async (folder) => {
    await writeFile(path.join(folder, 'main.js'), main.replace('PACKAGE', from).replace('OPTIONS', options));
    return use(folder);
  });

/** The page at `address` paged its model; isolated, with an I/O worker. */
async function pages(address, isolated) {
  const browser = await (launching ??= launchChromium());
  const context = await browser.newContext();
  try {
    const { error, hint, faults, ...found } = await resultOf(context, address);
    assert.equal(error, undefined, `${error}\nhint: ${hint}\n${faults.join('\n')}`);
    assert.deepEqual([found.length, found.pagedLayers], [300, 6]);
    assert.equal(/without an I\/O worker/.test(found.pagingReason), !isolated, found.pagingReason);
  } finally {
    await context.close();
  }
}

/** The folder, served as a page's origin. */
async function served(folder, isolated = true, extra = {}) {
  await writeFile(path.join(folder, 'model.gguf'), pagedModel());
  await withServer({ isolated, directory: folder, extra }, (address) => pages(`${address}/`, isolated));
}

const index = (folder) => cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
const builds = {
  webpack: async (folder) => {
    const parameters = ['--mode', 'production', '--entry', './main.js', '-o', 'dist'];
    await tool('webpack-cli/bin/cli.js', parameters, folder);
    await index(folder);
  },
  Parcel: (folder) => tool('parcel/lib/bin.js', ['build', 'index.html', '--no-cache'], folder),
  'Vite 8': (folder) => tool('vite/bin/vite.js', ['build', '--logLevel', 'warn'], folder),
  'Vite 6': (folder) => tool('vite6/bin/vite.js', ['build', '--logLevel', 'warn'], folder),
};
for (const [name, build] of Object.entries(builds))
  test(`${name} carries paging.js along`, needs(), () =>
    withPagedPage({}, async (folder) => {
      await build(folder);
      for (const isolated of [true, false]) await served(path.join(folder, 'dist'), isolated);
    }),
  );

test("Vite 8's dev server finds paging.js", needs(), () =>
  withPagedPage({}, async (folder) => {
    await writeFile(path.join(folder, 'model.gguf'), pagedModel());
    const port = 47359;
    const end = await devServer('vite/bin/vite.js', ['--port', String(port), '--strictPort'], folder, port);
    try {
      await pages(`http://localhost:${port}/`, false);
    } finally {
      await end();
    }
  }),
);

for (const file of ['index.js', 'inline.js'])
  test(`a page without a bundler finds paging.js with ${file}, also from another origin`, needs(), () =>
    withPage({}, async (folder) => {
      const directory = path.join(folder, 'node_modules');
      const extra = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' };
      await withServer({ isolated: false, directory, extra }, async (cdn) => {
        for (const from of [`./node_modules/wasm-chord/dist/${file}`, `${cdn}/wasm-chord/dist/${file}`])
          await withPagedPage({ from }, (page) => served(page));
      });
    }),
  );

test('pagingUrl names the file for a bundler that leaves it behind', needs(), () => {
  const options = `{ workerUrl: 'chord/worker.js', wasmUrl: 'chord/', threadUrl: 'chord/thread.js',
    pagingUrl: 'chord/paging.js', backend: 'cpu' }`;
  return withPagedPage({ options }, async (folder) => {
    await tool('esbuild/bin/esbuild', ['main.js', '--bundle', '--outdir=dist', '--format=esm'], folder);
    await index(folder);
    await cp(path.join(folder, 'node_modules/wasm-chord/dist'), path.join(folder, 'dist/chord'), {
      recursive: true,
    });
    await served(path.join(folder, 'dist'), true, {
      'content-security-policy':
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; img-src data:",
    });
  });
});
