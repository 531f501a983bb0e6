// SPDX-License-Identifier: Apache-2.0
// rows.test.mjs: the kernels of rows.ts against src/program/ops.def in float64, with all that the adapter
// offers and with nothing.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

// A rounding to f32 adds a relative error of at most EPS.
const EPS = 2 ** -24;
const plain = { without: ['subgroups', 'packedDot', 'immediates'] };
const skip = missing() || false;
let room, gpu, benches;
before(async () => {
  if (skip) return;
  room = await load('device', 'pipelines', 'rows');
  gpu = await openGpu();
  benches = [await bench(room, gpu), await bench(room, gpu, plain)];
});
after(() => benches?.forEach(({ device }) => device.destroy()));

/** Runs `check` on each device. */
function onEach(name, check) {
  test(name, { skip }, async () => {
    for (const b of benches) await check(b);
  });
}

let seed = 1;
function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
}
const floats = (n, scale = 1) => Float32Array.from({ length: n }, () => scale * random());

/** A slot of `rows` rows; what is behind a row's `width` elements is 777. */
function slotOf(device, rows, width, data, stride = Math.ceil(width / 4) * 4 + 4) {
  const all = new Float32Array(rows * stride).fill(777);
  for (let r = 0; r < rows && data; r++) all.set(data.subarray(r * width, (r + 1) * width), r * stride);
  return { view: { buffer: upload(device, all) }, width, stride };
}

/** The rows of a slot, without what is behind them. That must be as it was. */
async function rowsOf(device, { view, width, stride }, rows) {
  const all = new Float32Array(await download(device, view.buffer));
  const out = new Float32Array(rows * width);
  for (let i = 0; i < all.length; i++) {
    const r = Math.floor(i / stride);
    if (r < rows && i % stride < width) out[r * width + (i % stride)] = all[i];
    else if (i % stride >= width) assert.equal(all[i], 777, `element ${i} isn't the op's`);
  }
  return out;
}

/** Each |got - want| is at most `bound(i)`. */
function close(got, want, bound, what) {
  assert.equal(got.length, want.length);
  for (let i = 0; i < want.length; i++) {
    const error = Math.abs(got[i] - want[i]);
    assert.ok(error <= bound(i), `${what}: element ${i} is ${got[i]}, not ${want[i]}`);
    compared(error, bound(i));
  }
}

// 0.5 (1 + tanh z) = 1 / (1 + exp(-2 z)), which float64 can hold where it is small.
const gelu = (x) => x / (1 + Math.exp(-2 * 0.79788456080286536 * (x + 0.044715 * x * x * x)));
const activations = {
  1: (x) => x / (1 + Math.exp(-x)),
  2: gelu,
  3: (x) => Math.max(x, 0),
  4: (x) => Math.max(x, 0) ** 2,
  5: (x) => 1 / (1 + Math.exp(-x)),
};
// WGSL: exp(z) is right to 3 + 2|z| units of its last place (2 EPS each), z itself to 4 EPS |z| (GELU's
// polynomial), a division to 2.5 units. So logistic(z) has a relative error of at most (6|z| + 6 + 4|z| + 8)
// EPS where its exp counts. |z| is at most 80 at work, because beyond it the result is below 1e-33.
const activationBound = (x, kind) => {
  const z = kind === 3 ? 0 : kind === 1 || kind === 5 ? Math.abs(x) : 1.6 * Math.abs(x + 0.044715 * x ** 3);
  return (10 * Math.min(z, 80) + 14) * EPS * Math.abs(activations[kind](x)) + 1e-30;
};
// Values where exp overflows, and ordinary ones.
const hard = [0, -0, 1e-20, 60, -60, 100, -100, 1000, -1000, 3e4, -3e4, 0.5, -0.5, 5, -5, 11, -11];
const withHard = (n, scale) => {
  const x = floats(n, scale);
  x.set(hard.slice(0, n));
  return x;
};

