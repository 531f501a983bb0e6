// SPDX-License-Identifier: Apache-2.0
// stacks.mjs: what the tests of this folder share: bundlers at pinned versions (tools/package-lock.json), the
// packed package in a stranger's project, and a page that runs in Chromium, isolated and not.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { cp, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import path from 'node:path';
import { promisify } from 'node:util';
import { root, withProject } from '../bundler/package.mjs';
import { openPage, withBrowser, withServer } from '../e2e/browser.mjs';

const execute = promisify(execFile);
const here = path.join(root, 'tests/stacks');
const fixture = path.join(root, 'tests/golden/q4_1-smollm.gguf');
const home = path.join(root, 'build/stacks');

let installing;
/** The folder whose node_modules has the bundlers; installed when the lock file has changed. */
export function bundlers() {
  return (installing ??= install());
}
async function install() {
  const lock = await readFile(path.join(here, 'tools/package-lock.json'));
  const stamp = createHash('sha256').update(lock).digest('hex');
  if ((await readFile(path.join(home, 'stamp'), 'utf8').catch(() => '')) !== stamp) {
    await mkdir(home, { recursive: true });
    await cp(path.join(here, 'tools'), home, { recursive: true });
    await execute('npm', ['ci', '--no-audit', '--no-fund', '--silent'], { cwd: home });
    await writeFile(path.join(home, 'stamp'), stamp);
  }
  return home;
}

/** Runs `use(folder)` in a project with the packed package, the page and a small model. */
export function withPage({ from = 'wasm-chord', options = '{}' }, use) {
  return withProject(path.join(here, 'page'), async (folder) => {
    await writeFile(
      path.join(folder, 'package.json'),
      '{ "name": "page", "private": true, "type": "module" }\n',
    );
    const main = await readFile(path.join(folder, 'main.js'), 'utf8');
    await writeFile(path.join(folder, 'main.js'), main.replace('PACKAGE', from).replace('OPTIONS', options));
    return use(folder);
  });
}

/** Runs a bundler of `bundlers()` in `folder`; fails with what it printed, and returns that otherwise. */
export async function tool(script, parameters, folder) {
  const file = path.join(await bundlers(), 'node_modules', script);
  const isBinary = (await readFile(file)).subarray(0, 4).toString('latin1') === '\x7fELF';
  try {
    const { stdout, stderr } = await execute(
      isBinary ? file : process.execPath,
      isBinary ? parameters : [file, ...parameters],
      { cwd: folder, timeout: 120_000 },
    );
    return stdout + stderr;
  } catch (error) {
    assert.fail(`${script} ${parameters.join(' ')}\n${error.stdout}${error.stderr}`);
  }
}

/** Starts a dev server and resolves, when it answers at `port`, to its end. */
export async function devServer(script, parameters, folder, port) {
  const child = spawn(
    process.execPath,
    [path.join(await bundlers(), 'node_modules', script), ...parameters],
    { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  for (let i = 0; ; i++) {
    if (
      await fetch(`http://localhost:${port}/`).then(
        (response) => response.ok,
        () => false,
      )
    )
      break;
    if (i === 300 || child.exitCode !== null) assert.fail(`no dev server at ${port}:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return () =>
    new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill();
    });
}

/** Opens the page and resolves to what its run said. */
export async function resultOf(browser, address) {
  const page = await openPage(browser, address);
  await page
    .waitForFunction(() => window.result, null, { timeout: 60_000 })
    .catch((error) => assert.fail(`${error.message}\n${page.faults.join('\n')}`));
  const result = { ...(await page.evaluate(() => window.result)), faults: page.faults };
  await page.close();
  return result;
}

/** The page in `folder` generates eight tokens, isolated (with two threads) and not. */
export async function runs(folder, { extra = {}, more = () => {} } = {}) {
  await cp(fixture, path.join(folder, 'model.gguf'));
  const texts = [];
  for (const isolated of [true, false]) {
    await withServer({ isolated, directory: folder, extra }, (address) =>
      withBrowser(async (browser) => {
        const result = await resultOf(browser, `${address}/`);
        assert.equal(
          result.error,
          undefined,
          `${result.error}\nhint: ${result.hint}\n${result.faults.join('\n')}`,
        );
        assert.deepEqual(result.faults, []);
        assert.ok(result.text.length > 0);
        if (isolated) assert.ok(result.threads > 1, `isolated, but ${result.backendReason}`);
        else assert.equal(result.threads, 1);
        texts.push(result.text);
        more(result);
      }),
    );
  }
  assert.equal(texts[0], texts[1]);
}

export const exists = (file) =>
  stat(file).then(
    () => true,
    () => false,
  );
export { fixture, root, withBrowser, withServer };
