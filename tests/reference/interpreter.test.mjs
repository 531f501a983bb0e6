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
const module = await WebAssembly.compile(
  await readFile(new URL('../../build/test/interpreter.wasm', import.meta.url)),
);

/** Loads a fixture into a new memory. Returns exports, a bump allocator, and access to structs by name. */
async function load(name) {
  const memory = new WebAssembly.Memory({ initial: 512, maximum: 4096, shared: true });
  const { sin, cos, exp, log, pow } = Math;
  const { exports } = new WebAssembly.Instance(module, {
    env: { memory, sin, cos, exp, log, pow, now: () => performance.now() },
  });
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
    Object.fromEntries(
      Object.entries(layout.fields).map(([key, { offset, type }]) => [
        key,
        view()[type === 'i32' ? 'getInt32' : 'getFloat64'](at + offset, true),
      ]),
    );
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
  const config = alloc(abi.configLayout.size),
    info = alloc(abi.planInfoLayout.size);
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

/** Provides the pages that the last call for session `s` needs. */
function giveWanted({ exports, m, alloc, read }, s) {
  const state = alloc(abi.sessionStateLayout.size);
  exports.session_get_state(s, state);
  const bytes = read(state, abi.sessionStateLayout).wanted_bytes;
  assert.equal(exports.model_give(m, alloc(bytes), bytes), Status.OK);
}

/** Returns the next batch and provides the pages that it needs; undefined when nothing is pending. */
function nextBatch(loaded, s) {
  const { exports, alloc, read } = loaded;
  const out = alloc(abi.batchInfoLayout.size);
  for (;;) {
    const status = exports.session_next_batch(s, out);
    if (status === Status.OK) return read(out, abi.batchInfoLayout);
    if (status === Status.DONE) return undefined;
    assert.equal(status, Status.NEED_MEMORY);
    giveWanted(loaded, s);
  }
}

/** Computes the pending batch with a new heap. `kept` is the address of the session's caches. */
function run({ exports, alloc, memory }, s, kept, flags = 0) {
  const bytes = exports.interpreter_bytes(s),
    heap = alloc(bytes + 64);
  new Uint8Array(memory.buffer).fill(0xa5, heap + bytes, heap + bytes + 64);
  const status = exports.interpreter_run(s, flags, heap, bytes, kept);
  assert.ok(
    new Uint8Array(memory.buffer, heap + bytes, 64).every((x) => x === 0xa5),
    'the run wrote beyond the heap',
  );
  return status;
}

/** Allocates a session's caches for `positions` positions. */
const keep = ({ exports, alloc }, s, positions) => alloc(positions * exports.interpreter_kept_bytes(s));

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
    const { exports, memory, put } = loaded;
    const golden = await readGolden(name);
    for (const prompt of golden.prompts) {
      const s = openSession(loaded),
        kept = keep(loaded, s, prompt.sequence.length);
      exports.session_outputs(s, abi.Output.ALL);
      assert.equal(
        exports.session_push(s, put(Int32Array.from(prompt.sequence)), prompt.sequence.length),
        Status.OK,
      );
      const rows = [];
      for (let batch; (batch = nextBatch(loaded, s)) !== undefined;) {
        assert.equal(run(loaded, s, kept, REFERENCE_GELU_F16), Status.OK);
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
      assert.ok(
        sum.power > 0 && sum.error <= (name.startsWith('gemma') ? 5e-9 : 1e-10) * sum.power,
        `NMSE ${sum.error / sum.power}`,
      );
      exports.session_close(s);
    }
  });
}

/**
 * Evaluates `ids`, `cut` ids at a time. Returns the session, its caches, all output rows, and each run's
 * multiply-adds.
 */
function evaluate(loaded, ids, cut) {
  const { exports, memory, put } = loaded;
  const s = openSession(loaded),
    kept = keep(loaded, s, ids.length);
  const rows = [],
    works = [];
  exports.session_outputs(s, abi.Output.ALL);
  for (let at = 0; at < ids.length; at += cut) {
    const piece = Int32Array.from(ids.slice(at, at + cut));
    assert.equal(exports.session_push(s, put(piece), piece.length), Status.OK);
    for (let batch; (batch = nextBatch(loaded, s)) !== undefined;) {
      assert.equal(run(loaded, s, kept), Status.OK);
      works.push(exports.interpreter_work());
      assert.equal(exports.session_accept_batch(s), Status.OK);
      for (let r = 0; r < batch.n_outputs; r++) {
        const at = exports.session_logits(s, r);
        rows.push([...new Float32Array(memory.buffer, at, batch.n_width)]);
      }
    }
  }
  return { s, kept, rows, works };
}

for (const name of ['f32-mha', 'gemma3-f32']) {
  test(`${name}: a batch continues with its session's caches: same bits for any cut, and no token is computed twice`, async () => {
    const loaded = await load(name);
    const ids = (await readGolden(name)).prompts
      .map(({ sequence }) => sequence)
      .reduce((a, b) => (a.length > b.length ? a : b));
    const whole = evaluate(loaded, ids, ids.length),
      single = evaluate(loaded, ids, 1);
    assert.ok(ids.length > 16 && single.works.length === ids.length);
    assert.deepEqual(single.rows, whole.rows);
    const sum = (works) => works.reduce((a, b) => a + b);
    assert.equal(sum(single.works), sum(whole.works));
  });
}