onEach('norm is ops.def, for tokens and for output rows, with a gather', async ({ device, ...b }) => {
  for (const [width, weighted, gathered, scale] of [
    [7, true, false, 1],
    [64, false, false, 1e-3],
    [960, true, true, 100],
    [2050, true, false, 1],
  ]) {
    const [n, eps] = [5, 1e-5];
    const x = floats(n * width, scale);
    const vectors = floats(width + 3);
    const rows = new Uint32Array([3, 1, 4]);
    const nOutputs = rows.length;
    const nOut = gathered ? nOutputs : n;
    const out = slotOf(device, n, width);
    const dispatch = b.norm({
      label: 'norm',
      input: slotOf(device, n, width, x),
      out,
      width,
      eps,
      weight: weighted ? { offset: 3, length: width } : undefined,
      vectors: { buffer: upload(device, vectors) },
      gather: gathered ? { buffer: upload(device, rows) } : undefined,
      rowsOf: gathered ? 'output' : 'batch',
    });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs });
    const want = [];
    for (let t = 0; t < nOut; t++) {
      const from = gathered ? rows[t] : t;
      const row = Array.from(x.subarray(from * width, (from + 1) * width));
      const s = 1 / Math.sqrt(row.reduce((sum, z) => sum + z * z, 0) / width + Math.fround(eps));
      want.push(...row.map((z, i) => z * s * (weighted ? vectors[3 + i] : 1)));
    }
    // A sum of n positive terms in trees and strides: n roundings at most; the square root halves them;
    // then 1 / sqrt (4 units) and two products.
    const bound = (i) => (width / 2 + 16) * EPS * Math.abs(want[i]);
    close((await rowsOf(device, out, n)).subarray(0, nOut * width), want, bound, `norm ${width}`);
  }
});

onEach('layer_norm is ops.def', async ({ device, ...b }) => {
  for (const [width, weighted, biased] of [
    [10, true, true],
    [384, true, false],
    [1536, false, true],
  ]) {
    const [n, eps] = [3, 1e-5];
    const x = floats(n * width).map((z) => z + 3);
    const vectors = floats(2 * width);
    const out = slotOf(device, n, width);
    const dispatch = b.layerNorm({
      label: 'layer_norm',
      input: slotOf(device, n, width, x),
      out,
      width,
      eps,
      weight: weighted ? { offset: width, length: width } : undefined,
      bias: biased ? { offset: 0, length: width } : undefined,
      vectors: { buffer: upload(device, vectors) },
    });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
    const [want, bound] = [[], []];
    for (let t = 0; t < n; t++) {
      const row = Array.from(x.subarray(t * width, (t + 1) * width));
      const mean = row.reduce((sum, z) => sum + z, 0) / width;
      const variance = row.reduce((sum, z) => sum + (z - mean) ** 2, 0) / width;
      const s = 1 / Math.sqrt(variance + Math.fround(eps));
      // The mean is wrong by (width + 3) EPS mean|x|, each difference and the result by that times s.
      const off = (width + 3) * EPS * row.reduce((sum, z) => sum + Math.abs(z), 0) * (s / width);
      row.forEach((z, i) => {
        const w = weighted ? vectors[width + i] : 1;
        want.push((z - mean) * s * w + (biased ? vectors[i] : 0));
        // off moves the element itself and, through the variance, every element by off * |its value|.
        const size = Math.abs((z - mean) * s * w);
        bound.push(
          off * Math.abs(w) * (1 + size) + (width + 32) * EPS * size + 4 * EPS * Math.abs(want.at(-1)),
        );
      });
    }
    close(await rowsOf(device, out, n), want, (i) => bound[i], `layer_norm ${width}`);
  }
});

