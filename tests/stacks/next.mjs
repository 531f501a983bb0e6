// SPDX-License-Identifier: Apache-2.0
// next.mjs: the app of tests/stacks/next, built by one version of Next.js. Its page, its route handler and
// its server action each run a model.
import assert from 'node:assert/strict';
import { cp, mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { install } from '../bundler/package.mjs';
import { answers, assertAnswer, fixture, root, run, startServer } from './stacks.mjs';

export const next = 'node_modules/next/dist/bin/next';
const calm = { NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' };
/** Milliseconds of a build; on two idle cores it takes a tenth. */
const BUILD_MS = 280_000;

/**
 * Builds the app in the folder where make installed this version: a Next app can't have its packages
 * elsewhere. Resolves to the folder.
 */
export async function build(version, environment) {
  const folder = path.join(root, `build/stacks/next${version}`);
  for (const name of ['app', '.next', 'node_modules/wasm-chord'])
    await rm(path.join(folder, name), { recursive: true, force: true });
  await cp(path.join(root, 'tests/stacks/next'), folder, { recursive: true });
  await mkdir(path.join(folder, 'public'), { recursive: true });
  await cp(fixture, path.join(folder, 'public/model.gguf'));
  await install(folder);
  const command = [process.execPath, next, 'build'];
  const { status, output } = await run(command, folder, { ...calm, ...environment }, BUILD_MS);
  assert.equal(status, 0, output);
  assert.doesNotMatch(output, /wasm-chord|Critical dependency/);
  return folder;
}

/** The server that `command` starts answers in its route, its action and its page, each with threads. */
export async function serves(command, folder, port) {
  const environment = { ...calm, PORT: String(port), HOSTNAME: 'localhost' };
  const end = await startServer(command, folder, port, environment);
  try {
    const route = await (await fetch(`http://localhost:${port}/api/chord`)).json();
    const page = await answers(`http://localhost:${port}/`);
    for (const result of [route, page.action, page]) {
      assertAnswer({ faults: [], ...result });
      assert.equal(result.text, page.text);
      assert.equal(result.threads, 2, result.backendReason);
    }
  } finally {
    await end();
  }
}
