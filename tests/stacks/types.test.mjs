// SPDX-License-Identifier: Apache-2.0
// types.test.mjs: the package's types compile in strict projects of TypeScript 5.0 and newer, with and
// without the DOM library, without skipLibCheck. tests/types has the compiler of this project, and the
// mistakes that it must catch.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { tool, withPage } from './stacks.mjs';

const main = `
import init, { ChordError, WasmModel, loadModel } from 'wasm-chord';
import { loadModel as inline } from 'wasm-chord/inline';
const model = await loadModel('https://example.com/m.gguf', { threads: 2, wasmUrl: 'https://example.com/wasm/' });
for await (const { text, token } of model.generate('Hi', { temperature: 0 })) {
  const pair: [string, number] = [text, token];
  void pair;
}
const ids: readonly number[] = await model.tokenize('Hi');
void [ids, ChordError.isInstance(ids), inline === loadModel];
await model.dispose();
await init();
const answer: string = new WasmModel(new Uint8Array(3)).generate('Hi');
void answer;
// @ts-expect-error A number is no source.
await loadModel(42);
// @ts-expect-error Generations have no such option.
model.generate('Hi', { temprature: 0 });
`;

for (const version of ['5.0', '5.5', '5.9']) {
  test(`TypeScript ${version} compiles a project with the package's types`, { timeout: 240_000 }, () =>
    withPage({}, async (folder) => {
      await writeFile(path.join(folder, 'main.ts'), main);
      for (const lib of [['ES2022'], ['ES2022', 'DOM']]) {
        for (const resolution of ['node16', 'nodenext', 'bundler']) {
          const compilerOptions = {
            noEmit: true,
            strict: true,
            skipLibCheck: false,
            target: 'ES2022',
            lib,
            types: [],
            module: resolution === 'bundler' ? 'ES2022' : resolution,
            moduleResolution: resolution,
          };
          await writeFile(
            path.join(folder, 'tsconfig.json'),
            JSON.stringify({ compilerOptions, files: ['main.ts'] }),
          );
          const output = await tool(`ts${version.replace('.', '')}/bin/tsc`, ['-p', '.'], folder);
          assert.equal(output, '', `${lib}, ${resolution}`);
        }
      }
    }),
  );
}