onEach('add leaves what is behind the width', async ({ device, ...b }) => {
  for (const [width, rowsOfOp] of [
    [1030, 'batch'],
    [5, 'output'],
  ]) {
    const n = 4;
    const [x, y] = [floats(n * width), floats(n * width)];
    const out = slotOf(device, n, width, y);
    const dispatch = b.add({
      label: 'add',
      input: slotOf(device, n, width, x, Math.ceil(width / 4) * 4),
      out,
      width,
      rowsOf: rowsOfOp,
    });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 9, nOutputs: 2 });
    const nAdded = rowsOfOp === 'output' ? 2 : n;
    const want = y.map((z, i) => (i < nAdded * width ? z + x[i] : z));
    close(await rowsOf(device, out, n), want, () => 0, `add ${width}`);
  }
});

onEach('glu and activate, all activations, where exp overflows too', async ({ device, ...b }) => {
  for (const activation of [1, 2, 3, 4, 5]) {
    const [n, width] = [3, 301];
    const [gate, up] = [withHard(n * width, 8), floats(n * width)];
    const first = activation % 2 ? 12 : 0; // of a wider slot
    const wide = floats(n * (width + first));
    up.forEach((x, i) => (wide[i + (Math.floor(i / width) + 1) * first] = x));
    const [out, own] = [slotOf(device, n, width), slotOf(device, n, width, gate)];
    const dispatches = [
      b.glu({
        label: 'glu',
        gate: slotOf(device, n, width, gate),
        up: slotOf(device, n, width + first, wide),
        out,
        width,
        activation,
        first,
      }),
      b.activate({ label: 'activate', out: own, width, activation }),
    ];
    await runDispatches({ device, ...b }, dispatches, { nTokens: n, firstPosition: 0, nOutputs: 1 });
    const want = Array.from(gate, (x) => activations[activation](x));
    const bound = (i) => activationBound(gate[i], activation);
    close(await rowsOf(device, own, n), want, bound, `activate ${activation}`);
    const product = want.map((x, i) => x * up[i]);
    close(
      await rowsOf(device, out, n),
      product,
      (i) => Math.abs(up[i]) * bound(i) + EPS * Math.abs(product[i]),
      `glu ${activation}`,
    );
  }
});

onEach('the GLU of gpt-oss has bounds for gate and up', async ({ device, ...b }) => {
  const [n, width] = [2, 301];
  const [gate, up] = [withHard(n * width, 8), withHard(n * width, 9).reverse()];
  const slots = { gate: slotOf(device, n, width, gate), up: slotOf(device, n, width, up) };
  const out = slotOf(device, n, width);
  const dispatch = b.glu({ label: 'glu', ...slots, out, width, activation: 6 });
  await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
  const want = Array.from(gate, (g, i) => {
    const x = Math.min(g, 7);
    return (x / (1 + Math.exp(-1.702 * x))) * (Math.min(Math.max(up[i], -7), 7) + 1);
  });
  // As of SiLU with z = 1.702 x, whose factor is rounded; y + 1 loses at most 8 units of the last place.
  const bound = (i) => {
    const x = Math.min(gate[i], 7);
    const size = Math.abs(x / (1 + Math.exp(-1.702 * x)));
    const most = (10 * Math.min(Math.abs(1.702 * x), 80) + 20) * EPS;
    return size * (8 * EPS + most * Math.abs(want[i] / (size || 1))) + most * Math.abs(want[i]) + 1e-29;
  };
  close(await rowsOf(device, out, n), want, bound, 'glu 6');
});

onEach('a GLU without an activation is a product', async ({ device, ...b }) => {
  const [n, width] = [2, 77];
  const [x, y] = [floats(n * width, 3), floats(n * width)];
  const slots = { gate: slotOf(device, n, width, x), up: slotOf(device, n, width, y) };
  const out = slotOf(device, n, width);
  const dispatch = b.glu({ label: 'glu', ...slots, out, width, activation: 7 });
  await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
  const want = Array.from(x, (z, i) => z * y[i]);
  close(await rowsOf(device, out, n), want, (i) => EPS * Math.abs(want[i]), 'glu 7');
});

