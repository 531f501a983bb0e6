// SPDX-License-Identifier: Apache-2.0
// ceilings.mjs: the limits of this machine, measured in the page's own JavaScript engine with several threads
// at once: GB/s of reading memory, and GMAC/s of the dot products that the kernels use. The loops are small
// modules, written by hand.
//
// checkkern's own ceilings don't serve here: they have one form of the relaxed dot, and the kernels use the
// faster of two. Their operands don't change in the loop, so a compiler may multiply once.

const leb = (n) => (n < 128 ? [n] : [(n & 127) | 128, ...leb(n >> 7)]);
const get = (local) => [0x20, local],
  set = (local) => [0x21, local],
  simd = (op) => [0xfd, ...leb(op)];
const load = (local, offset) => [...get(local), ...simd(0), 4, ...leb(offset)];
const XOR = 0x51,
  I16_ADD = 0x8e,
  I32_ADD = 0xae,
  I16_DOT = 0xba,
  RELAXED_16 = 0x112,
  RELAXED_32 = 0x113;

/**
 * A module with f(i32, i32) -> i32 over the memory e.m. Locals from 2 on are `n` vectors, which are joined at
 * the end.
 */
function moduleOf(n, code) {
  const joined = Array.from({ length: n }, (_, i) => [...get(2 + i), ...(i > 0 ? simd(XOR) : [])]).flat();
  const body = [1, n, 0x7b, ...code, ...joined, ...simd(0x1b), 0, 0x0b];
  const entry = [1, ...leb(body.length), ...body];
  // prettier-ignore
  return new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    1, 7, 1, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, // type (i32, i32) -> i32
    2, 8, 1, 1, 0x65, 1, 0x6d, 2, 0, 1, // memory e.m
    3, 2, 1, 0, 7, 5, 1, 1, 0x66, 0, 0, // one function, exported as f
    10, ...leb(entry.length), ...entry,
  ]);
}

/**
 * f(at, end): reads the range in one stream, 128 bytes per round into four sums. Two to eight streams are
 * within 8 % (EPYC).
 */
// prettier-ignore
const READ = moduleOf(4, [
  0x03, 0x40,
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((i) => [
    ...get(2 + (i & 3)), ...load(0, i * 16), ...simd(XOR), ...set(2 + (i & 3)),
  ]),
  ...get(0), 0x41, 0x80, 1, 0x6a, 0x22, 0, ...get(1), 0x49, 0x0d, 0, 0x0b, // at += 128; again while at < end
]);

/**
 * f(rounds, 0): a tile of two loaded vectors and four kept ones: eight dots per round into eight sums; 14
 * registers.
 */
// prettier-ignore
const dotsOf = (accumulate) => moduleOf(14, [
  ...[0, 1, 2, 3].flatMap((i) => [...load(1, 64 + i * 16), ...set(4 + i)]),
  // Another address each round: nothing leaves the loop.
  0x03, 0x40, ...get(0), 0x41, 63, 0x71, 0x41, 4, 0x74, ...set(1),
  ...load(1, 0), ...set(2), ...load(1, 16), ...set(3),
  ...[0, 1, 2, 3, 4, 5, 6, 7].flatMap((i) => [
    ...accumulate(2 + (i & 1), 4 + (i >> 1), 8 + i), ...set(8 + i),
  ]),
  ...get(0), 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b,
]);
const DOTS = {
  relaxed32: {
    macs: 16,
    module: dotsOf((a, b, sum) => [...get(a), ...get(b), ...get(sum), ...simd(RELAXED_32)]),
  },
  relaxed16: {
    macs: 16,
    module: dotsOf((a, b, sum) => [...get(sum), ...get(a), ...get(b), ...simd(RELAXED_16), ...simd(I16_ADD)]),
  },
  i16: {
    macs: 8,
    module: dotsOf((a, b, sum) => [...get(sum), ...get(a), ...get(b), ...simd(I16_DOT), ...simd(I32_ADD)]),
  },
};

/**
 * The worker's source: { module, pages } instantiates f, { a, b, times } runs it and posts when it started
 * and ended.
 */
function work() {
  let f;
  const now = () => performance.timeOrigin + performance.now(); // one clock for all workers
  globalThis.onmessage = async ({ data: { module, pages, a, b, times } }) => {
    if (module) {
      const memory = new WebAssembly.Memory({ initial: pages });
      new Uint8Array(memory.buffer).fill(3); // untouched pages all map to one page of zeros
      f = (await WebAssembly.instantiate(module, { e: { m: memory } })).instance.exports.f;
      return postMessage(true);
    }
    const begin = now();
    for (let i = 0; i < times; i++) f(a, b);
    postMessage({ begin, end: now() });
  };
}

/** 256 MB in all, more than most caches; the best of five passes counts. */
const BYTES = 256 << 20,
  PASSES = 5;

/**
 * { threads, readGBs, dot: { i16, relaxed32?, relaxed16?, relaxed? } } of `threads` workers; `relaxed` is the
 * faster form.
 */
export async function ceilings(threads) {
  const source = URL.createObjectURL(new Blob([`(${work})()`], { type: 'text/javascript' }));
  const workers = Array.from({ length: threads }, () => new Worker(source));
  const all = (message) =>
    Promise.all(
      workers.map(
        (worker) =>
          new Promise((resolve, reject) => {
            worker.onmessage = ({ data }) => resolve(data);
            worker.onerror = (event) => reject(new Error(event.message));
            worker.postMessage(message);
          }),
      ),
    );
  /** Minimum milliseconds from the first worker's start to the last worker's end. */
  const fastest = async (call) => {
    let least = Infinity;
    for (let pass = 0; pass < PASSES; pass++) {
      const times = await all(call);
      least = Math.min(
        least,
        Math.max(...times.map(({ end }) => end)) - Math.min(...times.map(({ begin }) => begin)),
      );
    }
    return least;
  };
  try {
    // Calls take 40 ms and more: workers don't start at the same moment. Short calls before let the compiler
    // optimise.
    const bytes = Math.floor(BYTES / threads / 65536) * 65536,
      times = 4 * threads;
    await all({ module: READ, pages: bytes >> 16 });
    await all({ a: 0, b: 65536, times: 3000 });
    const readGBs = (bytes * threads * times) / (await fastest({ a: 0, b: bytes, times })) / 1e6;
    const dot = {},
      rounds = 1 << 20;
    for (const [name, { macs, module }] of Object.entries(DOTS)) {
      if (!WebAssembly.validate(module)) continue;
      await all({ module, pages: 1 });
      await all({ a: 1000, b: 0, times: 3000 });
      dot[name] = (rounds * 8 * macs * 16 * threads) / (await fastest({ a: rounds, b: 0, times: 16 })) / 1e6;
    }
    if (dot.relaxed32) dot.relaxed = Math.max(dot.relaxed32, dot.relaxed16);
    return { threads, readGBs, dot };
  } finally {
    for (const worker of workers) worker.terminate();
    URL.revokeObjectURL(source);
  }
}
