// SPDX-License-Identifier: Apache-2.0
// build.mjs: ts/ and build/wasm/ -> dist/, the files of the npm package.
// `node tools/build.mjs [--interpreter]`
//
// Entries stay separate files in one flat folder. Each is reached by a literal new URL('./worker.js',
// import.meta.url), the only form that every bundler recognises. Shared code is in chunks in the same folder,
// so the same relative addresses hold there. The template engine is such a chunk and is loaded when a
// template is first used: a page without a bundler or an import map couldn't find a package.
//
// White space and syntax are minified, names aren't: stack traces and `constructor.name` show the names of
// the sources. Level 2 gzipped: 49.2 kB unminified, 38.0 kB in this form, 32.9 kB with short names. Lines end
// near column 200, because Node prints the whole line that threw an uncaught error. One line per file would
// save 1.0 kB.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

// --interpreter: build/dist-interpreter/, the same package with the tests' float64 interpreter as executor.
const isInterpreter = process.argv.includes('--interpreter');
const root = fileURLToPath(new URL('..', import.meta.url));
const target = path.join(root, isInterpreter ? 'build/dist-interpreter' : 'dist');
// Renamed to `target` when everything has succeeded.
const dist = path.join(root, isInterpreter ? 'build/dist-interpreter.new' : 'build/dist');
const entries = {
  index: 'ts/index.ts',
  worker: 'ts/worker/worker.ts',
  thread: 'ts/wasm/thread.ts',
  cli: 'ts/cli/main.ts',
};
const modules = ['wasm32-simd.wasm', 'wasm32-relaxed.wasm'];
const moduleFile = (name) => (isInterpreter ? 'build/test/interpreter.wasm' : `build/wasm/${name}`);
const swapExecutor = {
  name: 'swap-executor',
  setup: (build) =>
    build.onResolve({ filter: /^\.\/executor\.js$/ }, ({ importer }) =>
      importer === path.join(root, 'ts/wasm/engine.ts')
        ? { path: path.join(root, 'tests/executor/interpreter.ts') }
        : undefined,
    ),
};

const missing = [];
for (const file of [...Object.values(entries), ...modules.map(moduleFile)])
  if (!(await stat(path.join(root, file)).catch(() => null))) missing.push(file);
if (missing.length > 0) {
  console.error(`build.mjs: missing ${missing.join(', ')}`);
  process.exit(1);
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await build({
  absWorkingDir: root,
  entryPoints: entries,
  outdir: dist,
  bundle: true,
  splitting: true,
  chunkNames: '[name]-[hash]',
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  external: ['node:*'],
  legalComments: 'none',
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 200,
  logLevel: 'warning',
  plugins: isInterpreter ? [swapExecutor] : [],
});
for (const name of modules) await copyFile(path.join(root, moduleFile(name)), path.join(dist, name));
await chmod(path.join(dist, 'cli.js'), 0o755);
await copyFile(
  path.join(root, 'node_modules/@huggingface/jinja/LICENSE'),
  path.join(dist, 'LICENSE-huggingface-jinja.txt'),
);

if (!isInterpreter) {
  const tsc = path.join(root, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', root, '--outDir', dist], { stdio: 'inherit' });
  if (status !== 0) process.exit(status ?? 1);
}
await rm(target, { recursive: true, force: true });
await rename(dist, target);
const files = await readdir(target, { recursive: true });
console.log(
  `${path.relative(root, target)}: ${files
    .filter((name) => /\.(js|wasm)$/.test(name))
    .sort()
    .join(' ')}`,
);
