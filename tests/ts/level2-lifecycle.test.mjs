// SPDX-License-Identifier: Apache-2.0
// level2-lifecycle.test.mjs: how workers begin and end in Node: aborted loads leave no descriptor, a worker that isn't
// there says why, and a call that would wait for itself for ever is refused.
import test from 'node:test';
import assert from 'node:assert/strict';
import { pbkdf2 } from 'node:crypto';
import { cpSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const noProc = process.platform !== 'linux' && 'there is no /proc here';
/** Files of the project that this process has open. */
function openFiles() {
  const targets = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  });
  return targets.filter((target) => /\.(gguf|wasm|js)$/.test(target));
}

test('aborted loads of a path leave no descriptor, while others keep the file system busy', { skip: noProc }, async () => {
  let isOver = false;
  const hash = () => isOver || pbkdf2('a', 'b', 2000, 64, 'sha512', hash); // in the threads that read files
  for (let i = 0; i < 6; i++) hash();
  try {
    let aborted = 0;
    const load = async (ms) => {
      const controller = new AbortController();
      const onProgress = ({ phase }) => phase === 'compile' && setTimeout(() => controller.abort(), ms);
      await loadModel(FIXTURE, { signal: controller.signal, threads: 1, onProgress }).then((model) => model.dispose(), () => { aborted += 1; });
    };
    for (let i = 0; i < 15; i++) await Promise.all([0, 1, 2, 3].map(load));
    assert.ok(aborted > 30, `only ${aborted} loads were aborted`);
    for (let i = 0; i < 100 && openFiles().length > 0; i++) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.deepEqual(openFiles(), []);
  } finally {
    isOver = true;
  }
});

test('a worker that isn\'t there: the hint is where it must lie, not to load again', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'chord-dist-'));
  try {
    cpSync(path.join(root, 'dist'), folder, { recursive: true });
    rmSync(path.join(folder, 'worker.js'));
    const { loadModel: load } = await import(path.join(folder, 'index.js'));
    const error = await load(FIXTURE).then(() => assert.fail('it loaded'), (reason) => reason);
    assert.equal(error.code, 'internal');
    assert.match(error.message, /the engine worker can't be started: .*worker\.js/);
    assert.match(error.hint, /worker\.js must lie beside.*bundler.*worker: false/);
    const model = await load(FIXTURE, { worker: false });
    await model.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});
