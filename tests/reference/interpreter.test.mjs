// SPDX-License-Identifier: Apache-2.0
// interpreter.test.mjs: tests build/test/interpreter.wasm, the float64 interpreter as an executor.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { transform } from 'esbuild';
import { readGolden } from './golden.mjs';

const source = await readFile(new URL('../../ts/abi/abi.gen.ts', import.meta.url), 'utf8');
const { code } = await transform(source, { loader: 'ts', format: 'esm' });
const abi = await import(`data:text/javascript,${encodeURIComponent(code)}`);
const { Status } = abi;
const module = await WebAssembly.compile(await readFile(new URL('../../build/test/interpreter.wasm', import.meta.url)));

/** Loads a fixture into a new memory. Returns exports, a bump allocator, and access to structs by name. */
async function load(name) {
  const memory = new WebAssembly.Memory({ initial: 512, maximum: 4096, shared: true });
  const { sin, cos, exp, log, pow } = Math;
  const { exports } = new WebAssembly.Instance(module, { env: { memory, sin, cos, exp, log, pow, now: () => performance.now() } });
  let top = Math.ceil(exports.__heap_base.value / 64) * 64;
  const alloc = (bytes) => {
    const at = top;
    top = Math.ceil((top + bytes) / 64) * 64;
    const missing = top - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    return at;
  };
  const view = () => new DataView(memory.buffer);
  const write = (at, layout, values) => {
    for (const [key, value] of Object.entries({ version: abi.ABI_VERSION, size: layout.size, ...values })) {
      const { offset, type } = layout.fields[key];
      view()[{ i32: 'setInt32', f32: 'setFloat32', f64: 'setFloat64' }[type]](at + offset, value, true);
    }
  };
  const read = (at, layout) =>
    Object.fromEntries(Object.entries(layout.fields).map(([key, { offset, type }]) => [key, view()[type === 'i32' ? 'getInt32' : 'getFloat64'](at + offset, true)]));
  const put = (array) => {
    const at = alloc(array.byteLength);
    new Uint8Array(memory.buffer).set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), at);
    return at;
  };
  const file = put(await readFile(new URL(`../golden/${name}.gguf`, import.meta.url)));
  const end = top;
  const m = exports.model_init(alloc(4 << 20), 4 << 20);
  const push = () => {
    const at = exports.model_position(m);
    return exports.model_push(m, 0, at, file + at, end - file - at);
  };
  assert.equal(push(), Status.DONE);
  const config = alloc(abi.configLayout.size), info = alloc(abi.planInfoLayout.size);
  write(config, abi.configLayout, { kv_type: abi.KvType.F32, n_batch: 16, n_logits: 16 });
  assert.equal(exports.model_plan(m, config, info), Status.OK);
  const plan = read(info, abi.planInfoLayout);
  assert.equal(exports.model_begin(m, alloc(plan.bytes), plan.bytes), Status.MORE);
  assert.equal(push(), Status.DONE);
  return { exports, memory, m, alloc, put, write, read };
}

function openSession({ exports, m, alloc }) {
  const bytes = exports.session_bytes(m);
  return exports.session_open(m, alloc(bytes), bytes);
}

/** Returns the next batch and provides the pages that it needs; undefined when nothing is pending. */
function nextBatch({ exports, m, alloc, read }, s) {
  const out = alloc(abi.batchInfoLayout.size), state = alloc(abi.sessionStateLayout.size);
  for (;;) {
    const status = exports.session_next_batch(s, out);
    if (status === Status.OK) return read(out, abi.batchInfoLayout);
    if (status === Status.DONE) return undefined;
    assert.equal(status, Status.NEED_MEMORY);
    exports.session_get_state(s, state);
    const bytes = read(state, abi.sessionStateLayout).wanted_bytes;
    assert.equal(exports.model_give(m, alloc(bytes), bytes), Status.OK);
  }
}

/** Adds the squares of the difference and of the golden row. */
function compare(got, want, sum) {
  want.forEach((x, i) => ((sum.error += (got[i] - x) ** 2), (sum.power += x * x)));
}

const FLOATS = ['f32-mha', 'f32-odd-tied', 'f32-linear-spm', 'qwen3-f32', 'gemma3-f32'];

/**
 * The bound of Gemma's NMSE is 5e-9, because llama.cpp's F32 run uses a table of f16 for GELU
 * (tests/engine/fixtures_test.c). An output row rounds doubles to floats: an NMSE of 2^-48.
 */