onEach('softcap', async ({ device, ...b }) => {
  const [n, width, cap] = [2, 77, 30];
  const x = withHard(n * width, 50);
  const out = slotOf(device, n, width, x);
  const dispatch = b.softcap({ label: 'softcap', out, width, cap });
  await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
  const want = Array.from(x, (z) => cap * Math.tanh(z / cap));
  // t = exp(-2|z|) has an absolute error of at most 2 (3 + 2 z) exp(-z) EPS + 3 z exp(-z) EPS < 12 EPS;
  // (1 - t) / (1 + t) moves by at most twice that, and rounds four times.
  close(await rowsOf(device, out, n), want, () => 30 * EPS * cap, 'softcap');
});

onEach('add_row', async ({ device, ...b }) => {
  const [n, width, first] = [3, 77, 2];
  const x = withHard(n * width, 4);
  const table = floats(6 * width);
  const vectors = { buffer: upload(device, Float32Array.of(9, ...table)) };
  const weight = { offset: 1, length: table.length };
  const positions = { buffer: upload(device, Uint32Array.of(1, 0, 5)) };
  for (const [row, own] of [[undefined], [4], [undefined, [1, 0, 5]]]) {
    const out = slotOf(device, n, width, x);
    const dispatch = b.map({
      label: 'add_row',
      kind: 'add_row',
      out,
      width,
      numbers: [],
      row,
      weight,
      vectors,
      positions: own && positions,
    });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: first, nOutputs: 1 });
    const position = (t) => own?.[t] ?? first + t;
    const of = (i) => table[(row ?? position(Math.floor(i / width))) * width + (i % width)];
    // one sum
    const want = Array.from(x, (z, i) => z + of(i));
    close(await rowsOf(device, out, n), want, (i) => EPS * Math.abs(want[i]), `row ${row}`);
  }
});

onEach('scale, log_scale, clamp and xielu', async ({ device, ...b }) => {
  const [n, width] = [3, 77];
  const x = withHard(n * width, 4);
  const row = (i) => Math.floor(i / width);
  const vectors = { buffer: upload(device, Float32Array.of(9, 1.75, 9)) };
  const check = async (options, wanted, bound) => {
    const out = slotOf(device, n, width, x);
    const dispatch = b.map({ label: options.kind, out, width, vectors, ...options });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 31, nOutputs: 1 });
    close(await rowsOf(device, out, n), Array.from(x, wanted), bound, options.kind);
  };
  // Two or three roundings of a product.
  const of = (factor) => (z) => z * Math.fround(factor);
  const weight = { offset: 1, length: 1 };
  await check({ kind: 'scale', numbers: [0.3] }, of(0.3), (i) => 2 * EPS * Math.abs(x[i]));
  await check(
    { kind: 'scale', numbers: [0.3], weight },
    (z) => of(0.3)(z) * 1.75,
    (i) => 3 * EPS * Math.abs(x[i]),
  );
  const each = floats(width);
  await check(
    {
      kind: 'scale',
      numbers: [0.3],
      weight: { offset: 0, length: width },
      isEach: true,
      vectors: { buffer: upload(device, each) },
    },
    (z, i) => of(0.3)(z) * each[i % width],
    (i) => 3 * EPS * Math.abs(x[i]),
  );
  await check(
    { kind: 'clamp', numbers: [1.5] },
    (z) => Math.min(Math.max(z, -1.5), 1.5),
    () => 0,
  );

  // Positions 31, 32 and 33 are 15, 16 and 16 periods. WGSL: log is right to 3 units of its last place (2 EPS
  // each) outside [0.5, 2]. The product, the sum and the product with x round once each.
  const factor = (i) => 1 + Math.fround(0.4) * Math.log(1 + Math.floor((31 + row(i)) / 2));
  await check(
    { kind: 'log_scale', numbers: [0.4], period: 2 },
    (z, i) => z * factor(i),
    (i) => Math.abs(x[i]) * factor(i) * 10 * EPS,
  );

  // exp(z) is right to 3 + 2|z| units of its last place; five operations round numbers of at most `large`.
  const [alphaN, alphaP, beta, eps] = [0.75, 1.25, 0.5, -1e-6];
  const below = (z) => alphaN * (Math.exp(Math.min(z, eps)) - 1 - z);
  await check(
    { kind: 'xielu', numbers: [alphaN, alphaP, beta, eps] },
    (z) => (z > 0 ? alphaP * z * z : below(z)) + beta * z,
    (i) => {
      const z = Math.abs(x[i]);
      const large = (1 + z) * (1 + alphaP * z);
      return 2 * EPS * (3 + 2 * z) * Math.exp(Math.min(x[i], 0)) + 6 * EPS * large;
    },
  );
});

