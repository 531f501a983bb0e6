// SPDX-License-Identifier: Apache-2.0
// runtimes.test.mjs: the packed package in an empty app of Node 20 to 26, Bun and Deno: import, threads, the
// file with everything inside, the command, and an end of the process after dispose().
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { chats, fixture, needsTool, prompt, run, tools, withPage } from './stacks.mjs';
import { tarball } from '../bundler/package.mjs';

const script = `
  import { ChordError, loadModel } from 'wasm-chord';
  import { loadModel as loadInline } from 'wasm-chord/inline';
  const answers = [];
  for (const load of [loadModel, loadInline]) {
    const model = await load('model.gguf', { threads: 2 });
    const text = await model.generate(${prompt}).text();
    ${chats}
    answers.push({ text, threads: model.info.threads });
    await model.dispose();
  }
  const missing = await loadModel('none.gguf').catch((error) => error);
  const code = ChordError.isInstance(missing) ? missing.code : String(missing);
  console.log(JSON.stringify({ answers, code }));
`;
const deno = path.join(tools, '@deno/linux-x64-glibc/deno');
// No question for a permission, no colours, no look for a newer Deno.
const calm = { NO_COLOR: '1', DENO_NO_UPDATE_CHECK: '1', DENO_NO_PROMPT: '1' };
const runtimes = {
  'Node 20.18': ['node20/bin/node'],
  'Node 22': ['node22/bin/node'],
  'Node 24': ['node24/bin/node'],
  // The baseline compiler of V8 13 and before computes a relaxed product wrongly there.
  'Node 22 without AVX': ['node22/bin/node', '--no-enable-avx'],
  'Node 24 without AVX': ['node24/bin/node', '--no-enable-avx'],
  'Node 26': ['node26/bin/node'],
  Bun: ['@oven/bun-linux-x64/bin/bun'],
  'Deno, which may read,': ['@deno/linux-x64-glibc/deno', 'run', '--allow-read'],
};

/** Runs `use(folder)` in an app with the package, the script and the model. */
const withApp = (use) =>
  withPage({}, async (folder) => {
    await writeFile(path.join(folder, 'app.mjs'), script);
    await cp(fixture, path.join(folder, 'model.gguf'));
    return use(folder);
  });

async function answerOf(command, folder) {
  const { status, output } = await run([...command, 'app.mjs'], folder, calm);
  assert.equal(status, 0, output);
  return JSON.parse(output);
}

for (const [name, [file, ...parameters]] of Object.entries(runtimes)) {
  test(`${name} answers as this Node does, with threads, and ends`, needsTool(file), () =>
    withApp(async (folder) => {
      const expected = await answerOf([process.execPath], folder);
      assert.ok(expected.answers[0].text.length > 0);
      assert.deepEqual(
        expected.answers.map(({ threads }) => threads),
        [2, 2],
      );
      assert.equal(expected.code, 'io');
      const command = [path.join(tools, file), ...parameters];
      assert.deepEqual(await answerOf(command, folder), expected);
      const info = [...command, 'node_modules/wasm-chord/dist/cli.js', 'info', 'model.gguf', '--json'];
      const { status, output } = await run(info, folder, calm);
      assert.equal(status, 0, output);
      assert.equal(JSON.parse(output).architecture, 'llama');
    }),
  );
}

test(
  'Deno without a permission fails with the flag that gives it',
  needsTool('@deno/linux-x64-glibc/deno'),
  () =>
    withApp(async (folder) => {
      const none = await run([deno, 'run', 'app.mjs'], folder, calm);
      assert.notEqual(none.status, 0);
      assert.match(none.output, /ChordError: .*--allow-read/);
      await writeFile(
        path.join(folder, 'remote.mjs'),
        `import { loadModel } from 'wasm-chord';
        await loadModel('http://localhost:47399/model.gguf').catch((error) => console.log(String(error)));`,
      );
      const remote = await run([deno, 'run', '--allow-read', 'remote.mjs'], folder, calm);
      assert.match(remote.output, /ChordError: .*--allow-net/);
    }),
);

test('npm install and npx give the command', { timeout: 120_000 }, () =>
  withApp(async (folder) => {
    const flags = ['--offline', '--no-audit', '--no-fund'];
    const installed = await run(['npm', 'install', ...flags, await tarball()], folder);
    assert.equal(installed.status, 0, installed.output);
    const { status, output } = await run(['npx', '--no', 'wasm-chord', 'info', 'model.gguf'], folder);
    assert.equal(status, 0, output);
    assert.match(output, /architecture +llama/);
  }),
);
