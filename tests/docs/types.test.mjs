// SPDX-License-Identifier: Apache-2.0
// types.test.mjs: every block of JavaScript in README.md and docs/GUIDE.md compiles as it is in a strict
// TypeScript project that has the package.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { root, runTool, withProject } from '../bundler/package.mjs';

const settings = {
  compilerOptions: {
    target: 'ES2022',
    lib: ['ES2022', 'DOM'],
    module: 'ESNext',
    moduleResolution: 'bundler',
    typeRoots: [path.join(root, 'node_modules/@types')],
    types: ['node'],
    strict: true,
    skipLibCheck: true,
    noEmit: true,
  },
  include: ['block*.ts'],
};

test('every block of README.md and of the guide compiles in a strict project', { timeout: 120_000 }, () =>
  withProject(path.join(root, 'tests/types/project'), async (folder) => {
    const compile = async () => {
      await writeFile(path.join(folder, 'tsconfig.json'), JSON.stringify(settings));
      return runTool('typescript/bin/tsc', ['-p', '.'], folder);
    };
    let count = 0;
    for (const page of ['README.md', 'docs/GUIDE.md']) {
      const text = await readFile(path.join(root, page), 'utf8');
      for (const [, code] of text.matchAll(/^```js\n([\s\S]*?)^```$/gm))
        await writeFile(path.join(folder, `block${++count}-${path.basename(page, '.md')}.ts`), code);
    }
    assert.ok(count >= 11);
    const { status, output } = await compile();
    assert.equal(status, 0, output);
    // A mistake must make the compiler fail; otherwise the check above can't.
    await writeFile(
      path.join(folder, 'block0.ts'),
      `import { loadModel } from 'wasm-chord';\nloadModel(5);\n`,
    );
    assert.notEqual((await compile()).status, 0);
  }),
);