onEach('softplus', async ({ device, ...b }) => {
  const [n, width] = [3, 77];
  const x = withHard(n * width, 4);
  const vectors = floats(width + 3);
  const out = slotOf(device, n, width, x);
  const weight = { offset: 3, length: width };
  const place = { out, width, weight, vectors: { buffer: upload(device, vectors) } };
  const dispatch = b.map({ label: 'softplus', kind: 'softplus', numbers: [], ...place });
  await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
  const z = Array.from(x, (x, i) => x + vectors[3 + (i % width)]);
  const want = z.map((z) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))));
  // exp is right to 3 + 2 |z| units of what is below 1, 1 + exp rounds, log has an error of 2^-21 near 1.
  close(await rowsOf(device, out, n), want, (i) => 2 ** -21 + 30 * EPS * (1 + Math.abs(z[i])), 'softplus');
});

onEach('head_norm', async ({ device, ...b }) => {
  for (const [nHead, headDim, weighted, isEach, isCentred] of [
    [3, 96, true, false, false],
    [2, 80, false, false, false],
    [4, 16, true, true, false],
    [3, 72, true, true, true],
  ]) {
    const [n, eps, width] = [3, 1e-6, nHead * headDim];
    const [x, vectors] = [floats(n * width), floats(width + 5)];
    const out = slotOf(device, n, width, x);
    const dispatch = b.headNorm({
      label: 'head_norm',
      out,
      nHead,
      headDim,
      eps,
      weight: weighted ? { offset: 5, length: isEach ? width : headDim } : undefined,
      isEach,
      isCentred,
      vectors: { buffer: upload(device, vectors) },
    });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
    const want = Array.from(x, (z, i) => {
      const head = Array.from(x.subarray(i - (i % headDim), i - (i % headDim) + headDim));
      const mean = isCentred ? head.reduce((sum, h) => sum + h, 0) / headDim : 0;
      const s = 1 / Math.sqrt(head.reduce((sum, h) => sum + (h - mean) ** 2, 0) / headDim + Math.fround(eps));
      return (z - mean) * s * (weighted ? vectors[5 + (i % (isEach ? width : headDim))] : 1);
    });
    // The mean of numbers of [-1, 1] is right to headDim / 2 roundings of 1; 1 / deviation is below 2.
    const ofMean = isCentred ? headDim * EPS : 0;
    const bound = (i) => (headDim / 2 + 16) * EPS * Math.abs(want[i]) + ofMean;
    close(await rowsOf(device, out, n), want, bound, `head_norm ${headDim}`);
  }
});

onEach('head_norm and the GLU behind it', async ({ device, ...b }) => {
  const [n, nHead, headDim, eps] = [3, 4, 24, 1e-6];
  const width = nHead * headDim;
  const [x, z, vectors] = [floats(n * width), floats(n * width, 3), floats(headDim)];
  const out = slotOf(device, n, width, x);
  const dispatch = b.headNorm({
    label: 'head_norm+glu',
    out,
    nHead,
    headDim,
    eps,
    weight: { offset: 0, length: headDim },
    vectors: { buffer: upload(device, vectors) },
    glu: { gate: slotOf(device, n, width, z, width + 12), activation: 1 },
  });
  await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
  const want = Array.from(x, (y, i) => {
    const head = Array.from(x.subarray(i - (i % headDim), i - (i % headDim) + headDim));
    const s = 1 / Math.sqrt(head.reduce((sum, h) => sum + h * h, 0) / headDim + Math.fround(eps));
    return y * s * vectors[i % headDim] * activations[1](z[i]);
  });
  const bound = (i) => (headDim / 2 + 16 + 10 * Math.abs(z[i]) + 14) * EPS * Math.abs(want[i]);
  close(await rowsOf(device, out, n), want, bound, 'head_norm+glu');
});