test('a fork with a copy of the caches gives the bits of its origin', async () => {
  const loaded = await load('qwen3-f32');
  const { exports, memory, m, put, alloc } = loaded;
  const [{ sequence }] = (await readGolden('qwen3-f32')).prompts;
  const { s, kept } = evaluate(loaded, sequence.slice(0, -3), 16);
  const bytes = exports.session_bytes(m),
    block = alloc(bytes);
  let fork = exports.session_fork(s, block, bytes);
  if (fork === -Status.NEED_MEMORY) {
    giveWanted(loaded, s);
    fork = exports.session_fork(s, block, bytes);
  }
  assert.equal(fork, block);
  const copy = keep(loaded, s, sequence.length),
    origin = keep(loaded, s, sequence.length);
  for (const to of [copy, origin])
    new Uint8Array(memory.buffer).copyWithin(
      to,
      kept,
      kept + (sequence.length - 3) * exports.interpreter_kept_bytes(s),
    );
  const answers = [
    [s, origin],
    [fork, copy],
  ].map(([session, caches]) => {
    exports.session_push(session, put(Int32Array.from(sequence.slice(-3))), 3);
    const batch = nextBatch(loaded, session);
    assert.equal(run(loaded, session, caches), Status.OK);
    assert.equal(exports.session_accept_batch(session), Status.OK);
    const at = exports.session_logits(session, batch.n_outputs - 1);
    return [...new Float32Array(memory.buffer, at, batch.n_width)];
  });
  assert.deepEqual(answers[1], answers[0]);
});

test('a run without a batch, without caches or with a heap that is too small computes nothing', async () => {
  const loaded = await load('f32-mha');
  const { exports, put, alloc, memory } = loaded;
  const s = openSession(loaded);
  const heap = alloc(1 << 20),
    kept = keep(loaded, s, 3);
  assert.equal(exports.interpreter_bytes(s), 0);
  assert.equal(exports.interpreter_run(s, 0, heap, 1 << 20, kept), Status.INVALID_ARGUMENT);
  exports.session_push(s, put(Int32Array.of(1, 2, 3)), 3);
  const batch = nextBatch(loaded, s);
  assert.equal(
    exports.interpreter_run(s, 0, heap, exports.interpreter_bytes(s) - 1, kept),
    Status.NEED_MEMORY,
  );
  assert.equal(exports.interpreter_run(s, 0, 0, 1 << 20, kept), Status.INVALID_ARGUMENT);
  assert.equal(exports.interpreter_run(s, 0, heap, 1 << 20, 0), Status.INVALID_ARGUMENT, 'no caches');
  assert.ok(
    Number.isNaN(new Float32Array(memory.buffer, batch.outputs, 1)[0]),
    'a row starts with NaN until it is written',
  );
  assert.equal(exports.interpreter_run(s, 0, heap, exports.interpreter_bytes(s), kept), Status.OK);
  assert.ok(Number.isFinite(new Float32Array(memory.buffer, batch.outputs, 1)[0]));
});

test('later tokens need the caches of embeddings, and not their rows', async () => {
  const loaded = await load('qwen3-f32');
  const { exports, put, memory } = loaded;
  const s = openSession(loaded);
  const ids = put(Int32Array.of(5, 6, 7));
  const n = 40; // three batches of at most 16
  exports.session_push(s, ids, 2);
  const info = nextBatch(loaded, s);
  exports.session_drop_batch(s);
  const rows = put(Float32Array.from({ length: n * info.n_embd }, (_, i) => Math.sin(i)));
  const kept = keep(loaded, s, 2 + n + 1);
  exports.session_push(s, ids, 2);
  assert.equal(exports.session_push_embeddings(s, rows, 0, n), Status.OK);
  let last;
  for (let batch; (batch = nextBatch(loaded, s)) !== undefined; last = batch) {
    assert.equal(run(loaded, s, kept), Status.OK);
    exports.session_accept_batch(s);
  }
  const row = [...new Float32Array(memory.buffer, last.outputs, last.n_width)];
  assert.ok(row.every(Number.isFinite) && new Set(row).size > 100);
  new Float32Array(memory.buffer, rows, n * info.n_embd).fill(NaN); // the rows belong to the caller again
  exports.session_push(s, ids, 1);
  const { outputs, n_width } = nextBatch(loaded, s);
  assert.equal(run(loaded, s, kept), Status.OK);
  const behind = [...new Float32Array(memory.buffer, outputs, n_width)];
  assert.ok(behind.every(Number.isFinite) && new Set(behind).size > 100);
});

test('the numbers of draws ahead are those that the draws use', async () => {
  const loaded = await load('f32-mha');
  const { exports, put } = loaded;
  const s = openSession(loaded);
  exports.session_seed(s, 5);
  const ahead = Array.from({ length: 8 }, (_, i) => exports.session_random(s, i));
  assert.equal(new Set(ahead).size, 8);
  assert.ok(ahead.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2 ** 32)));
  assert.equal(exports.session_push(s, put(Int32Array.of(3, 4)), 2), Status.OK);
  assert.equal(nextBatch(loaded, s).random, ahead[0]);
  assert.equal(exports.session_drop_batch(s), Status.OK);
  for (let i = 0; i < 8; i++) {
    assert.equal(exports.session_random(s, 0), ahead[i]);
    assert.equal(exports.session_accept_token(s, 3), Status.OK);
  }
  assert.equal(exports.session_random(s, -1), -1);
  assert.equal(exports.session_random(0, 0), -1);
});
