// SPDX-License-Identifier: Apache-2.0
// experts.test.mjs: the kernels of mixtures against src/program/ops.def in float64, with all that the adapter
// offers and with nothing: ROUTE, EXPERTS of few and of many tokens and with what is fused into them, over
// whole stacks and over stacks in parts, COMBINE, GATE.
//
// The bound of a product is that of matmul.test.mjs: n terms in any order and six operations more are off by
// at most (n + 6) EPS times the sum of their magnitudes. What is fused adds its own, as the comments say.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { decodeRow, headWords, makeMatrix, planeWords, randomFrom, randomRow, toPlanes } from './planes.mjs';
import { bench, download, load, runDispatches, upload } from './room.mjs';

const EPS = 2 ** -23;
const logistic = (x) => 1 / (1 + Math.exp(-x));
/** What GLU makes of gate and up. */
const GATED = {
  1: (g, u) => g * logistic(g) * u,
  3: (g, u) => Math.max(g, 0) * u,
  5: (g, u) => logistic(g) * u,
  6: (g, u) => Math.min(g, 7) * logistic(1.702 * Math.min(g, 7)) * (Math.min(Math.max(u, -7), 7) + 1),
};

describe('mixtures', { skip: missing() || false }, () => {
  const rooms = [];
  before(async () => {
    const modules = await load('device', 'pipelines', 'matmul', 'rows', 'experts', 'tiles');
    const gpu = await openGpu();
    rooms.push(await bench(modules, gpu, { fastDot: true }));
    rooms.push(await bench(modules, gpu, { without: ['subgroups', 'packedDot', 'immediates'] }));
  });
  after(() => rooms.forEach(({ device }) => device.destroy()));

  /** Runs `check` with each room. */
  const onEach = (name, check) =>
    it(name, async () => {
      for (const room of rooms) await check(room);
    });

  function near(what, got, want, bound) {
    const error = Math.abs(got - want);
    if (!(error <= bound)) assert.fail(`${what}: ${got}, not ${want} +- ${bound}`);
    compared(error, bound);
  }

  /** A slot of rows of `width`. `make(t, i)` gives the elements; without it, and behind the rows, are 777. */
  function makeSlot(device, rows, width, make) {
    const stride = Math.ceil(width / 4) * 4 + 4;
    const floats = new Float32Array(rows * stride).fill(777);
    for (let t = 0; t < rows && make; t++)
      for (let i = 0; i < width; i++) floats[t * stride + i] = make(t, i);
    return { view: { buffer: upload(device, floats) }, width, stride, floats };
  }
  const readSlot = async (device, { view }) => new Float32Array(await download(device, view.buffer));

  /** Numbers and weights as ROUTE writes them: no expert twice in a token; `isAll`: all, in order. */
  function makeRoute(device, nTokens, nExpert, nUsed, random, isAll = false) {
    const rows = Array.from({ length: nTokens }, () => {
      const experts = Array.from({ length: nExpert }, (_, e) => e).sort(() => (isAll ? 0 : random() - 0.5));
      return [...experts.slice(0, nUsed), ...Array.from({ length: nUsed }, () => random())];
    });
    return makeSlot(device, nTokens, 2 * nUsed, (t, i) => rows[t][i]);
  }

  // ---- ROUTE ------------------------------------------------------------------------------------------

  /** The choice of ops.def in double: [numbers, weights]. */
  function routed(
    x,
    { gating, nUsed, nGroups = 0, nGroupsUsed = 0, isNormalised = false, scale = 1, bias, factors },
  ) {
    const most = Math.max(...x);
    const exps = x.map((z) => Math.exp(z - most));
    const sum = exps.reduce((a, b) => a + b);
    const chances = gating === 1 ? exps.map((z) => z / sum) : gating === 2 ? x.map(logistic) : x;
    const scores = chances.map((z, e) => z + (bias?.[e] ?? 0));
    const ranked = (list) => list.map((_, i) => i).sort((a, b) => list[b] - list[a] || a - b);
    if (nGroups > 1) {
      const size = x.length / nGroups;
      const ofGroups = Array.from({ length: nGroups }, (_, g) =>
        scores
          .slice(g * size, (g + 1) * size)
          .sort((a, b) => b - a)
          .slice(0, 2)
          .reduce((a, b) => a + b),
      );
      const used = ranked(ofGroups).slice(0, nGroupsUsed);
      scores.forEach((_, e) => used.includes(Math.floor(e / size)) || (scores[e] = -Infinity));
    }
    const chosen = ranked(scores).slice(0, nUsed);
    let weights = chosen.map((e) => chances[e]);
    if (gating === 3) {
      const top = Math.max(...weights);
      const parts = weights.map((z) => Math.exp(z - top));
      weights = parts.map((z) => z / parts.reduce((a, b) => a + b));
    }
    const total = weights.reduce((a, b) => a + b);
    if (isNormalised) weights = weights.map((z) => z / Math.max(total, 6.103515625e-5));
    return [chosen, weights.map((z, u) => z * scale * (factors?.[chosen[u]] ?? 1))];
  }

  onEach('ROUTE chooses and weighs as ops.def says', async (room) => {
    const { device, route } = room;
    const random = randomFrom(7);
    for (const [nExpert, o] of [
      [8, { gating: 1, nUsed: 2, isNormalised: true }],
      [60, { gating: 1, nUsed: 4, scale: 2.5, hasFactors: true }],
      [128, { gating: 2, nUsed: 8, isNormalised: true, scale: 1.5, hasBias: true }],
      [256, { gating: 2, nUsed: 8, nGroups: 8, nGroupsUsed: 4, isNormalised: true, hasBias: true }],
      [12, { gating: 1, nUsed: 3, nGroups: 12, nGroupsUsed: 5 }],
      [32, { gating: 3, nUsed: 4 }],
      [1024, { gating: 3, nUsed: 32, isNormalised: true }],
      [5, { gating: 2, nUsed: 5, isNormalised: true, offset: -30 }],
      [1, { gating: 1, nUsed: 1 }],
    ]) {
      const nTokens = 3;
      // Distances of 2^-6 between neighbours stay above the noise of any gating, and each token has two ties.
      const steps = Array.from({ length: nTokens }, () => {
        const list = Array.from({ length: nExpert }, (_, e) => e).sort(() => random() - 0.5);
        if (nExpert > 4) list[list.indexOf(nExpert - 1)] = nExpert - 2;
        return list;
      });
      const spacing = o.gating === 3 ? 1 / 64 : 4 / Math.max(nExpert, 8);
      const logits = makeSlot(device, nTokens, nExpert, (t, e) => steps[t][e] * spacing + (o.offset ?? 0));
      // A step of the bias is larger than what the gating leaves of a step of the logits.
      const bias = o.hasBias && Float32Array.from({ length: nExpert }, () => Math.floor(random() * 8) / 4);
      const out = makeSlot(device, nTokens, 2 * o.nUsed);
      const factors = o.hasFactors && Float32Array.from({ length: nExpert }, () => random() + 0.5);
      const vectors = new Float32Array(nExpert + 3).fill(777);
      if (bias || factors) vectors.set(bias || factors, 3);
      const dispatch = route({
        label: 'route',
        logits,
        out,
        nExpert,
        nGroups: 0,
        nGroupsUsed: 0,
        isNormalised: false,
        scale: 1,
        ...o,
        bias: bias ? { offset: 3, length: nExpert } : undefined,
        factors: factors ? { offset: 3, length: nExpert } : undefined,
        vectors: { buffer: upload(device, vectors) },
        rowsOf: 'batch',
      });
      await runDispatches(room, [dispatch], { nTokens, firstPosition: 0, nOutputs: 0 });
      const got = await readSlot(device, out);
      for (let t = 0; t < nTokens; t++) {
        const row = Array.from(logits.floats.subarray(t * logits.stride, t * logits.stride + nExpert));
        const [chosen, weights] = routed(row, {
          ...o,
          bias: bias || undefined,
          factors: factors || undefined,
        });
        const at = t * out.stride;
        const what = `gating ${o.gating}, ${o.nUsed} of ${nExpert}, token ${t}`;
        assert.deepEqual(Array.from(got.subarray(at, at + o.nUsed)), chosen, what);
        // exp is right to 3 + 2|z| units (|z| at most 64), sums have at most nExpert terms, divisions 2.5.
        for (let u = 0; u < o.nUsed; u++)
          near(what, got[at + o.nUsed + u], weights[u], (nExpert + 150) * EPS * Math.abs(weights[u]) + 1e-30);
        assert.equal(got[at + 2 * o.nUsed], 777);
      }
    }
  });

  // ---- EXPERTS ----------------------------------------------------------------------------------------

  /** A stack of nExpert times `rows` random rows, in parts that begin at rows `cuts`. */
  function makeStack(device, format, o, random) {
    const { n, rows, nExpert, cuts = [0], at, hasBias, biasAt, hasScale, scaleAt, row = 0 } = o;
    const files = Array.from({ length: rows * nExpert }, () => randomRow(format, n, random));
    const bias = hasBias && Float32Array.from({ length: rows * nExpert }, () => random() * 2 - 1);
    const scale = hasScale && Float32Array.from({ length: nExpert }, () => random() * 2 + 0.5);
    return {
      stack: {
        matrix: makeMatrix(device, format, n, files, cuts, at),
        row,
        ...(bias && { bias: { offset: biasAt, length: bias.length } }),
        ...(scale && { scale: { offset: scaleAt, length: nExpert } }),
      },
      bias,
      scale,
      decoded: files.map((file) => decodeRow(format, file)),
    };
  }

  /** Row `row` of an expert times x in double: its sum and the sum of the magnitudes. */
  function product({ decoded, stack, bias, scale }, rows, expert, row, x) {
    const number = expert * rows + stack.row + row;
    const factor = scale ? scale[expert] : 1;
    let sum = bias ? bias[number] : 0;
    let size = Math.abs(sum);
    decoded[number].values.forEach((w, i) => {
      sum += factor * w * x[i];
      size += factor * decoded[number].sizes[i] * Math.abs(x[i]);
    });
    return { sum, size };
  }

  /**
   * EXPERTS over one stack or two (`formats`), of `rows` rows an expert, of which the product uses nOut.
   * `norm`, `glu` and `combine` are fused. `isStaged`: over q8 inputs, judged with the codes and scales that
   * the GPU made: the products of codes are exact, n / 32 sums and 12 operations aren't.
   */
  async function check(room, o) {
    const { formats, n, rows, nOut = rows, nExpert, nUsed, tokens, nTokens, isEach = false, isAll } = o;
    const { device, features, experts, expertsTable, expertsTileOf, stage } = room;
    const { norm, glu, combine, cuts = [0], at = 3, rowsOf = 'batch', hasBias = false, offsets = [0, 0] } = o;
    const { hasScale = false } = o;
    const random = randomFrom(n * 31 + nTokens + nExpert);
    const biasAt = n + 8;
    const scaleAt = biasAt + 2 * rows * nExpert;
    const made = formats.map((format, s) =>
      makeStack(
        device,
        format,
        {
          ...{ n, rows, nExpert, cuts, at, hasBias, hasScale, row: offsets[s] },
          ...{ biasAt: biasAt + s * rows * nExpert, scaleAt: scaleAt + s * nExpert },
        },
        random,
      ),
    );
    const vectors = Float32Array.from({ length: scaleAt + 2 * nExpert }, () => random() + 0.5);
    made.forEach(({ bias }, s) => bias && vectors.set(bias, biasAt + s * rows * nExpert));
    made.forEach(({ scale }, s) => scale && vectors.set(scale, scaleAt + s * nExpert));
    const width = isEach ? nUsed * n : n;
    const x = makeSlot(device, nTokens, width, () => random() * 2 - 1);
    const route = makeRoute(device, nTokens, nExpert, nUsed, random, isAll);
    const outWidth = combine ? nOut : nUsed * nOut;
    const out = makeSlot(device, nTokens, outWidth, combine?.add ? () => random() : undefined);
    const table = { view: { buffer: upload(device, new Uint32Array(256 * nUsed).fill(1)) }, nBatch: 64 };
    const tile = o.isStaged && expertsTileOf(made[0].stack.matrix, features);
    if (o.isStaged) assert.equal(tile.inputs, 'q8');
    const q = { buffer: upload(device, nTokens * (width + width / 8)) };
    const staged = tile && { tile, view: q };
    const before = staged ? [stage({ tile, label: 'test', input: x, nIn: width, out: q })] : [];
    const dispatches = experts({
      ...(staged && { staged }),
      label: 'test',
      input: x,
      nIn: n,
      isEach,
      stacks: made.map(({ stack }) => stack),
      nOut,
      nExpert,
      nUsed,
      route: isAll ? undefined : route,
      out,
      vectors: { buffer: upload(device, vectors) },
      rowsOf,
      tokens,
      features,
      table: isAll ? undefined : table,
      norm: norm && { eps: 1e-5, weight: { offset: 2, length: n } },
      glu,
      combine,
    });
    const isTiled = tokens === 'many' && rowsOf === 'batch';
    const first = isTiled && !isAll ? [expertsTable({ label: 'table', route, nExpert, nUsed, table })] : [];
    const batch = {
      nTokens,
      firstPosition: 0,
      nOutputs: nTokens,
      [rowsOf === 'batch' ? 'nOutputs' : 'nTokens']: 1,
    };
    await runDispatches(room, [...before, ...first, ...dispatches], batch);
    const got = await readSlot(device, out);
    for (let t = 0, bytes = staged && (await download(device, q.buffer)); staged && t < nTokens; t++) {
      const row = t * (width + width / 8);
      const [codes, scales] = [
        new Int8Array(bytes, row, width),
        new Float32Array(bytes, row + width, width / 32),
      ];
      codes.forEach((code, i) => (x.floats[t * x.stride + i] = code * scales[i >> 5]));
    }
    const what = `${formats} ${n}x${nOut} ${nUsed} of ${nExpert} ${tokens} ${nTokens}`;
    for (let t = 0; t < nTokens; t++) {
      const chosen = Array.from(route.floats.subarray(t * route.stride, t * route.stride + 2 * nUsed));
      const [numbers, weights] = [chosen.slice(0, nUsed), chosen.slice(nUsed)];
      /** Row `row` of chosen expert u: what GLU makes of two products, or the product. */
      const element = (u, row) => {
        let input = Array.from(x.floats.subarray(t * x.stride + (isEach ? u * n : 0)).subarray(0, n));
        if (norm) {
          const s = 1 / Math.sqrt(input.reduce((sum, z) => sum + z * z, 0) / n + Math.fround(1e-5));
          input = input.map((z, i) => z * s * vectors[2 + i]);
        }
        const [g, up] = made.map((one) => product(one, rows, numbers[u], row, input));
        const noise = (norm ? 1.5 * n + 12 : staged ? n / 32 + 12 : n + 6) * EPS;
        if (glu === undefined) return { value: g.sum, bound: noise * g.size };
        // An activation's slope is at most 1.71 and its value at most |g| + 1; its own error is 60 units.
        const [dg, du] = [noise * g.size, noise * up.size];
        const f = GATED[glu];
        const most = Math.abs(g.sum) + 1;
        const own = 60 * EPS * most * (Math.abs(up.sum) + 1);
        return { value: f(g.sum, up.sum), bound: 1.71 * dg * (Math.abs(up.sum) + du + 1) + most * du + own };
      };
      for (let i = 0; i < outWidth; i++) {
        const row = i % nOut;
        let want;
        if (combine) {
          const old = combine.add ? out.floats[t * out.stride + i] : 0;
          want = { value: old, bound: (nUsed * n + nUsed + 8) * EPS * Math.abs(old) };
          for (let u = 0; u < nUsed; u++) {
            const { value, bound } = element(u, row);
            want.value += weights[u] * value;
            want.bound += (nUsed + 2) * weights[u] * bound;
          }
        } else want = element(Math.floor(i / nOut), row);
        near(`${what}: token ${t} element ${i}`, got[t * out.stride + i], want.value, want.bound);
      }
      assert.equal(got[t * out.stride + outWidth], 777, what);
    }
    const work = dispatches
      .map((d) => d.work(batch))
      .reduce((a, b) => ({ madds: a.madds + b.madds, bytes: a.bytes + b.bytes }));
    const read = Math.min(nTokens * nUsed, nExpert) * nOut;
    const bytes = formats.reduce((sum, format) => sum + read * planeWords(format, n) * 4, 0);
    assert.ok(
      Math.abs(work.madds / (nTokens * nUsed * nOut * n * formats.length) - 1) < 1e-9,
      `${what}: madds`,
    );
    assert.ok(Math.abs(work.bytes / bytes - 1) < 1e-9, `${what}: ${work.bytes} bytes, not ${bytes}`);
    return dispatches;
  }

  const mixture = { nExpert: 6, nUsed: 3, n: 64, rows: 20 };

  onEach('without a route each token has all experts in order', async (room) => {
    const all = { nExpert: 6, nUsed: 6, isEach: true, isAll: true };
    for (const format of ['f32', 'q8_0', 'q4_k'])
      for (const [tokens, nTokens] of [
        ['one', 1],
        ['few', 3],
        ['many', 33],
      ])
        await check(room, { ...all, formats: [format], n: 256, rows: 68, at: 4, tokens, nTokens });
    // Rows that are no whole group of 32, as those of attn_k_b may be.
    const short = { ...all, formats: ['f32'], n: 12, rows: 20 };
    await check(room, { ...short, tokens: 'many', nTokens: 32 });
    await check(room, { ...short, tokens: 'one', nTokens: 1 });
  });

  onEach('a token reads the experts that it uses', async (room) => {
    for (const format of ['f32', 'q8_0', 'q4_1', 'f16'])
      await check(room, { ...mixture, formats: [format], tokens: 'one', nTokens: 1 });
    await check(room, {
      ...mixture,
      n: 256,
      formats: ['q4_k'],
      tokens: 'one',
      nTokens: 1,
      at: 4,
      hasBias: true,
    });
    await check(room, {
      ...mixture,
      n: 36,
      formats: ['f32'],
      tokens: 'few',
      nTokens: 3,
      hasBias: true,
      nOut: 8,
      offsets: [12],
    });
    await check(room, { ...mixture, formats: ['q5_0'], tokens: 'many', rowsOf: 'output', nTokens: 9 });
    await check(room, { ...mixture, formats: ['q8_0'], tokens: 'few', nTokens: 2, isEach: true });
  });

  onEach("an expert's scale multiplies its products before the bias", async (room) => {
    const scaled = { ...mixture, hasScale: true, hasBias: true };
    await check(room, { ...scaled, formats: ['nvfp4'], tokens: 'one', nTokens: 1 });
    await check(room, { ...scaled, formats: ['q8_0'], tokens: 'many', nTokens: 40 });
    await check(room, {
      ...scaled,
      formats: ['q8_0', 'q8_0'],
      tokens: 'few',
      nTokens: 2,
      glu: 1,
      norm: true,
    });
    const combine = { add: true };
    await check(room, { ...scaled, formats: ['f32'], tokens: 'one', nTokens: 1, isEach: true, combine });
  });

  onEach('norm, gate, up and GLU are one dispatch', async (room) => {
    for (const glu of [1, 3, 5, 6])
      await check(room, {
        ...mixture,
        formats: ['q8_0', 'q8_0'],
        tokens: 'one',
        nTokens: 1,
        norm: true,
        glu,
      });
    const two = { ...mixture, formats: ['q4_0', 'q4_1'], glu: 6, hasBias: true };
    await check(room, { ...two, tokens: 'few', nTokens: 3 });
    await check(room, { ...two, formats: ['f32', 'f16'], n: 44, tokens: 'one', nTokens: 1, norm: true });
    // Rows of whole fours of words in both stacks, and in one alone.
    const wide = { ...two, n: 256, rows: 8, tokens: 'one', nTokens: 1, at: 4 };
    await check(room, { ...wide, formats: ['q4_k', 'q4_k'] });
    await check(room, { ...wide, formats: ['q4_k', 'q6_k'] });
  });

  onEach("a shared expert is in the chosen ones' dispatch", async (room) => {
    const { device, features, experts } = room;
    const { n, nExpert, nUsed, rows } = mixture;
    for (const [formats, nTokens, norm] of [
      [['q8_0', 'q4_0', 'q4_1', 'q8_0'], 1, true],
      [['f32', 'f16', 'f32', 'f32'], 2, false],
    ])
      for (const nShared of [12, 44]) {
        const random = randomFrom(n + nTokens + nShared);
        const make = (format, count) => makeStack(device, format, { n, rows, nExpert: count, at: 4 }, random);
        const made = formats.slice(0, 2).map((format) => make(format, nExpert));
        // Two matrices of an expert that all use, side by side.
        const files = formats
          .slice(2)
          .map((format) => Array.from({ length: nShared }, () => randomRow(format, n, random)));
        const matrices = sideBySide(device, n, formats.slice(2), files);
        const decoded = files.map((list, s) => list.map((file) => decodeRow(formats[2 + s], file)));
        const x = makeSlot(device, nTokens, n, () => random() * 2 - 1);
        const vectors = Float32Array.from({ length: n + 2 }, () => random() + 0.5);
        const route = makeRoute(device, nTokens, nExpert, nUsed, random);
        const [out, own] = [makeSlot(device, nTokens, nUsed * rows), makeSlot(device, nTokens, nShared)];
        const options = {
          label: 'test',
          input: x,
          nIn: n,
          isEach: false,
          nOut: rows,
          nExpert,
          nUsed,
          route,
          out,
        };
        const dispatches = experts({
          ...options,
          stacks: made.map(({ stack }) => stack),
          vectors: { buffer: upload(device, vectors) },
          rowsOf: 'batch',
          tokens: nTokens === 1 ? 'one' : 'few',
          features,
          norm: norm ? { eps: 1e-5, weight: { offset: 2, length: n } } : undefined,
          glu: 1,
          shared: { matrices, nOut: nShared, out: own },
        });
        assert.equal(dispatches.length, 1);
        const batch = { nTokens, firstPosition: 0, nOutputs: 0 };
        await runDispatches(room, dispatches, batch);
        const [chosen, all] = [await readSlot(device, out), await readSlot(device, own)];
        for (let t = 0; t < nTokens; t++) {
          let input = Array.from(x.floats.subarray(t * x.stride, t * x.stride + n));
          const s = 1 / Math.sqrt(input.reduce((sum, z) => sum + z * z, 0) / n + Math.fround(1e-5));
          if (norm) input = input.map((z, i) => z * s * vectors[2 + i]);
          const glu = (what, got, g, u) => {
            const noise = (1.5 * n + 12) * EPS;
            const most = Math.abs(g.sum) + 1;
            const slope = 1.71 * noise * g.size * (Math.abs(u.sum) + noise * u.size + 1);
            const bound = slope + most * noise * u.size + 60 * EPS * most * (Math.abs(u.sum) + 1);
            near(what, got, GATED[1](g.sum, u.sum), bound);
          };
          for (let i = 0; i < nUsed * rows; i++) {
            const expert = route.floats[t * route.stride + Math.floor(i / rows)];
            const [g, u] = made.map((one) => product(one, rows, expert, i % rows, input));
            glu(`chosen ${t} ${i}`, chosen[t * out.stride + i], g, u);
          }
          for (let i = 0; i < nShared; i++) {
            const one = (list) => product({ decoded: list, stack: { row: 0 } }, nShared, 0, i, input);
            glu(`shared ${t} ${i}`, all[t * own.stride + i], one(decoded[0]), one(decoded[1]));
          }
          assert.equal(all[t * own.stride + nShared], 777);
        }
        const { madds } = dispatches[0].work(batch);
        assert.equal(madds, nTokens * 2 * n * (nUsed * rows + nShared));
      }
  });

  /** Matrices one after the other in one buffer. */
  function sideBySide(device, n, formats, files) {
    const planes = files.map((list, s) => toPlanes(formats[s], list));
    const head = headWords(...formats);
    const first = head.length + 4;
    const second = first + Math.ceil(planes[0].length / 4) * 4;
    const words = new Uint32Array(second + planes[1].length).fill(0x7e017e01);
    words.set(head);
    const offsets = [first, second];
    planes.forEach((plane, s) => words.set(plane, offsets[s]));
    const view = { buffer: upload(device, words) };
    return formats.map((format, s) => ({
      name: 'test',
      format,
      nIn: n,
      nRows: files[s].length,
      rowWords: planeWords(format, n),
      parts: [{ view, offset: offsets[s], firstRow: 0, nRows: files[s].length }],
    }));
  }

  onEach("a shared expert's last product is gated and added in one dispatch", async (room) => {
    const { device, features, matmul } = room;
    const [n, rows] = [64, 20];
    for (const nTokens of [1, 3]) {
      const random = randomFrom(nTokens);
      const { stack, decoded } = makeStack(device, 'q8_0', { n, rows, nExpert: 1 }, random);
      const x = makeSlot(device, nTokens, n, () => random() * 2 - 1);
      const gate = makeSlot(device, nTokens, 1, () => random() * 6 - 3);
      const out = makeSlot(device, nTokens, rows, () => random());
      const dispatches = matmul({
        label: 'test',
        input: x,
        nIn: n,
        matrices: [{ matrix: stack.matrix, rows: { first: 0, count: rows }, out }],
        add: true,
        rowsOf: 'batch',
        tokens: nTokens === 1 ? 'one' : 'few',
        vectors: { buffer: upload(device, 16) },
        features,
        gate,
      });
      await runDispatches(room, dispatches, { nTokens, firstPosition: 0, nOutputs: 0 });
      const got = await readSlot(device, out);
      for (let t = 0; t < nTokens; t++)
        for (let i = 0; i < rows; i++) {
          const input = x.floats.subarray(t * x.stride, t * x.stride + n);
          const { sum, size } = product({ decoded, stack: { row: 0 } }, rows, 0, i, input);
          const [old, by] = [out.floats[t * out.stride + i], logistic(gate.floats[t * gate.stride])];
          const bound = (n + 40) * EPS * size * by + 2 * EPS * Math.abs(old);
          near(`gated ${t} ${i}`, got[t * out.stride + i], old + by * sum, bound);
        }
    }
  });

  onEach('down and COMBINE are one dispatch', async (room) => {
    const down = { ...mixture, isEach: true, formats: ['q8_0'] };
    await check(room, { ...down, tokens: 'one', nTokens: 1, combine: { add: true } });
    await check(room, { ...down, tokens: 'few', nTokens: 2, combine: { add: false }, hasBias: true });
    await check(room, {
      ...down,
      formats: ['f32'],
      n: 20,
      tokens: 'one',
      nTokens: 1,
      combine: { add: true },
    });
    await check(room, {
      ...down,
      formats: ['q3_k'],
      n: 256,
      rows: 6,
      tokens: 'one',
      nTokens: 1,
      combine: { add: true },
    });
  });

  onEach('a stack in parts gives what a whole one gives', async (room) => {
    // Parts begin inside of an expert, and one has less than an expert.
    const parts = { ...mixture, cuts: [0, 25, 30, 77], hasBias: true, formats: ['q8_0'] };
    const one = { tokens: 'one', nTokens: 1 };
    assert.equal((await check(room, { ...parts, ...one })).length, 4);
    await check(room, { ...parts, ...one, formats: ['q8_0', 'q4_1'], norm: true, glu: 1 });
    for (const add of [false, true]) await check(room, { ...parts, ...one, isEach: true, combine: { add } });
    assert.equal((await check(room, { ...parts, tokens: 'many', nTokens: 11 })).length, 4);
    // Gate and up are halves of each expert's rows.
    const halves = { ...parts, formats: ['q8_0', 'q8_0'], nOut: 10, offsets: [0, 10], glu: 1 };
    await check(room, { ...halves, ...one, cuts: [0] });
  });

  onEach('stacks of the IQ types, whose grids begin each buffer', async (room) => {
    const o = { ...mixture, n: 256, cuts: [0, 25], formats: ['iq2_s', 'iq3_xxs'] };
    await check(room, { ...o, tokens: 'one', nTokens: 1, norm: true, glu: 1, cuts: [0] });
    await check(room, {
      ...o,
      tokens: 'few',
      nTokens: 3,
      formats: ['iq1_m'],
      isEach: true,
      combine: { add: true },
    });
    await check(room, { ...o, tokens: 'many', nTokens: 11, formats: ['iq2_xxs'] });
  });

  onEach('many tokens are multiplied by expert', async (room) => {
    for (const format of ['f32', 'q8_0', 'q4_k', 'bf16'])
      await check(room, { ...mixture, n: 256, formats: [format], tokens: 'many', nTokens: 13 });
    await check(room, {
      ...mixture,
      rows: 68,
      formats: ['q8_0'],
      tokens: 'many',
      nTokens: 64,
      hasBias: true,
    });
    await check(room, { ...mixture, n: 20, formats: ['f32'], tokens: 'many', nTokens: 40, isEach: true });
    // An expert with more than a tile, and most with none.
    await check(room, { ...mixture, nExpert: 2, nUsed: 2, formats: ['q4_0'], tokens: 'many', nTokens: 64 });
    await check(room, {
      ...mixture,
      nExpert: 300,
      rows: 4,
      nUsed: 1,
      formats: ['q4_0'],
      tokens: 'many',
      nTokens: 9,
    });
  });

  it('many tokens over q8 inputs are multiplied by expert', async () => {
    const [room] = rooms; // the other has no packed dots
    const staged = { ...mixture, tokens: 'many', nTokens: 13, isStaged: true };
    // One scale or two in a group of 32, with an offset and without, one code of a block and many.
    for (const format of ['q8_0', 'q4_1', 'q4_k', 'q2_k', 'q6_k', 'iq2_xs', 'mxfp4', 'nvfp4'])
      assert.equal((await check(room, { ...staged, n: 256, formats: [format] }))[0].kernel, 'experts_packed');
    const scaled = { ...staged, formats: ['q5_1'], hasBias: true, hasScale: true };
    await check(room, { ...scaled, rows: 68, nTokens: 64 });
    await check(room, { ...scaled, isEach: true, nTokens: 40, nOut: 8, offsets: [12] });
    assert.equal((await check(room, { ...scaled, cuts: [0, 25, 30, 77] })).length, 4);
    await check(room, { ...scaled, nExpert: 2, nUsed: 2, nTokens: 64 });
    await check(room, { ...scaled, nExpert: 300, rows: 4, nUsed: 1, nTokens: 9 });
    await check(room, { ...staged, nUsed: 6, isEach: true, isAll: true, formats: ['q8_0'], nTokens: 33 });
  });

  // ---- COMBINE, GATE ----------------------------------------------------------------------------------

  onEach('COMBINE and GATE are ops.def', async (room) => {
    const { device, combine, gate } = room;
    const random = randomFrom(3);
    const [nTokens, width, nUsed] = [3, 72, 5];
    const batch = { nTokens, firstPosition: 0, nOutputs: 0 };
    const route = makeRoute(device, nTokens, 9, nUsed, random);
    const x = makeSlot(device, nTokens, width * nUsed, () => random() * 2 - 1);
    for (const add of [false, true]) {
      const out = makeSlot(device, nTokens, width, () => random());
      const dispatch = combine({ label: 'combine', input: x, route, out, width, nUsed, add });
      await runDispatches(room, [dispatch], batch);
      const got = await readSlot(device, out);
      for (let t = 0; t < nTokens; t++)
        for (let i = 0; i < width; i++) {
          let sum = add ? out.floats[t * out.stride + i] : 0;
          let size = Math.abs(sum);
          for (let u = 0; u < nUsed; u++) {
            const term = route.floats[t * route.stride + nUsed + u] * x.floats[t * x.stride + u * width + i];
            sum += term;
            size += Math.abs(term);
          }
          near(`COMBINE ${t} ${i}`, got[t * out.stride + i], sum, (nUsed + 2) * EPS * size);
        }
      assert.equal(got[width], 777);
    }
    const logits = makeSlot(device, nTokens, 1, (t) => [0.5, -3, 100][t]);
    const out = makeSlot(device, nTokens, 30, () => random() * 2 - 1);
    await runDispatches(room, [gate({ label: 'gate', input: logits, out, width: 30 })], batch);
    const got = await readSlot(device, out);
    for (let t = 0; t < nTokens; t++)
      for (let i = 0; i < out.stride; i++) {
        const at = t * out.stride + i;
        const want = i < 30 ? out.floats[at] * logistic(logits.floats[t * logits.stride]) : 777;
        near(`GATE ${t} ${i}`, got[at], want, 30 * EPS * Math.abs(want));
      }
  });
});