onEach('rope turns pairs of both styles and leaves the rest', async ({ device, ...b }) => {
  for (const [nHead, headDim, nRot, first, style] of [
    [3, 64, 64, 0, 0],
    [2, 80, 32, 0, 1],
    [5, 96, 64, 32, 0],
    [1, 24, 16, 8, 1],
  ]) {
    const [n, width] = [4, nHead * headDim];
    const half = nRot / 2;
    const angles = Float32Array.from({ length: n * nRot }, (_, i) =>
      i % 2 ? Math.sin(i * 1.7) : Math.cos((i + 1) * 1.7),
    );
    const x = floats(n * width);
    const out = slotOf(device, n, width, x);
    const dispatch = b.rope({
      label: 'rope',
      angles: slotOf(device, n, nRot, angles),
      out,
      nHead,
      headDim,
      nRot,
      first,
      style,
    });
    await runDispatches({ device, ...b }, [dispatch], { nTokens: n, firstPosition: 0, nOutputs: 1 });
    const want = Float64Array.from(x);
    for (let t = 0; t < n; t++)
      for (let h = 0; h < nHead; h++)
        for (let i = 0; i < half; i++) {
          const at = t * width + h * headDim + first;
          const [a, c] = style === 0 ? [at + 2 * i, at + 2 * i + 1] : [at + i, at + i + half];
          const [cos, sin] = angles.subarray(t * nRot + 2 * i);
          want[a] = x[a] * cos - x[c] * sin;
          want[c] = x[a] * sin + x[c] * cos;
        }
    // Two products and a sum of magnitude at most 2.
    close(await rowsOf(device, out, n), want, () => 6 * EPS, `rope ${headDim} ${style}`);
  }
});

for (const kind of ['', 'with a bias and an activation ', 'between two tokens '])
  onEach(`short_conv ${kind}continues at its state, in batches of any size`, async ({ device, ...b }) => {
    const [hasBias, isLerp] = [/bias/.test(kind), /between/.test(kind)];
    const [width, kernel, total] = [70, isLerp ? 2 : 4, 11];
    const x = floats(total * width);
    const vectors = floats(width * kernel + 2 + width);
    const bias = hasBias ? { offset: 2 + width * kernel, length: width } : undefined;
    // Three states; the batches use them in turns. Garbage at first: a sequence starts with zeros.
    const stateFloats = (kernel - 1) * width;
    const states = { buffer: upload(device, new Float32Array(3 * stateFloats).fill(99)) };
    const got = new Float32Array(total * width);
    let position = 0;
    let state = 2;
    for (const n of [1, 2, 5, 3]) {
      const out = slotOf(device, n, width);
      const next = (state + 1) % 3;
      const dispatch = b.shortConv({
        label: 'short_conv',
        input: slotOf(device, n, width, x.subarray(position * width)),
        out,
        width,
        kernel,
        weight: { offset: 2, length: width * kernel },
        bias,
        isLerp,
        activation: hasBias ? 1 : undefined,
        vectors: { buffer: upload(device, vectors) },
        states,
        pages: { buffer: upload(device, new Uint32Array([7, state, next])) },
        table: 1,
      });
      await runDispatches({ device, ...b }, [dispatch], {
        nTokens: n,
        firstPosition: position,
        nOutputs: 1,
      });
      got.set(await rowsOf(device, out, n), position * width);
      [position, state] = [position + n, next];
    }
    const weightOf = (c, j) =>
      isLerp ? (j === 0 ? vectors[2 + c] : 1 - vectors[2 + c]) : vectors[2 + c * kernel + j];
    const sums = Array.from(x, (_, at) => {
      const [t, c] = [Math.floor(at / width), at % width];
      let sum = bias ? vectors[bias.offset + c] : 0;
      for (let j = 0; j < kernel; j++)
        if (t - kernel + 1 + j >= 0) sum += weightOf(c, j) * x[(t - kernel + 1 + j) * width + c];
      return sum;
    });
    const want = sums.map((sum) => (hasBias ? activations[1](sum) : sum));
    // SiLU's slope is at most 1.1.
    const bound = (i) =>
      2.2 * (kernel + 1) * (kernel + 1) * EPS + (hasBias ? activationBound(sums[i], 1) : 0);
    close(got, want, bound, 'short_conv');
  });

