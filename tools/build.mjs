// SPDX-License-Identifier: Apache-2.0
// build.mjs: ts/ and build/wasm/ -> dist/, the files of the npm package.
// `node tools/build.mjs [--interpreter] [--into FOLDER]`
//
// Entries stay separate files in one flat folder. Each is reached by a literal new URL('./worker.js',
// import.meta.url), the only form that every bundler recognises. Shared code is in chunks in the same folder,
// so the same relative addresses hold there. The template engine's module is inside such a chunk, which is
// loaded when a template is first used. webgpu.js, the WebGPU backend, is one file: a worker imports it by
// its address, because Vite refuses chunks in workers. WEBGPU=0 in the environment leaves it out.
//
// Names are minified too: level 2 was 50.3 kB gzipped instead of 57.9. Exported classes keep theirs
// (`static name`), which consoles and uncaught errors print. Lines end near column 400, because Node prints
// the whole line that threw an uncaught error. One line per file would save 0.5 kB.
import { build } from 'esbuild';
import { spawnSync } from 'node:child_process';
import { chmod, copyFile, mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { wgslTexts } from './wgsl.mjs';

// --interpreter: build/dist-interpreter/, the same package with the tests' float64 interpreter as executor.
// --into FOLDER: the JavaScript in another folder, for tests.
const isInterpreter = process.argv.includes('--interpreter');
const into = process.argv.indexOf('--into');
const isPackage = !isInterpreter && into < 0;
const hasWebgpu = process.env.WEBGPU !== '0';
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = into < 0 ? 'build/dist-interpreter' : process.argv[into + 1];
const target = path.join(root, isPackage ? 'dist' : folder);
// Renamed to `target` when everything has succeeded.
const dist = path.join(root, isPackage ? 'build/dist' : `${folder}.new`);
const entries = {
  index: 'ts/index.ts',
  worker: 'ts/worker/worker.ts',
  thread: 'ts/wasm/thread.ts',
  cli: 'ts/cli/main.ts',
};
const gpuEntry = { webgpu: 'ts/webgpu/entry.ts' };
/** What pages a model: as webgpu.js, a file that a worker imports by its address when it is needed. */
const pagingEntry = { paging: 'ts/paging/entry.ts' };
const modules = ['wasm32-simd.wasm', 'wasm32-relaxed.wasm', 'wasm64-relaxed.wasm'];
const moduleFile = (name) => (isInterpreter ? 'build/test/interpreter.wasm' : `build/wasm/packed/${name}`);
const swapExecutor = {
  name: 'swap-executor',
  setup: (build) =>
    build.onResolve({ filter: /^\.\/executor\.js$/ }, ({ importer }) =>
      importer === path.join(root, 'ts/wasm/engine.ts')
        ? { path: path.join(root, 'tests/executor/interpreter.ts') }
        : undefined,
    ),
};

const templateModule = 'build/wasm/packed/template.wasm';
/** Makes the module `name`, which holds what `value` resolves to. */
const packed = (name, value) => ({
  name,
  setup(build) {
    build.onResolve({ filter: new RegExp(`^${name}$`) }, () => ({ path: name, namespace: name }));
    build.onLoad({ filter: /.*/, namespace: name }, async () => ({
      contents: JSON.stringify(await value()),
      loader: 'json',
    }));
  },
});

/**
 * Webpack and Vite need these comments before an import of a name that isn't literal (importNode, importAt).
 * esbuild drops comments where it drops white space. At its line limit esbuild continues a string in the next
 * line: such strings are joined again, because no bundler sees an address that is cut in two.
 */
async function markImports() {
  const n = { '`': 0, ')': 0 };
  for (const name of await readdir(dist)) {
    if (!name.endsWith('.js')) continue;
    const text = await readFile(path.join(dist, name), 'utf8');
    const marked = text
      .replace(/(?<!\\)((?:\\\\)*)\\\n/g, '$1')
      .replace(/\bimport\((?=`node:\$|[\w$]+\))/g, (_, at, whole) => {
        n[whole[at + 'import('.length] === '`' ? '`' : ')'] += 1;
        return 'import(/* webpackIgnore: true *//* @vite-ignore */';
      });
    if (marked !== text) await writeFile(path.join(dist, name), marked);
  }
  for (const [name, count] of [
    ['importNode', n['`']],
    ['importAt', n[')']],
  ])
    if (count === 0) throw new Error(`build.mjs: ${name} has another form now, and its import is unmarked`);
}

/**
 * inline.js: one file. It never uses its own address, which bundlers for classic scripts don't give, so
 * `import.meta.url` is a constant there.
 */
async function buildInline() {
  const define = { ...settings.define, 'import.meta.url': '"file:///"' };
  const single = { ...settings, lineLimit: 0, define };
  const files = {};
  for (const [name, entry] of [
    ['worker.js', entries.worker],
    ['thread.js', entries.thread],
    ['paging.js', pagingEntry.paging],
    ...(hasWebgpu ? [['webgpu.js', gpuEntry.webgpu]] : []),
  ]) {
    const { outputFiles } = await build({ ...single, entryPoints: [entry], write: false });
    files[name] = gzipSync(outputFiles[0].contents, { level: 9 }).toString('base64');
  }
  // The 64-bit module would make this file a fifth larger, and its users would load it for small models too.
  for (const name of modules.filter((name) => !name.startsWith('wasm64')))
    files[name] = await readFile(path.join(root, moduleFile(name)), 'base64');
  await build({
    ...single,
    plugins: [...single.plugins, packed('packed-files', () => files)],
    entryPoints: { inline: 'ts/inline.ts' },
    outdir: dist,
  });
}

/**
 * index.cjs: one file for require() in Node. Jest and Node before 20.19 can't require modules. worker.js
 * beside it stays a module. An assignment to each of the `names` is what TypeScript and Node's lexer of
 * exports see.
 */
async function buildCommonJs(names) {
  await build({
    ...settings,
    format: 'iife',
    platform: 'node',
    globalName: 'chord',
    supported: { 'dynamic-import': false },
    define: { ...settings.define, 'import.meta.url': 'ownUrl', IMPORT: 'ownImport' },
    banner: {
      js: `'use strict';const ownUrl=require('node:url').pathToFileURL(__filename).href,ownImport=(name)=>import(name);`,
    },
    footer: {
      js: ["Object.defineProperty(exports,'__esModule',{value:true});"]
        .concat(names.map((name) => `exports.${name}=chord.${name};`))
        .join('\n'),
    },
    entryPoints: { index: entries.index },
    outExtension: { '.js': '.cjs' },
    outdir: dist,
  });
}

/**
 * Joins the chunks that a page loads at once, those that its worker loads, and those that both load: gzip
 * packs chunks one by one, and seven took 2.9 kB more than three. By itself esbuild makes a chunk for each
 * set of entries that need a source. Here whoever needs one source of a group imports the whole group, which
 * is there already when a later chunk asks for it. Sources of entries run when they are imported and stay
 * apart. `metafile`: of a build without this plugin.
 */
function joinChunks({ inputs, outputs }) {
  const closure = (name, found = new Set()) => {
    if (!found.has(name)) {
      found.add(name);
      for (const { path: next, kind, external } of inputs[name]?.imports ?? [])
        if (kind === 'import-statement' && !external) closure(next, found);
    }
    return found;
  };
  const ofPage = closure(entries.index);
  const ofWorker = closure(entries.worker);
  const groups = { page: [], worker: [], both: [] };
  for (const name of new Set([...ofPage, ...ofWorker]))
    if (!Object.values(entries).includes(name))
      groups[!ofPage.has(name) ? 'worker' : !ofWorker.has(name) ? 'page' : 'both'].push(name);
  const needs = new Map();
  for (const { entryPoint } of Object.values(outputs)) {
    if (entryPoint === undefined) continue;
    const files = closure(entryPoint);
    const needed = Object.keys(groups).filter((group) => groups[group].some((name) => files.has(name)));
    needs.set(path.join(root, entryPoint), needed.map((group) => `import 'group-${group}';\n`).join(''));
  }
  return {
    name: 'join-chunks',
    setup(build) {
      build.onResolve({ filter: /^group-/ }, ({ path: name }) => ({ path: name, namespace: 'group' }));
      build.onLoad({ filter: /.*/, namespace: 'group' }, ({ path: name }) => ({
        contents: groups[name.slice('group-'.length)]
          .map((file) => `import ${JSON.stringify(path.join(root, file))};\n`)
          .join(''),
        resolveDir: root,
      }));
      build.onLoad({ filter: /\.[cjt]s$/ }, async ({ path: file }) =>
        needs.has(file)
          ? { contents: `${await readFile(file, 'utf8')}\n${needs.get(file)}`, loader: 'default' }
          : undefined,
      );
    },
  };
}

function run(script, ...parameters) {
  const { status } = spawnSync(process.execPath, [path.join(root, script), ...parameters], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(status ?? 1);
}

const missing = [];
for (const file of [...Object.values(entries), ...modules.map(moduleFile), templateModule])
  if (!(await stat(path.join(root, file)).catch(() => null))) missing.push(file);
if (missing.length > 0) {
  console.error(`build.mjs: missing ${missing.join(', ')}`);
  process.exit(1);
}

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
const settings = {
  absWorkingDir: root,
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  target: 'es2022',
  external: ['node:*'],
  legalComments: 'none',
  minifyWhitespace: true,
  minifySyntax: true,
  minifyIdentifiers: true,
  lineLimit: 400,
  logLevel: 'warning',
  define: { WEBGPU: String(hasWebgpu), IMPORT: 'undefined' },
  plugins: [
    wgslTexts,
    packed('packed-template', () => readFile(path.join(root, templateModule), 'base64')),
    ...(isInterpreter ? [swapExecutor] : []),
  ],
};
const { thread, ...others } = entries;
const split = {
  ...settings,
  entryPoints: others,
  outdir: dist,
  splitting: true,
  chunkNames: '[name]-[hash]',
  metafile: true,
};
const apart = await build({ ...split, write: false });
const { metafile } = await build({
  ...split,
  ignoreAnnotations: true,
  plugins: [...settings.plugins, joinChunks(apart.metafile)],
});
// By itself: Parcel doesn't load a chunk that two workers share.
await build({ ...settings, entryPoints: { thread }, outdir: dist });
await build({ ...settings, entryPoints: pagingEntry, outdir: dist });
if (hasWebgpu) await build({ ...settings, entryPoints: gpuEntry, outdir: dist });
if (!isInterpreter)
  await Promise.all([
    buildInline(),
    buildCommonJs(metafile.outputs[path.relative(root, path.join(dist, 'index.js'))].exports),
  ]);
await markImports();
for (const name of modules) await copyFile(path.join(root, moduleFile(name)), path.join(dist, name));
await chmod(path.join(dist, 'cli.js'), 0o755);

if (isPackage) {
  await writeFile(path.join(root, 'build/webgpu-flag'), hasWebgpu ? '1' : '0');
  run('node_modules/typescript/bin/tsc', '-p', root, '--outDir', 'build/types');
  run('tools/types.mjs', 'build/dist/index.d.ts');
  await copyFile(path.join(dist, 'index.d.ts'), path.join(dist, 'index.d.cts'));
  await writeFile(
    path.join(dist, 'inline.d.ts'),
    "export * from './index.js';\nexport { default } from './index.js';\n",
  );
  for (const name of ['worker', 'paging', ...(hasWebgpu ? ['webgpu'] : [])])
    await writeFile(path.join(dist, `${name}.d.ts`), 'export {};\n');
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
