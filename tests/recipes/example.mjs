// SPDX-License-Identifier: Apache-2.0
// example.mjs: an example in a folder of its own, with the package and a small model, as a copy of it has.
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../e2e/browser.mjs';
import { CHATML, withTemplate } from '../ts/chat.mjs';

export const file = (name) => path.join(root, name);

/** Runs `use(folder)` with a folder that is removed afterwards. */
export async function withFolder(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-recipe-'));
  try {
    return await use(folder);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A folder with the package in dist/, one example, and a small model that chats. */
export const withExample = (name, use) =>
  withFolder(async (folder) => {
    await cp(file('dist'), path.join(folder, 'dist'), { recursive: true, dereference: true });
    await cp(file(`examples/${name}`), path.join(folder, `examples/${name}`), { recursive: true });
    await cp(file('examples/page.css'), path.join(folder, 'examples/page.css'));
    await writeFile(path.join(folder, 'model.gguf'), await withTemplate(CHATML));
    return use(folder);
  });
