// SPDX-License-Identifier: Apache-2.0
// wgsl.mjs: the plugin of esbuild that makes the module 'wgsl-texts': the text of every file in
// ts/webgpu/kernels by its name without '.wgsl', without comments and needless blanks.
import { readFile, readdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../ts/webgpu/kernels/', import.meta.url));

/** Takes out comments and blanks that WGSL doesn't need. Lines stay, because errors name them. */
export function shorten(text) {
  return text
    .replace(/\/\/.*$/gm, '')
    .split('\n')
    .map((line) => line.trim().replace(/\s*([{}(),;:=<>+*/|&^-]+)\s*/g, '$1'))
    .filter((line) => line !== '')
    .join('\n');
}

export async function readTexts() {
  const names = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.wgsl')).sort();
  const texts = await Promise.all(names.map((name) => readFile(path.join(folder, name), 'utf8')));
  return Object.fromEntries(
    names.map((name, i) => [name.slice(0, -5).replaceAll(path.sep, '/'), shorten(texts[i])]),
  );
}

export const wgslTexts = {
  name: 'wgsl-texts',
  setup(build) {
    build.onResolve({ filter: /^wgsl-texts$/ }, () => ({ path: 'wgsl-texts', namespace: 'wgsl' }));
    build.onLoad({ filter: /.*/, namespace: 'wgsl' }, async () => ({
      contents: JSON.stringify(await readTexts()),
      loader: 'json',
    }));
  },
};
