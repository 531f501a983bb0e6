// SPDX-License-Identifier: Apache-2.0
// stacks.mjs: what the tests of this folder share: tools at pinned versions (tools/package-lock.json; make
// installs them in build/stacks), the packed package in a stranger's project, and a page that runs in
// Chromium, isolated and not. Each test file has one browser, and each page its own context.
import { after } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { launchChromium } from '../../tools/browsers.mjs';
import { root, withProject } from '../bundler/package.mjs';
import { openPage, withServer } from '../e2e/browser.mjs';
import { CHATML, withTemplate } from '../ts/chat.mjs';

const execute = promisify(execFile);
const here = path.join(root, 'tests/stacks');
/** A fixture with a chat template. */
export const fixture = path.join(root, 'build/test/chat.gguf');
export const tools = path.join(root, 'build/stacks/tools/node_modules');

// Several files run at once.
await mkdir(path.dirname(fixture), { recursive: true });
await writeFile(`${fixture}.${process.pid}`, await withTemplate(CHATML));
await rename(`${fixture}.${process.pid}`, fixture);

/** Statements that render a chat with `model`: the template engine is loaded where the package is used. */
export const chats = `
  const rendered = await model.applyChatTemplate([{ role: 'user', content: 'Hi' }]);
  if (!rendered.startsWith('<|im_start|>user\\nHi<|im_end|>')) throw new Error('rendered: ' + rendered);
`;

/** Eight greedy tokens of the fixture, after a prompt that all tests use. */
export const prompt = `'The walk of', { temperature: 0, maxTokens: 8, ignoreEos: true }`;

/**
 * Options of node:test's test(): skips if the package of `tools` that runs on one platform only is missing.
 * Throws then if CI=true.
 */
export function needsTool(file) {
  const isHere = existsSync(path.join(tools, file));
  if (!isHere && process.env.CI === 'true') throw new Error(`${file} isn't installed`);
  return { skip: isHere ? false : `${file} isn't for this platform`, timeout: 120_000 };
}

/** Runs `use(folder)` in a project with the packed package and the page. */
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

/** Makes packages of `tools` importable in a project. */
export async function link(folder, ...names) {
  for (const name of names) {
    const target = path.join(folder, 'node_modules', name);
    await mkdir(path.dirname(target), { recursive: true });
    await symlink(path.join(tools, name), target);
  }
}

/** Runs a script or program of `tools`; fails with what it printed, and returns that otherwise. */
export async function tool(script, parameters, folder) {
  const file = path.join(tools, script);
  const isBinary = (await readFile(file)).subarray(0, 4).toString('latin1') === '\x7fELF';
  const command = isBinary ? [file] : [process.execPath, file];
  const { status, output } = await run([...command, ...parameters], folder);
  if (status !== 0) assert.fail(`${script} ${parameters.join(' ')}\n${output}`);
  return output;
}

/** Runs a command; resolves to its exit status and all that it printed. */
export async function run([command, ...parameters], folder, environment = {}, timeout = 120_000) {
  const options = { cwd: folder, timeout, env: { ...process.env, ...environment } };
  try {
    const { stdout, stderr } = await execute(command, parameters, options);
    return { status: 0, output: stdout + stderr };
  } catch (error) {
    return { status: error.code ?? 1, output: `${error.stdout ?? ''}${error.stderr ?? ''}` || String(error) };
  }
}

/** Starts a server and resolves, when it answers at `port`, to its end. */
export async function startServer([command, ...parameters], folder, port, environment = {}) {
  const child = spawn(command, parameters, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
  });
  let output = '';
  child.stdout.on('data', (data) => (output += data));
  child.stderr.on('data', (data) => (output += data));
  const answers = () =>
    fetch(`http://localhost:${port}/`).then(
      (response) => response.ok,
      () => false,
    );
  for (let i = 0; !(await answers()); i++) {
    if (i === 600 || child.exitCode !== null) assert.fail(`no server at ${port}:\n${output}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return () =>
    new Promise((resolve) => {
      child.once('exit', resolve);
      child.kill();
    });
}

export const devServer = (script, parameters, folder, port) =>
  startServer([process.execPath, path.join(tools, script), ...parameters], folder, port);

let launching;
after(async () => (await launching)?.close());

/** Runs `use(browser)` with a context of its own in the file's browser. */
export async function withBrowser(use) {
  const context = await (await (launching ??= launchChromium())).newContext();
  try {
    return await use(context);
  } finally {
    await context.close();
  }
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

/** Fails with what the page said if it didn't answer. */
export function assertAnswer({ error, hint, faults, text }) {
  assert.equal(error, undefined, `${error}\nhint: ${hint}\n${faults.join('\n')}`);
  assert.ok(text.length > 0);
}

/** The page at `address` answers. */
export const answers = (address) =>
  withBrowser(async (browser) => {
    const result = await resultOf(browser, address);
    assertAnswer(result);
    return result;
  });

/** The page in `folder` generates eight tokens, isolated (with two threads) and not. */
export async function runs(folder, { extra = {}, more = () => {} } = {}) {
  await cp(fixture, path.join(folder, 'model.gguf'));
  const texts = [];
  for (const isolated of [true, false]) {
    await withServer({ isolated, directory: folder, extra }, async (address) => {
      const result = await answers(`${address}/`);
      assert.deepEqual(result.faults, []);
      if (isolated) assert.ok(result.threads > 1, `isolated, but ${result.backendReason}`);
      else assert.equal(result.threads, 1);
      texts.push(result.text);
      more(result);
    });
  }
  assert.equal(texts[0], texts[1]);
}

export { root, withServer };
