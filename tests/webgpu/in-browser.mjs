// SPDX-License-Identifier: Apache-2.0
// in-browser.mjs: the tests of this folder as a module for browsers. In it `node:test` is a list of tests,
// which the module's `runTests` runs; `node:assert/strict`, files and the bundler are the few lines that the
// tests need of them; and the GPU is the browser's.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import { wgslTexts } from '../../tools/wgsl.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));

const TEST = `
  const suites = [];
  let inside = [];
  const add = (name, ...rest) => suites.push({ name: [...inside, name].join(' '), call: rest.at(-1) });
  const hooks = { before: [], after: [] };
  export const before = (call) => hooks.before.push(call);
  export const after = (call) => hooks.after.push(call);
  export const describe = (name, ...rest) => {
    inside.push(name);
    rest.at(-1)();
    inside.pop();
  };
  export { add as test, add as it, add as default };

  const faults = [];
  globalThis.addEventListener('error', ({ message }) => faults.push(message));
  globalThis.addEventListener('unhandledrejection', ({ reason }) => faults.push(String(reason)));
  /** Runs the tests that match 'pattern': [{ name, ms, error }]. */
  export const runTests = async (pattern) => {
    for (const call of hooks.before) await call();
    const results = [];
    for (const { name, call } of suites) {
      if (!new RegExp(pattern).test(name)) continue;
      const begin = performance.now();
      faults.length = 0;
      let error;
      try {
        await call();
      } catch (caught) {
        error = String(caught);
      }
      results.push({ name, ms: performance.now() - begin, error: error ?? faults[0] });
    }
    for (const call of hooks.after) await call();
    return results;
  };`;

const ASSERT = `
  const fail = (text) => {
    throw new Error(text);
  };
  const shown = (value) => JSON.stringify(ArrayBuffer.isView(value) ? Array.from(value) : value);
  const assert = (fact, text) => fact || fail(text ?? 'not true');
  assert.ok = assert;
  assert.fail = fail;
  assert.equal = (a, b, text = '') => Object.is(a, b) || fail(a + ' instead of ' + b + ': ' + text);
  assert.deepEqual = (a, b, text = '') =>
    shown(a) === shown(b) || fail(shown(a) + ' instead of ' + shown(b) + ': ' + text);
  assert.throws = (call) => {
    try {
      call();
    } catch {
      return;
    }
    fail('it throws nothing');
  };
  export default assert;`;

const GPU = `
  export const missing = () => '';
  export const openGpu = async () => navigator.gpu;`;

const FILES = `
  export const readFile = async (url, encoding) => {
    const response = await fetch(url);
    return encoding ? response.text() : new Uint8Array(await response.arrayBuffer());
  };`;

/** Each source of ts/webgpu as a module, which load() puts together as room.mjs does. */
async function roomText() {
  const names = (await readdir(path.join(root, 'ts/webgpu')))
    .filter((name) => name.endsWith('.ts') && !/^entry|\.d\.ts$/.test(name))
    .map((name) => name.slice(0, -3));
  return `
    ${names.map((name, i) => `import * as m${i} from './ts/webgpu/${name}.js';`).join('\n')}
    const modules = { ${names.map((name, i) => `'${name}': m${i}`).join(', ')} };
    export const load = async (...names) => Object.assign({}, ...names.map((name) => modules[name]));
    export * from './tests/webgpu/dispatches.mjs';`;
}

/** Modules in place of those that only Node has. */
const replaced = {
  name: 'replaced',
  setup(on) {
    const texts = {
      'node:test': TEST,
      'node:assert/strict': ASSERT,
      'node:fs/promises': FILES,
      './gpu.mjs': GPU,
    };
    on.onResolve({ filter: /^(node:|esbuild$|\.\/gpu\.mjs$|\.\/room\.mjs$)/ }, ({ path: name }) => ({
      path: name,
      namespace: 'replaced',
    }));
    on.onLoad({ filter: /.*/, namespace: 'replaced' }, async ({ path: name }) => {
      if (name === './room.mjs') return { contents: await roomText(), resolveDir: root };
      if (name !== 'esbuild') return { contents: texts[name] };
      // sampling.mjs asks for the ABI's tables.
      const { code } = await transform(await readFile(path.join(root, 'ts/abi/abi.gen.ts')), {
        loader: 'ts',
      });
      return { contents: `export const transform = async () => ({ code: ${JSON.stringify(code)} });` };
    });
  },
};

/** Resolves to the text of a module with the tests of `file`, such as 'matmul.test.mjs'. */
export async function bundleTests(file) {
  const { outputFiles } = await build({
    stdin: {
      contents: `import './${file}';\nexport { runTests } from 'node:test';\nexport { ledger } from './ledger.mjs';`,
      resolveDir: path.join(root, 'tests/webgpu'),
    },
    bundle: true,
    write: false,
    ignoreAnnotations: true, // package.json says that no module has effects
    format: 'esm',
    platform: 'neutral',
    target: 'es2022',
    define: {
      'import.meta.url': 'HERE',
      'process.env.ROUNDS': 'undefined',
    },
    banner: { js: `const HERE = new URL('/tests/webgpu/${file}', location.href).href;` },
    plugins: [replaced, wgslTexts],
    logLevel: 'warning',
  });
  return outputFiles[0].text;
}