const REFERENCE_GELU_F16 = 4;
for (const name of FLOATS) {
  test(`${name}: the interpreter module computes llama.cpp's logits`, async () => {
    const loaded = await load(name);
    const { exports, memory, put, alloc } = loaded;
    const golden = await readGolden(name);
    for (const prompt of golden.prompts) {
      const s = openSession(loaded);
      exports.session_outputs(s, abi.Output.ALL);
      assert.equal(exports.session_push(s, put(Int32Array.from(prompt.sequence)), prompt.sequence.length), Status.OK);
      const rows = [];
      for (let batch; (batch = nextBatch(loaded, s)) !== undefined;) {
        const bytes = exports.interpreter_bytes(s), heap = alloc(bytes + 64);
        new Uint8Array(memory.buffer).fill(0xa5, heap + bytes, heap + bytes + 64);
        assert.equal(exports.interpreter_run(s, REFERENCE_GELU_F16, heap, bytes), Status.OK);
        assert.ok(new Uint8Array(memory.buffer, heap + bytes, 64).every((x) => x === 0xa5), 'the run wrote beyond the heap');
        assert.equal(exports.session_accept_batch(s), Status.OK);
        for (let r = 0; r < batch.n_outputs; r++) {
          const at = exports.session_logits(s, r);
          assert.equal(at, batch.outputs + r * batch.stride * 4);
          rows.push(new Float32Array(memory.buffer.slice(at, at + batch.n_width * 4)));
        }
      }
      const sum = { error: 0, power: 0 };
      prompt.rows.forEach((row, i) => compare(rows[row], prompt.logits[i], sum));
      assert.equal(rows.length, prompt.sequence.length);
      assert.ok(sum.power > 0 && sum.error <= (name.startsWith('gemma') ? 5e-9 : 1e-10) * sum.power, `NMSE ${sum.error / sum.power}`);
      exports.session_close(s);
    }
  });
}

test('a run without a batch or with a heap that is too small computes nothing', async () => {
  const loaded = await load('f32-mha');
  const { exports, put, alloc, memory } = loaded;
  const s = openSession(loaded);
  const heap = alloc(1 << 20);
  assert.equal(exports.interpreter_bytes(s), 0);
  assert.equal(exports.interpreter_run(s, 0, heap, 1 << 20), Status.INVALID_ARGUMENT);
  exports.session_push(s, put(Int32Array.of(1, 2, 3)), 3);
  const batch = nextBatch(loaded, s);
  assert.equal(exports.interpreter_run(s, 0, heap, exports.interpreter_bytes(s) - 1), Status.NEED_MEMORY);
  assert.equal(exports.interpreter_run(s, 0, 0, 1 << 20), Status.INVALID_ARGUMENT);
  assert.ok(Number.isNaN(new Float32Array(memory.buffer, batch.outputs, 1)[0]), 'a row starts with NaN until it is written');
  assert.equal(exports.interpreter_run(s, 0, heap, exports.interpreter_bytes(s)), Status.OK);
  assert.ok(Number.isFinite(new Float32Array(memory.buffer, batch.outputs, 1)[0]));
});

test('embeddings can be computed only while their rows are pending', async () => {
  const loaded = await load('qwen3-f32');
  const { exports, put, alloc, memory } = loaded;
  const s = openSession(loaded);
  const ids = put(Int32Array.of(5, 6, 7));
  const n = 40; // three batches of at most 16
  exports.session_push(s, ids, 2);
  const info = nextBatch(loaded, s);
  exports.session_drop_batch(s);
  const rows = put(Float32Array.from({ length: n * info.n_embd }, (_, i) => Math.sin(i)));
  const run = () => {
    const bytes = exports.interpreter_bytes(s);
    return exports.interpreter_run(s, 0, alloc(bytes), bytes);
  };
  exports.session_push(s, ids, 2);
  assert.equal(exports.session_push_embeddings(s, rows, 0, n), Status.OK);
  let last;
  for (let batch; (batch = nextBatch(loaded, s)) !== undefined; last = batch) {
    assert.equal(run(), Status.OK);
    exports.session_accept_batch(s);
  }
  const row = [...new Float32Array(memory.buffer, last.outputs, last.n_width)];
  assert.ok(row.every(Number.isFinite) && new Set(row).size > 100);
  exports.session_push(s, ids, 1);
  assert.notEqual(nextBatch(loaded, s), undefined);
  assert.equal(run(), Status.INVALID_ARGUMENT, 'the rows belong to the caller again');
});
