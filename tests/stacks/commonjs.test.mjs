// SPDX-License-Identifier: Apache-2.0
// commonjs.test.mjs: require('wasm-chord') in Node with and without require() of modules, in TypeScript that
// compiles to CommonJS, and in two test runners: Jest, whose tests are CommonJS, and Vitest.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chats, fixture, needsTool, prompt, run, tool, tools, withPage } from './stacks.mjs';

const body = `
  const model = await loadModel('model.gguf', { threads: 2 });
  const text = await model.generate(${prompt}).text();
  ${chats}
  const bytes = await model.tokenize('The walk of');
  await model.dispose();
  const missing = await loadModel('none.gguf').catch((error) => error);
`;
const program = `
  const { ChordError, default: init, loadModel } = require('wasm-chord');
  (async () => {
    ${body}
    const imported = await import('wasm-chord');
    console.log(JSON.stringify({
      text,
      codes: [ChordError.isInstance(missing), imported.ChordError.isInstance(missing), missing.code],
      init: typeof init,
    }));
  })();
`;
/** Runs `use(folder)` in an app whose files are CommonJS, with the package and the model. */
const withApp = (use) =>
  withPage({}, async (folder) => {
    await writeFile(path.join(folder, 'package.json'), '{ "name": "app", "private": true }\n');
    await rm(path.join(folder, 'main.js'));
    await cp(fixture, path.join(folder, 'model.gguf'));
    return use(folder);
  });

const runtimes = ['node20/bin/node', 'node22/bin/node', 'node26/bin/node', '@oven/bun-linux-x64/bin/bun'];
for (const file of runtimes) {
  test(`require() works in ${file.replace(/\/bin.*/, '')}`, needsTool(file), () =>
    withApp(async (folder) => {
      await writeFile(path.join(folder, 'app.js'), program);
      const { status, output } = await run([path.join(tools, file), 'app.js'], folder);
      assert.equal(status, 0, output);
      const { text, codes, init } = JSON.parse(output);
      assert.ok(text.length > 0);
      assert.deepEqual(codes, [true, true, 'io']);
      assert.equal(init, 'function');
    }),
  );
}

test('Node requires the other entries where it can require modules', needsTool('node22/bin/node'), () =>
  withApp(async (folder) => {
    await writeFile(
      path.join(folder, 'app.js'),
      `console.log(typeof require('wasm-chord/inline').loadModel, require('wasm-chord/package.json').name);`,
    );
    const { output } = await run([path.join(tools, 'node22/bin/node'), 'app.js'], folder);
    assert.equal(output, 'function wasm-chord\n');
  }),
);

for (const version of ['5.0', '5.9']) {
  test(`TypeScript ${version} compiles a CommonJS file that runs`, { timeout: 240_000 }, () =>
    withApp(async (folder) => {
      await writeFile(
        path.join(folder, 'app.ts'),
        `import init, { ChordError, loadModel } from 'wasm-chord';
        declare const console: { log(text: string): void };
        async function main(): Promise<void> {
          ${body}
          console.log([text.length > 0, ChordError.isInstance(missing), typeof init].join());
        }
        void main();`,
      );
      const flags = ['--strict', '--module', 'node16', '--target', 'es2022', 'app.ts'];
      assert.equal(await tool(`ts${version.replace('.', '')}/bin/tsc`, flags, folder), '');
      const { output } = await run([process.execPath, 'app.js'], folder);
      assert.equal(output, 'true,true,function\n');
    }),
  );
}

test('Jest runs a test that requires the package', { timeout: 120_000 }, () =>
  withApp(async (folder) => {
    await writeFile(
      path.join(folder, 'app.test.js'),
      `const { loadModel } = require('wasm-chord');
      test('a model answers', async () => {
        ${body}
        expect(text.length).toBeGreaterThan(0);
        expect(bytes.length).toBeGreaterThan(0);
        expect(missing.code).toBe('io');
      });`,
    );
    const output = await tool('jest/bin/jest.js', ['--rootDir', '.', '--watchman=false'], folder);
    assert.match(output, /1 passed/);
    assert.doesNotMatch(output, /did not exit|open handle/);
  }),
);

test('Vitest runs a test that imports the package', needsTool('node24/bin/node'), () =>
  withApp(async (folder) => {
    await mkdir(path.join(folder, 'tests'));
    await writeFile(
      path.join(folder, 'tests/app.test.mjs'),
      `import { expect, test } from ${JSON.stringify(path.join(tools, 'vitest/dist/index.js'))};
      import { loadModel } from 'wasm-chord';
      test('a model answers', async () => {
        ${body}
        expect(text.length).toBeGreaterThan(0);
        expect(missing.code).toBe('io');
      });`,
    );
    const command = [path.join(tools, 'node24/bin/node'), path.join(tools, 'vitest/vitest.mjs'), 'run'];
    const { status, output } = await run(command, folder);
    assert.equal(status, 0, output);
    assert.match(output, /1 passed/);
  }),
);
