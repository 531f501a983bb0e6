// SPDX-License-Identifier: Apache-2.0
// node.test.mjs: the packed package in a user's Node project: the command through npm's link, the import,
// wasm-chord/inline, the wasm files by their subpaths and by an address.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { root, withProject } from './package.mjs';

const execute = promisify(execFile);
const fixture = path.join(root, 'tests/golden/q4_1-smollm.gguf');

test(
  'the packed package runs in Node by its command, its import and its wasm subpaths',
  { timeout: 120_000 },
  () =>
    withProject(path.join(root, 'tests/bundler/project'), async (folder) => {
      const link = path.join(folder, 'node_modules/.bin/wasm-chord');
      await mkdir(path.dirname(link));
      await symlink('../wasm-chord/dist/cli.js', link);
      const { stdout } = await execute(link, ['info', fixture, '--json'], { cwd: folder });
      assert.equal(JSON.parse(stdout).architecture, 'llama');

      await writeFile(
        path.join(folder, 'main.mjs'),
        `
      import init, { WasmModel, loadModel } from 'wasm-chord';
      import { readFile } from 'node:fs/promises';
      const model = await loadModel(process.argv[2]);
      const text = await model.generate('The walk of', { temperature: 0, maxTokens: 8 }).text();
      await model.dispose();
      const file = new URL(import.meta.resolve('wasm-chord/wasm32-simd.wasm'));
      const module = await WebAssembly.compile(await readFile(file));
      await init({ module });
      const small = new WasmModel(new Uint8Array(await readFile(process.argv[2])));
      small.set_config(8, 0, 1, 0, 1);
      const again = small.generate('The walk of');
      const { loadModel: loadInline } = await import('wasm-chord/inline');
      const inline = await loadInline(process.argv[2], { threads: 2 });
      const inlineText = await inline.generate('The walk of', { temperature: 0, maxTokens: 8 }).text();
      await inline.dispose();
      const named = await loadModel(process.argv[2], { wasmUrl: '../node_modules/wasm-chord/dist/' });
      const namedVariant = named.info.variant;
      await named.dispose();
      const { variant } = small.get_model_info();
      console.log(JSON.stringify({ inlineText, namedVariant, text, again, variant }));
    `,
      );
      // Relative addresses start at the working directory, whose name may hold what an address can't.
      const cwd = path.join(folder, 'a #b%');
      await mkdir(cwd);
      const main = await execute(process.execPath, ['../main.mjs', fixture], { cwd });
      const { inlineText, namedVariant, text, again, variant } = JSON.parse(main.stdout);
      assert.ok(text.length > 0);
      assert.equal(again, text);
      assert.equal(inlineText, text);
      assert.match(namedVariant, /^wasm32-/);
      assert.equal(variant, 'custom');
      assert.equal(main.stderr, '');
    }),
);
