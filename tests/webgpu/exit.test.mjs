// SPDX-License-Identifier: Apache-2.0
// exit.test.mjs: the end of a process, of a load and of a model while Dawn works. Dawn aborts a process whose
// thread ends while it owes an answer: exit status 134 or 139.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { missing, useDriver } from './gpu.mjs';

const execute = promisify(execFile);
const root = fileURLToPath(new URL('../..', import.meta.url));
const FIXTURE = path.join(root, 'tests/golden/q4_1-smollm.gguf');
const needsGpu = { skip: missing() || false };
useDriver();

/** Runs a script, in which `open(options)` loads a model; resolves to its exit status and its output. */
async function ends(script) {
  const begin = `
    import init, { WasmModel, loadModel } from './dist/index.js';
    const gpu = ['enable-dawn-features=disable_workgroup_init'];
    const FIXTURE = ${JSON.stringify(FIXTURE)};
    const open = (more) => loadModel(FIXTURE, { backend: 'webgpu', gpu, cache: 'none', ...more });
    const long = { maxTokens: 100, ignoreEos: true };
    const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));`;
  const args = ['--input-type=module', '-e', begin + script];
  try {
    const { stdout } = await execute(process.execPath, args, { cwd: root, timeout: 60_000 });
    return { status: 0, stdout };
  } catch ({ code, signal, stdout, stderr }) {
    return { status: code ?? signal, stdout, stderr };
  }
}

test('a process that exits behind a run, or behind a break, has its own exit status', needsGpu, async () => {
  for (const least of [1, Infinity]) {
    const { status, stdout } = await ends(`
      const model = await open();
      let tokens = 0;
      for await (const { text } of model.generate([5, 6, 7], { maxTokens: 20, ignoreEos: true }))
        if ((tokens += 1) > ${String(least)}) break;
      (await import('node:fs')).writeSync(1, String(tokens));
      process.exit(3);`);
    assert.deepEqual({ status, stdout }, { status: 3, stdout: String(Math.min(least + 1, 20)) });
  }
});

test('the command line ends well when the reader of its pipe ends first', needsGpu, async () => {
  const command =
    `"${process.execPath}" dist/cli.js generate "${FIXTURE}" Once --backend webgpu --max-tokens 200 --ignore-eos ` +
    '--gpu enable-dawn-features=disable_workgroup_init | head -c 1; exit ${PIPESTATUS[0]}';
  const { stdout } = await execute('bash', ['-c', command], { cwd: root, timeout: 60_000 });
  assert.equal(stdout.length, 1);
});

for (const ms of [0, 50, 150, 400])
  test(`a process that exits ${ms} ms into a load has its own exit status`, needsGpu, async () => {
    const { status, stderr } = await ends(`
      let isLoading = false;
      const onProgress = () => {
        if (!isLoading) setTimeout(() => process.exit(3), ${ms});
        isLoading = true;
      };
      await open({ onProgress });
      await sleep(1000);`);
    assert.equal(status, 3, stderr);
  });

for (const [where, script] of Object.entries({
  'in a loop over a run': 'for await (const _ of model.generate([5, 6, 7], long)) process.exit(3);',
  'from a timer': `setTimeout(() => process.exit(3), 20);
    for await (const _ of model.generate([5, 6, 7], long));`,
  'by an error that nobody catches': `process.on('uncaughtExceptionMonitor', () => (process.exitCode = 3));
    setTimeout(() => { throw new Error('mine'); }, 20);
    for await (const _ of model.generate([5, 6, 7], long));`,
}))
  test(
    `a process that ends in the middle of a run, ${where}, has its own exit status`,
    needsGpu,
    async () => {
      const { status, stderr } = await ends(`const model = await open();\n${script}`);
      assert.ok(status === 3 || (status === 1 && /mine/.test(stderr)), `${status}: ${stderr}`);
    },
  );

for (const [what, expected] of [
  ['process.exit(9)', 9],
  ["throw new Error('mine')", 3],
])
  test(`so has one whose own exit listener runs ${what}`, needsGpu, async () => {
    for (const script of [
      'open(); await sleep(150); process.exit(3);',
      `const model = await open();
      setTimeout(() => process.exit(3), 20);
      for await (const _ of model.generate([5, 6, 7], long));`,
    ]) {
      const { status, stderr } = await ends(`process.on('exit', () => { ${what}; });\n${script}`);
      assert.equal(status, expected, stderr);
    }
  });

test('a dispose in the middle of a run ends it, and the process lives', needsGpu, async () => {
  const { status, stdout, stderr } = await ends(`
    const model = await open();
    const run = (async () => { for await (const _ of model.generate([5, 6, 7], long)); })();
    const ended = run.catch(({ code }) => code);
    await sleep(20);
    await model.dispose();
    const next = await open();
    await next.generate([5, 6, 7], { maxTokens: 2 });
    await next.dispose();
    console.log(await ended);`);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, 'disposed\n');
});

test("without a worker, a model's dispose doesn't wait for the other's run", needsGpu, async () => {
  const { status, stdout, stderr } = await ends(`
    const [model, other] = [await open({ worker: false }), await open({ worker: false })];
    let tokens = 0;
    const run = (async () => { for await (const _ of other.generate([5, 6, 7], long)) tokens += 1; })();
    while (tokens < 5) await sleep(1);
    await model.dispose();
    const before = tokens;
    await run;
    console.log(before < tokens);`);
  assert.equal(status, 0, stderr);
  assert.equal(stdout, 'true\n');
});

test('so has one without a worker', needsGpu, async () => {
  const { status, stderr } = await ends(`
    const model = await open({ worker: false });
    for await (const _ of model.generate([5, 6, 7], long)) process.exit(3);`);
  assert.equal(status, 3, stderr);
});

test('so has one of level 1, whose model is not freed', needsGpu, async () => {
  for (const end of [
    'for await (const piece of model.generate_async("Once")) if (piece) process.exit(3);',
    'process.exit(3);',
  ]) {
    const { status, stderr } = await ends(`
      await init();
      const model = new WasmModel((await import('node:fs')).readFileSync(FIXTURE));
      await model.init_gpu_async({ gpu });
      ${end}`);
    assert.equal(status, 3, stderr);
  }
});

for (const ms of [0, 50, 150, 400])
  test(`a load that is aborted after ${ms} ms leaves the process alive`, needsGpu, async () => {
    const { status, stdout, stderr } = await ends(`
      const abort = new AbortController();
      let isLoading = false;
      const onProgress = () => {
        if (!isLoading) setTimeout(() => abort.abort(), ${ms});
        isLoading = true;
      };
      const what = await open({ signal: abort.signal, onProgress }).then(() => 'loaded', ({ name }) => name);
      const again = await open();
      await again.dispose();
      console.log(what, again.info.backend);`);
    assert.equal(status, 0, stderr);
    assert.match(stdout, /^(AbortError|loaded) webgpu\n$/);
  });
