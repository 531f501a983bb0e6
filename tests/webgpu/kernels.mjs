// SPDX-License-Identifier: Apache-2.0
// kernels.mjs: runs the tests of kernels in an engine: in Node over Dawn, in Chromium over SwiftShader, in
// Firefox over lavapipe. The cases are those of the test files, in each engine the same.
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { launch, missingWebgpu } from '../../tools/browsers.mjs';
import { startServer } from '../../tools/serve.mjs';
import { ADAPTER, missing } from './gpu.mjs';
import { bundleTests } from './in-browser.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const folder = 'build/test/webgpu';

/** The files that compare kernels, by name: which of their tests, and how many these are at least. */
export const KERNEL_TESTS = {
  matmul: { pattern: '', least: 40 },
  half: { pattern: '', least: 18 },
  formats: { pattern: '^EMBED', least: 28 },
  rows: { pattern: '', least: 13 },
  recurrent: { pattern: '', least: 3 },
  attend: { pattern: '', least: 5 },
  encode: { pattern: '', least: 6 },
  experts: { pattern: '', least: 10 },
  sample: { pattern: '', least: 15 },
  upload: { pattern: '^weights are brought', least: 8 },
};

export const ENGINES = ['node', 'chromium', 'firefox'];

/** Why `engine` can't run them here; '' if it can. */
export const missingEngine = (engine) => (engine === 'node' ? missing() : missingWebgpu(engine));

/**
 * Starts an engine. Resolves to { title, run(name), close() }. run() resolves to { tests: [{ name, ms,
 * error }], rows, offered } of a file (ledger.mjs).
 */
export async function openEngine(engine) {
  if (engine === 'node')
    return { title: `Dawn in Node, ${ADAPTER}`, run: runInNode, close: () => Promise.resolve() };
  const browser = await launch(engine, { webgpu: true });
  const server = await startServer({ root, isolated: true });
  const driver = engine === 'firefox' ? 'lavapipe' : 'SwiftShader';
  return {
    title: `${browser.name} ${parseInt(browser.version)}, ${driver}`,
    run: (name) => runInBrowser(browser, server, name),
    async close() {
      await browser.close();
      await server.close();
    },
  };
}

async function runInBrowser(browser, server, name) {
  const file = `${name}.test.mjs`;
  const bundle = `${folder}/browser-${process.pid}-${file}`;
  await mkdir(path.join(root, folder), { recursive: true });
  await writeFile(path.join(root, bundle), await bundleTests(file));
  const page = await browser.open(`${server.address}/tests/e2e/blank.html`);
  try {
    return await page.evaluate(
      async ([address, pattern]) => {
        const { runTests, ledger } = await import(address);
        return { tests: await runTests(pattern), ...ledger() };
      },
      [`/${bundle}`, process.env.KERNELS ?? KERNEL_TESTS[name].pattern],
    );
  } finally {
    await page.close();
  }
}

/** Node's own runner, in a process of its own: Dawn's driver is chosen once a process. */
async function runInNode(name) {
  const out = path.join(root, `${folder}/ledger-${process.pid}.json`);
  await mkdir(path.dirname(out), { recursive: true });
  const reporter = '--test-reporter=./tests/webgpu/ledger-reporter.mjs';
  const env = { ...process.env, LEDGER: out };
  const child = spawn(process.execPath, [reporter, `tests/webgpu/${name}.test.mjs`], { cwd: root, env });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part) => (text += part));
  const status = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  const found = JSON.parse(await readFile(out, 'utf8'));
  if (status !== 0 && !found.tests.some(({ error }) => error))
    found.tests.push({ name, ms: 0, error: `the process ended with ${status}: ${text.trim()}` });
  return found;
}
