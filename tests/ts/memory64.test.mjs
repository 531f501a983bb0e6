// SPDX-License-Identifier: Apache-2.0
// memory64.test.mjs: wasm64-relaxed, the core with 64-bit addresses, in a Node that has Memory64.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { capabilities } from '../../dist/index.js';
import { assertFixture } from '../reference/asserts.mjs';
import { readGolden } from '../reference/golden.mjs';
import { fixtureNames } from './judged.mjs';
import { moduleUrl, needsNode, node, withHeapAt } from './memory64.mjs';

const GiB = 2 ** 30;

async function judged(options) {
  const script = fileURLToPath(new URL('judged.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(node, [script, 'fixtures', JSON.stringify(options)], {
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout);
}

/** Asserts that each fixture has the logits of wasm32-relaxed with the module at `wasmUrl`. */
async function assertSame(narrow, wasmUrl, options) {
  const wide = await judged({ ...options, wasmUrl });
  for (const name of await fixtureNames()) {
    assert.equal(wide[name].hash, narrow[name].hash, `${name}: other logits with 64-bit addresses`);
    assert.deepEqual(wide[name].greedy, narrow[name].greedy);
    assert.equal(wide[name].threads, options.threads);
    assertFixture(name, await readGolden(name), wide[name]);
  }
}

const narrow = needsNode.skip ? undefined : judged({ threads: 2, wasmUrl: moduleUrl('wasm32-relaxed') });
narrow?.catch(() => undefined);

test(
  'every fixture has the same logits in wasm64-relaxed as in wasm32-relaxed, to the last bit',
  needsNode,
  async () => {
    for (const threads of [1, 2]) await assertSame(await narrow, moduleUrl('wasm64-relaxed'), { threads });
  },
);

test(
  'weights, KV cache and stacks that lie past 4 GiB and 8 GiB give the same logits',
  needsNode,
  async () => {
    const module = await readFile(new URL('../../build/wasm/wasm64-relaxed.wasm', import.meta.url));
    const folder = await mkdtemp(path.join(tmpdir(), 'chord-high-'));
    try {
      for (const address of [4 * GiB - 65536, 9 * GiB]) {
        const file = path.join(folder, `${address}.wasm`);
        await writeFile(file, withHeapAt(module, address));
        await assertSame(await narrow, pathToFileURL(file).href, { threads: 2 });
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test('capabilities() says memory64 exactly where a module and JavaScript can make such a memory', async () => {
  let made = true;
  try {
    made = new WebAssembly.Memory({ address: 'i64', initial: 1n, maximum: 1n, shared: true }).grow(0n) === 1n;
  } catch {
    made = false;
  }
  assert.equal((await capabilities()).memory64, made);
});
