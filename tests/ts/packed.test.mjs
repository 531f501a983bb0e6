// SPDX-License-Identifier: Apache-2.0
// The package's wasm modules hold the real ones, compressed (src/host/wasm/unpack.c).
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import init, { WasmModel } from '../../dist/index.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const NAMES = ['wasm32-simd', 'wasm32-relaxed', 'wasm64-relaxed', 'template'];

/** The bytes that the packed module holds. */
async function held(bytes) {
  const { instance } = await WebAssembly.instantiate(bytes);
  const { memory, unpack } = instance.exports;
  return Buffer.from(memory.buffer, 0, unpack());
}

test('each module is what was built, byte by byte, and smaller than gzip makes it', async () => {
  for (const name of NAMES) {
    const built = await readFile(path.join(root, `build/wasm/${name}.wasm`));
    const packed = await readFile(path.join(root, `build/wasm/packed/${name}.wasm`));
    assert.ok(built.equals(await held(packed)), name);
    assert.ok(packed.byteLength < 0.45 * built.byteLength, `${name}: ${packed.byteLength} bytes`);
  }
});

test('a damaged file ends with an error that names it, never with a hang', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-packed-'));
  try {
    const good = await readFile(path.join(root, 'dist/wasm32-simd.wasm'));
    const stream = await readFile(path.join(root, 'build/wasm/packed/wasm32-simd.lzma'));
    const file = path.join(folder, 'damaged.wasm');
    let seed = 1;
    for (let i = 0; i < 40; i++) {
      seed = (seed * 48271) % 0x7fffffff;
      const bad = Buffer.from(good);
      bad[good.indexOf(stream) + (seed % (stream.byteLength - 4))] ^= 1 + (seed % 255);
      await writeFile(file, bad);
      await assert.rejects(init({ wasmUrl: pathToFileURL(file) }), ({ code, message }) => {
        assert.equal(code, 'io');
        assert.match(message, /damaged\.wasm is not a WebAssembly module: /);
        return true;
      });
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a module that holds none is taken as it is', async () => {
  await init({ wasmUrl: pathToFileURL(path.join(root, 'build/wasm/wasm32-simd.wasm')) });
  const model = new WasmModel(await readFile(path.join(root, 'tests/golden/q4_1-smollm.gguf')));
  assert.equal(model.get_model_info().variant, 'custom');
  model.free();
});