onEach('probe_subgroup finds subgroups of a size that the adapter names', async ({ device, ...b }) => {
  if (!b.features.subgroups) return;
  const threads = 64;
  const out = upload(device, new Float32Array(threads).fill(777));
  const probe = {
    kernel: 'probe_subgroup',
    label: 'probe',
    overrides: { THREADS: threads },
    params: [],
    buffers: [{ buffer: out }],
    groups: () => [1, 1, 1],
  };
  await runDispatches({ device, ...b }, [probe], { nTokens: 1, firstPosition: 0, nOutputs: 1 });
  const { subgroupMin, subgroupMax } = b.features;
  for (const size of new Float32Array(await download(device, out))) {
    assert.ok(size >= subgroupMin && size <= subgroupMax && Number.isInteger(Math.log2(size)), `${size}`);
    compared();
  }
});

onEach('join puts parts of heads behind each other', async ({ device, ...b }) => {
  for (const [nHead, widths, firsts, steps] of [
    [3, [20, 9], [2, 31], [33, 0]],
    [5, [16, 8], [0, 16], [16, 24]],
    [7, [12, 0], [5, 0], [20, 0]],
  ]) {
    const n = 3;
    const size = (i) => firsts[i] + (nHead - 1) * steps[i] + widths[i] + 2;
    const data = [floats(n * size(0)), floats(n * size(1))];
    const inputs = data.map((x, i) => slotOf(device, n, size(i), x));
    const width = widths[0] + widths[1];
    const out = slotOf(device, n, nHead * width);
    const parts = widths.map((one, i) => ({ width: one, first: firsts[i], step: steps[i] }));
    if (widths[1] === 0) inputs[1] = undefined;
    await runDispatches({ device, ...b }, [b.join({ label: 'join', inputs, parts, out, nHead })], {
      nTokens: n,
      firstPosition: 0,
      nOutputs: 0,
    });
    const want = Float32Array.from({ length: n * nHead * width }, (_, k) => {
      const [t, h, i] = [Math.floor(k / nHead / width), Math.floor(k / width) % nHead, k % width];
      const part = i < widths[0] ? 0 : 1;
      return data[part][t * size(part) + firsts[part] + h * steps[part] + i - part * widths[0]];
    });
    close(await rowsOf(device, out, n), want, () => 0, `${nHead} heads of ${widths}`);
  }
});

