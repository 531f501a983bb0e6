// SPDX-License-Identifier: Apache-2.0
// react.test.mjs: examples/react's hook in an app that Vite serves for development, where StrictMode runs
// each effect twice. No worker may be left, neither from the first run nor after the component has gone.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { needs, openPage } from '../e2e/browser.mjs';
import { assertAnswer, devServer, fixture, link, prompt, root, withBrowser, withPage } from './stacks.mjs';

const app = `
  import { StrictMode, useEffect, useState } from 'react';
  import { createRoot } from 'react-dom/client';
  import { useModel } from './use-model.mjs';

  window.mounts = 0;
  function Answer() {
    const { model, error, progress } = useModel('/model.gguf', { threads: 1 });
    const [text, setText] = useState('');
    useEffect(() => void (window.mounts += 1), []);
    useEffect(() => {
      if (model) model.generate(${prompt}).text().then(setText);
    }, [model]);
    useEffect(() => {
      if (text) window.result = { text };
      if (error) window.result = { error: String(error.stack), hint: error.hint };
    }, [text, error]);
    return <p>{text || (progress ? progress.phase : 'nothing yet')}</p>;
  }
  function App() {
    const [isOn, setOn] = useState(true);
    window.unmount = () => setOn(false);
    return isOn ? <Answer /> : <p>gone</p>;
  }
  createRoot(document.body.appendChild(document.createElement('div'))).render(<StrictMode><App /></StrictMode>);
`;
const settings = `import react from '@vitejs/plugin-react'; export default { plugins: [react()] };`;

/** Waits until the page has `count` workers. */
async function untilWorkers(page, count) {
  for (let i = 0; page.workers().length !== count; i++) {
    assert.ok(i < 100, `${page.workers().length} workers, not ${count}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test("a React app's hook leaves no model behind, in StrictMode and after unmounting", needs(), () =>
  withPage({}, async (folder) => {
    await link(folder, 'react', 'react-dom', 'vite', '@vitejs/plugin-react');
    await writeFile(path.join(folder, 'vite.config.js'), settings);
    await writeFile(path.join(folder, 'main.js'), "import './app.jsx';");
    await writeFile(path.join(folder, 'app.jsx'), app);
    await cp(path.join(root, 'examples/react/use-model.mjs'), path.join(folder, 'use-model.mjs'));
    await cp(fixture, path.join(folder, 'model.gguf'));
    const port = 47330;
    const end = await devServer('vite/bin/vite.js', ['--port', String(port), '--strictPort'], folder, port);
    try {
      await withBrowser(async (browser) => {
        const page = await openPage(browser, `http://localhost:${port}/`);
        await page.waitForFunction(() => window.result, null, { timeout: 60_000 });
        assertAnswer({ ...(await page.evaluate(() => window.result)), faults: page.faults });
        assert.equal(await page.evaluate(() => window.mounts), 2);
        await untilWorkers(page, 1);
        await page.evaluate(() => window.unmount());
        await untilWorkers(page, 0);
        assert.deepEqual(page.faults, []);
      });
    } finally {
      await end();
    }
  }),
);
