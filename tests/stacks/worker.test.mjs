// SPDX-License-Identifier: Apache-2.0
// worker.test.mjs: a worker of the user's own imports the package, which starts its workers from there.
import test from 'node:test';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { needs } from '../e2e/browser.mjs';
import { answers, devServer, fixture, prompt, runs, tool, withPage } from './stacks.mjs';

const page = `
  const worker = new Worker(new URL('./own-worker.js', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }) => { window.result = data; };
  worker.onerror = (event) => { window.result = { error: event.message || 'no worker' }; };
  worker.postMessage(new URL('model.gguf', document.baseURI).href);
`;
const worker = (from) => `
  import { loadModel } from '${from}';
  async function run(address) {
    const model = await loadModel(address);
    const text = await model.generate(${prompt}).text();
    const { threads, backendReason } = model.info;
    await model.dispose();
    return { text, threads, backendReason };
  }
  onmessage = ({ data }) => {
    run(data).then(postMessage, (error) => postMessage({ error: String(error.stack), hint: error.hint }));
  };
`;
const withWorker = (from, use) =>
  withPage({}, async (folder) => {
    await writeFile(path.join(folder, 'main.js'), page);
    await writeFile(path.join(folder, 'own-worker.js'), worker(from));
    return use(folder);
  });

const es = "export default { worker: { format: 'es' } };";
for (const [name, script, from, settings] of [
  ['Vite 7 builds', 'vite7/bin/vite.js', 'wasm-chord/inline'],
  ['Vite 7, whose workers are modules, builds', 'vite7/bin/vite.js', 'wasm-chord', es],
  ['Vite 8 builds', 'vite/bin/vite.js', 'wasm-chord'],
])
  test(`${name} a user's worker that imports ${from}`, needs(), () =>
    withWorker(from, async (folder) => {
      if (settings !== undefined) await writeFile(path.join(folder, 'vite.config.js'), settings);
      await tool(script, ['build', '--logLevel', 'warn'], folder);
      await runs(path.join(folder, 'dist'));
    }),
  );

test("Vite 7's dev server serves a user's worker", needs(), () =>
  withWorker('wasm-chord', async (folder) => {
    await cp(fixture, path.join(folder, 'model.gguf'));
    const port = 47340;
    const parameters = ['--port', String(port), '--strictPort'];
    const end = await devServer('vite7/bin/vite.js', parameters, folder, port);
    try {
      await answers(`http://localhost:${port}/`);
    } finally {
      await end();
    }
  }),
);

test("webpack builds a user's worker", needs(), () =>
  withWorker('wasm-chord', async (folder) => {
    const parameters = ['--mode', 'production', '--entry', './main.js', '-o', 'dist'];
    await tool('webpack-cli/bin/cli.js', parameters, folder);
    await cp(path.join(folder, 'index.html'), path.join(folder, 'dist/index.html'));
    await runs(path.join(folder, 'dist'));
  }),
);

// Parcel doesn't load a chunk that two workers share, and reads no "exports" of packages.
test("Parcel builds a user's worker that imports wasm-chord/dist/inline.js", needs(), () =>
  withWorker('wasm-chord/dist/inline.js', async (folder) => {
    await tool('parcel/lib/bin.js', ['build', 'index.html', '--no-cache'], folder);
    await runs(path.join(folder, 'dist'));
  }),
);

test("a user's worker imports the package without a bundler", needs(), () =>
  withWorker('./node_modules/wasm-chord/dist/index.js', runs),
);
