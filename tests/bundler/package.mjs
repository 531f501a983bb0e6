// SPDX-License-Identifier: Apache-2.0
// package.mjs: the package as a user gets it: `npm pack`, unpacked into a project's node_modules, without
// scripts and without a registry. Each process packs once.
import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const execute = promisify(execFile);

let packing;
/** Path of the tarball that a user would install. */
export function tarball() {
  return (packing ??= pack());
}
async function pack() {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-packed-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await execute('npm', ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder], { cwd: root });
  return path.join(folder, (await readdir(folder))[0]);
}

/** Unpacks the tarball into `folder`/node_modules/wasm-chord. */
export async function install(folder) {
  const home = path.join(folder, 'node_modules/wasm-chord');
  await mkdir(home, { recursive: true });
  await execute('tar', ['-xzf', await tarball(), '--strip-components=1', '-C', home]);
}

/**
 * Runs `use(folder)` in a temporary project, a copy of `template`, that has the packed package installed.
 */
export async function withProject(template, use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-project-'));
  try {
    await cp(template, folder, { recursive: true });
    await install(folder);
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a tool of this checkout's node_modules in `folder`; resolves to { status, output }. */
export async function runTool(tool, parameters, folder) {
  try {
    const { stdout, stderr } = await execute(
      process.execPath,
      [path.join(root, 'node_modules', tool), ...parameters],
      { cwd: folder },
    );
    return { status: 0, output: stdout + stderr };
  } catch (error) {
    return {
      status: error.code ?? 1,
      output: `${error.stdout ?? ''}${error.stderr ?? ''}${error.stdout ? '' : error}`,
    };
  }
}
