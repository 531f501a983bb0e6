// SPDX-License-Identifier: Apache-2.0
// room.mjs: sources of ts/webgpu for the tests, which look inside the room; and dispatches.mjs.
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { wgslTexts } from '../../tools/wgsl.mjs';

export * from './dispatches.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Imports the sources `names` of ts/webgpu, such as 'pipelines', as one module with all their exports. */
export async function load(...names) {
  const outfile = path.join(root, 'build/test/webgpu', `${names.join('-')}-${process.pid}.mjs`);
  await mkdir(path.dirname(outfile), { recursive: true });
  await build({
    stdin: {
      contents: names.map((name) => `export * from './ts/webgpu/${name}.js';`).join('\n'),
      resolveDir: root,
    },
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    external: ['node:*'],
    plugins: [wgslTexts],
    logLevel: 'warning',
  });
  return import(pathToFileURL(outfile).href);
}