onEach('blend adds blocks to blocks, in place too', async ({ device, ...b }) => {
  const n = 3;
  const width = 70;
  for (const [isSelf, isWeighted, nIn, nOut, first] of [
    [true, true, 4, 4, 0],
    [false, true, 1, 4, 0],
    [false, false, 1, 3, 1],
    [false, false, 3, 1, 0],
    [false, true, 2, 2, 1],
  ]) {
    const [factor, bias] = [0.3, 0.75];
    const [x, y] = [floats(n * width * nIn), floats(n * width * 4)];
    const c = floats(n * nIn * nOut);
    const out = slotOf(device, n, width * 4, y);
    const input = isSelf ? out : slotOf(device, n, width * nIn, x);
    const coefficients = isWeighted ? slotOf(device, n, nIn * nOut, c) : undefined;
    const shape = { width, nIn, nOut, first, factor, bias };
    const batch = { nTokens: n, firstPosition: 0, nOutputs: 0 };
    await runDispatches(
      { device, ...b },
      [b.blend({ label: 'blend', input, coefficients, out, ...shape })],
      batch,
    );
    const sizes = new Float64Array(y.length);
    const want = Float32Array.from({ length: y.length }, (_, at) => {
      const [t, i] = [Math.floor(at / width / 4), (Math.floor(at / width) % 4) - first];
      let sum = y[at];
      sizes[at] = Math.abs(sum);
      for (let j = 0; j < nIn && i >= 0 && i < nOut; j++) {
        const k = isWeighted ? factor * c[t * nIn * nOut + i * nIn + j] : 0;
        const from = isSelf ? y[(t * 4 + j) * width + (at % width)] : x[(t * nIn + j) * width + (at % width)];
        sum += (k + bias) * from;
        sizes[at] += (Math.abs(k) + bias) * Math.abs(from);
      }
      return sum;
    });
    // A product and a sum of a coefficient, then a product and a sum for each block.
    close(await rowsOf(device, out, n), want, (i) => (nIn + 3) * EPS * sizes[i], 'blend');
  }
});

onEach('rescale gives blocks the length of a row, and leaves zeros', async ({ device, ...b }) => {
  for (const width of [70, 1030]) {
    const [n, nOut] = [2, 3];
    const [x, y] = [floats(n * width), floats(n * width * 4)];
    y.fill(0, width, 2 * width);
    const [like, out] = [slotOf(device, n, width, x), slotOf(device, n, width * 4, y)];
    const batch = { nTokens: n, firstPosition: 0, nOutputs: 0 };
    await runDispatches({ device, ...b }, [b.rescale({ label: 'rescale', like, out, width, nOut })], batch);
    const length = (a) => Math.hypot(...a);
    const want = Float32Array.from(y, (v, at) => {
      const [t, i] = [Math.floor(at / width / 4), Math.floor(at / width) % 4];
      const own = length(y.subarray((t * 4 + i) * width, (t * 4 + i + 1) * width));
      return i < nOut && own > 0 ? (v * length(x.subarray(t * width, (t + 1) * width))) / own : v;
    });
    // A lane's sum and the tree's: each error counts half behind the root. Then two roots (3 ULP), a quotient
    // (2.5 ULP) and a product.
    const steps = Math.ceil(width / 64) + 8 + 2 * 6 + 5 + 1;
    close(await rowsOf(device, out, n), want, (i) => steps * EPS * Math.abs(want[i]), 'rescale');
  }
});

onEach('sparsify keeps what is far above the mean', async ({ device, ...b }) => {
  for (const width of [70, 1030]) {
    const [n, factor] = [3, 0.6];
    const x = floats(n * width).map((v) => v + 0.25);
    x.fill(0.5, width, 2 * width); // no deviation
    const out = slotOf(device, n, width, x);
    const batch = { nTokens: n, firstPosition: 0, nOutputs: 0 };
    await runDispatches({ device, ...b }, [b.sparsify({ label: 'sparsify', out, width, factor })], batch);
    const cutoffs = [0, 1, 2].map((t) => {
      const row = [...x.subarray(t * width, (t + 1) * width)];
      const mean = row.reduce((sum, v) => sum + v, 0) / width;
      const squares = row.reduce((sum, v) => sum + (v - mean) ** 2, 0);
      return mean + factor * Math.sqrt(squares / (width - 1));
    });
    const want = Float32Array.from(x, (v, at) => Math.max(v - cutoffs[Math.floor(at / width)], 0));
    // Numbers are below 1.25; two sums of so many steps, a root and a product.
    const bound = (2 * (Math.ceil(width / 64) + 8) + 8) * EPS * 1.25;
    close(await rowsOf(device, out, n), want, () => bound, 'sparsify');
    assert.ok(want.some((v) => v > 0));
  }
});
