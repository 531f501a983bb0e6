// SPDX-License-Identifier: Apache-2.0
// sample.test.mjs: the GPU's draws are those of src/session/sampler.c, for the same logits and numbers.
import test from 'node:test';
import assert from 'node:assert/strict';
import { missing, openGpu } from './gpu.mjs';
import { compared } from './ledger.mjs';
import { bench, download, load } from './room.mjs';
import { openOracle, openSampler, plain } from './sampling.mjs';

const skip = missing() || false;
const gpu = skip ? undefined : await openGpu();
const room = skip ? undefined : await load('device', 'pipelines', 'sample');
const oracle = await openOracle();
const plainBench = skip || (await bench(room, gpu));
const open = (nVocab, on = plainBench) => openSampler(on, nVocab);
/** ROUNDS=20 draws twenty times as many random cases. */
const ROUNDS = Number(process.env.ROUNDS ?? 1);

/** Numbers that repeat from run to run: xorshift32. */
let state = 2463534242;
const random = () => {
  state ^= state << 13;
  state ^= state >>> 17;
  state ^= state << 5;
  return (state >>> 0) / 2 ** 32;
};
const whole = (n) => Math.floor(random() * n);
const pick = (...list) => list[whole(list.length)];
const gauss = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
const row = (n, make) => Float32Array.from({ length: n }, make);

/**
 * Why a draw may differ. Both sides draw where the sums of the weights pass random * total; the sums differ
 * by rounding. A weight is exp(t), t = (logit - best) / temperature.
 *   t           three roundings on the GPU (difference, 1 / temperature, product): |t| 3 * 2^-24
 *   exp         the GPU's polynomial: 2^-22 (kernels/sample_best.wgsl); the CPU rounds to float: 2^-24
 *   weight      rounded to a multiple of 2^-25 of the best: at most 64 * 2^-26 of the total
 * The mean of |t| over the probabilities is at most ln 64, as their entropy: in all
 * (3 * 4.16 + 5 + 16) * 2^-24 = 33.5 * 2^-24 of the total, on each side of the comparison: 2^-18 holds both.
 * The total of top-p without top-k goes over the vocabulary in floats. No partial sum has more than
 * 8 + 16 + 16 + 1 + 16 + 16 additions, ln 262144 = 12.5, and t has one rounding (temperature 1): below
 * (73 + 12.5 + 4 + 16) * 2^-24, twice: 2^-16.
 */
const NEAR = 2 ** -18;
const NEAR_TOP_P = 2 ** -16;
const near = ({ sampling, random: u, ...others }, by = NEAR) =>
  [-1, 0, 1].flatMap((a) =>
    [-1, 0, 1].map((b) => ({
      ...others,
      random: Math.floor(Math.min(Math.max(u + a * by, 0), 1 - 2 ** -32) * 2 ** 32) / 2 ** 32,
      sampling: {
        ...sampling,
        topP: sampling.topP < 1 ? Math.min(Math.max(sampling.topP * (1 + b * NEAR_TOP_P), 0), 1) : 1,
      },
    })),
  );

/** Compares the GPU's records of cases with the CPU's draws. Returns how many weren't drawn. */
function judge(cases, records, by = NEAR) {
  let n = 0;
  let nDifferent = 0;
  cases.forEach((one, i) => {
    const { id, faults, position } = records[i];
    compared();
    assert.equal(position, (one.tokens ?? [0]).length);
    if (id < 0) {
      assert.equal(faults, room.DrawFault.notCovered);
      n += 1;
      return;
    }
    assert.equal(faults, 0);
    const want = oracle.draw(one);
    if (id === want) return;
    nDifferent += 1;
    const { logits, ...shown } = one;
    const all = near(one, by).map((other) => oracle.draw(other));
    assert.ok(all.includes(id), `${id} instead of ${want} (${all}): ${JSON.stringify(shown)}`);
  });
  assert.ok(nDifferent <= 1, `${nDifferent} of ${cases.length} draws differ`);
  return n;
}

/** Options that the GPU can sample with, of all kinds. */
function anySampling(nVocab) {
  for (;;) {
    const isPenalising = random() < 0.3;
    const sampling = {
      temperature: pick(0, 0.01, 0.5, 0.8, 1, 1, 2, 50),
      topK: pick(0, 0, 1, 2, 40, 63, 64, 65, 1000),
      topP: pick(0, 0.1, 0.5, 0.95, 0.999, 1, 1),
      minP: pick(0, 0, 0.001, 0.05, 0.5, 1),
      // Powers of two and their multiples: the GPU has the CPU's bits.
      repetitionPenalty: isPenalising ? pick(0.5, 1, 2) : 1,
      frequencyPenalty: isPenalising ? pick(-0.5, 0, 0.25, 1) : 0,
      presencePenalty: isPenalising ? pick(0, 0.5, -2) : 0,
      bias:
        random() < 0.3
          ? [...new Set(Array.from({ length: 1 + whole(20) }, () => whole(nVocab)))].map((id) => [
              id,
              pick(-Infinity, -2.5, 1, 4.75, -100),
            ])
          : [],
    };
    if (room.canSample(sampling, nVocab)) return sampling;
  }
}
/** Logits of several shapes: spread, peaked, with ties, with -inf. */
function anyLogits(n) {
  const scale = pick(0.1, 1, 3, 10);
  return pick(
    () => row(n, () => gauss() * scale),
    () => row(n, () => Math.round(gauss() * 4) / 2),
    () => row(n, () => (random() < 0.3 ? -Infinity : gauss() * scale)),
    () => row(n, () => pick(0, -0, 1, -1, -1000)),
  )();
}
function anyCase(nVocab, logits = anyLogits(nVocab)) {
  const tokens = Array.from({ length: 1 + whole(150) }, () => whole(Math.min(nVocab, 40)));
  return { nVocab, logits, tokens, sampling: anySampling(nVocab), random: whole(2 ** 32) / 2 ** 32 };
}
/** The same as far as the CPU can draw. */
function drawable(make) {
  for (;;) {
    const one = make();
    try {
      oracle.draw(one);
      return one;
    } catch {
      // -inf everywhere
    }
  }
}

for (const [nVocab, n, without] of [
  [1, 10],
  [63, 192],
  [64, 192],
  [65, 256],
  [65, 64, ['immediates', 'subgroups', 'packedDot']],
  [3000, 128],
  [32000, 12],
  [262144, 4],
])
  test(`random draws from ${nVocab} tokens${without ? ` without ${without}` : ''}`, { skip }, async () => {
    const sampler = open(nVocab, without && (await bench(room, gpu, { without })));
    let nLeft = 0;
    for (let left = n * ROUNDS; left > 0; left -= 64) {
      const cases = Array.from({ length: Math.min(left, 64) }, () => drawable(() => anyCase(nVocab)));
      nLeft += judge(cases, await sampler.draw(cases));
    }
    if (nVocab <= 64) assert.equal(nLeft, 0);
  });

test('penalties that no power of two expresses', { skip }, async () => {
  // A penalised logit below 24 is 2.5 units in the last place off at most: t is 24 * 2.5 * 2^-23 / 0.8 off.
  const cases = Array.from({ length: 64 }, () => ({
    ...anyCase(
      300,
      row(300, () => 4 * gauss()),
    ),
    sampling: {
      ...plain,
      temperature: 0.8,
      topK: 40,
      repetitionPenalty: 1.1,
      frequencyPenalty: 0.3,
      presencePenalty: 0.7,
    },
  }));
  assert.equal(judge(cases, await open(300).draw(cases), NEAR + (4 * 24 * 2.5 * 2 ** -23) / 0.8), 0);
});

test('the best are found wherever they are', { skip }, async () => {
  const n = 20000;
  const rows = [
    row(n, (_, i) => i / 100), // all in the last chunk
    row(n, (_, i) => -i / 100),
    row(n, () => 3), // all equal: the lowest ids
    row(n, (_, i) => (i % 2048 < 9 ? 5 : 0)), // 90 in ten chunks
    row(n, (_, i) => (i === 2047 || i === 2048 || i === n - 1 ? 1 : -1)),
    row(n, (_, i) => (i % 256 === 7 ? i / 1e4 : -9)), // all of one thread
  ];
  const cases = rows.flatMap((logits) =>
    [0, 1, 3].flatMap((temperature) =>
      [1, 40, 64].map((topK) => ({
        nVocab: n,
        logits,
        sampling: { ...plain, topK, temperature },
        random: pick(0, 0.37, 0.99, 1 - 2 ** -32),
      })),
    ),
  );
  assert.equal(judge(cases, await open(n).draw(cases)), 0);
});

test(
  "the package's defaults, and topK 0 beside them, need no row where a few tokens are likely",
  { skip },
  async () => {
    const n = 3000;
    const peaked = () => row(n, (_, i) => (i % 100 === 3 ? 8 + gauss() : gauss() - 2));
    const options = { ...plain, temperature: 0.8, topP: 0.95, minP: 0.05 };
    const cases = Array.from({ length: 60 }, (_, i) => ({
      nVocab: n,
      logits: peaked(),
      random: whole(2 ** 32) / 2 ** 32,
      sampling: [
        { ...options, topK: 40 },
        { ...options, topK: 0 },
        { ...options, topK: 0, topP: 1 },
        { ...options, topK: 0, topP: 0.6, minP: 0 },
        { ...options, topK: 100, topP: 1 },
      ][i % 5],
    }));
    assert.equal(judge(cases, await open(n).draw(cases)), 0);
  },
);

test('a number on the border of two tokens takes the second', { skip }, async () => {
  const cases = Array.from({ length: 64 }, (_, i) => ({
    nVocab: 80,
    logits: row(80, () => 2),
    sampling: { ...plain, topK: 64 },
    random: i / 64,
  }));
  const records = await open(80).draw(cases);
  assert.deepEqual(
    records.map(({ id }) => id),
    cases.map((one) => oracle.draw(one)),
  );
});

test('topP keeps the fewest tokens that reach it', { skip }, async () => {
  // As a float 0.1 is above a tenth: five of forty.
  const cases = [0, 0.1, 0.2, 0.25, 0.26, 0.3, 0.5, 0.75, 0.999].flatMap((topP) =>
    [0.249, 0.25, 0.4, 0.5, 0.7, 0.999].map((u, i) => ({
      nVocab: 80,
      logits: row(80, () => -1),
      sampling: { ...plain, topK: [4, 40][i % 2], topP },
      random: Math.floor(u * 2 ** 32) / 2 ** 32,
    })),
  );
  const records = await open(80).draw(cases);
  assert.deepEqual(
    records.map(({ id }) => id),
    cases.map((one) => oracle.draw(one)),
  );
});

test('a draw that further tokens may decide is left to the host', { skip }, async () => {
  const sampler = open(3000);
  const flat = row(3000, () => gauss() / 10);
  const some = (change) => ({ nVocab: 3000, logits: flat, sampling: { ...plain, ...change } });
  const left = [{ topP: 0.95 }, { minP: 0.05 }, { topP: 0.95, minP: 0.05 }, { topK: 100, minP: 0.05 }];
  for (const record of await sampler.draw(left.map(some)))
    assert.deepEqual([record.id, record.faults], [-1, room.DrawFault.notCovered]);
  // 64 of 3000 tokens, all with the same logit, have 0.0213 of the probability.
  const even = row(3000, () => 1);
  const [under, over] = await sampler.draw(
    [0.0212, 0.0215].map((topP) => ({ logits: even, sampling: { ...plain, topP }, random: 0.999 })),
  );
  assert.deepEqual([under.id, over.id], [63, -1]);
});

test('logits that are not finite are reported, wherever they are', { skip }, async () => {
  const n = 5000;
  const { DrawFault } = room;
  const sampler = open(n);
  const with_ = (...pairs) => {
    const logits = row(n, () => gauss());
    for (const [at, value] of pairs) logits[at] = value;
    return logits;
  };
  const minus = row(n, () => -Infinity);
  const bias = [[7, 1]];
  for (const temperature of [0, 1]) {
    const sampling = { ...plain, temperature, topK: 40 };
    const all = [
      [with_([0, NaN]), DrawFault.notFinite],
      [with_([n - 1, Infinity]), DrawFault.notFinite],
      [with_([2048, NaN], [3, -Infinity]), DrawFault.notFinite],
      [minus, DrawFault.noCandidate],
      [with_([7, 1e38]), DrawFault.tooLarge, { bias }],
      [with_([7, -1e38]), DrawFault.tooLarge, { repetitionPenalty: 2 }],
    ];
    const records = await sampler.draw(
      all.map(([logits, , change]) => ({ logits, tokens: [1, 7, 1], sampling: { ...sampling, ...change } })),
    );
    records.forEach(({ id, faults }, i) => assert.deepEqual([id, faults], [-1, all[i][1]], `${i}`));
    // Large ones without bias and penalties are logits as others, and -inf is a token that is impossible.
    const cases = [with_([9, 3e38], [8, -3e38]), with_([9, -Infinity]), minus.with(77, -5)].map((logits) => ({
      nVocab: n,
      logits,
      sampling,
      random: 0.5,
    }));
    assert.equal(judge(cases, await sampler.draw(cases)), 0);
  }
  const forbidden = { ...plain, topK: 40, bias: Array.from({ length: n }, (_, id) => [id, -Infinity]) };
  const [none] = await sampler.draw([{ logits: with_(), sampling: forbidden }]);
  assert.deepEqual([none.id, none.faults], [-1, DrawFault.noCandidate]);
  const words = new Int32Array(await download(plainBench.device, sampler.tokens.buffer));
  assert.equal(words[1], 0); // what a step ahead would read
});

test('a bias for every token', { skip }, async () => {
  const n = 5000;
  const cases = Array.from({ length: 12 }, (_, i) => ({
    nVocab: n,
    logits: row(n, () => gauss()),
    random: random(),
    sampling: {
      ...plain,
      temperature: i % 3,
      topK: 50,
      bias: Array.from({ length: n }, (_, id) => [n - 1 - id, pick(-Infinity, 2, gauss())]),
    },
  }));
  cases.forEach((one) => (one.random = Math.floor(one.random * 2 ** 32) / 2 ** 32));
  assert.equal(judge(cases, await open(n).draw(cases)), 0);
});

test('the penalties look at the last 64 tokens, each once, and pass over embeddings', { skip }, async () => {
  const n = 100;
  const sampling = {
    ...plain,
    temperature: 0,
    repetitionPenalty: 2,
    frequencyPenalty: 0.25,
    presencePenalty: 0.5,
  };
  const cases = [1, 2, 63, 64, 65, 66, 200].flatMap((count) =>
    Array.from({ length: 8 }, () => {
      const logits = row(n, () => Math.round(gauss() * 8) / 8);
      return {
        nVocab: n,
        logits,
        sampling,
        tokens: Array.from({ length: count }, () => whole(12) - 1),
      };
    }),
  );
  // The best token is only before the window, or at its first place.
  for (const at of [0, 1]) {
    const tokens = Array.from({ length: 65 }, (_, i) => (i === at ? 50 : 1));
    const logits = row(n, (_, i) => (i === 50 ? 3 : i === 51 ? 2 : 0));
    cases.push({ nVocab: n, logits, sampling, tokens });
    assert.equal(oracle.draw(cases.at(-1)), [50, 51][at]);
  }
  assert.equal(judge(cases, await open(n).draw(cases)), 0);
});

test('a step reads the tokens that the steps before it drew', { skip }, async () => {
  const n = 80;
  const sampler = open(n);
  const sampling = { ...plain, topK: 20, temperature: 1.5, repetitionPenalty: 2, frequencyPenalty: 0.5 };
  const prompt = [5, 9, 9];
  const steps = Array.from({ length: 60 }, (_, i) => ({
    logits: row(n, () => gauss() * 2),
    random: whole(2 ** 32) / 2 ** 32,
    sampling,
    firstPosition: prompt.length - 1 + i,
  }));
  for (const [i, step] of steps.entries())
    await sampler.step({ ...step, ...(i ? {} : { tokens: prompt }) }, i);
  const records = await sampler.read(steps.length);
  const tokens = [...prompt];
  steps.forEach((step, i) => {
    const { id, position, logit } = records[i];
    assert.equal(id, oracle.draw({ ...step, nVocab: n, tokens }));
    assert.equal(position, tokens.length);
    assert.ok(tokens.includes(id) ? logit !== step.logits[id] : logit === step.logits[id]);
    tokens.push(id);
  });
  const words = new Int32Array(await download(plainBench.device, sampler.tokens.buffer));
  assert.deepEqual([...words.subarray(0, tokens.length)], tokens);
});

test('the last output row is drawn from; a batch without one draws nothing', { skip }, async () => {
  const n = 70;
  const sampler = open(n);
  const best = (id) => row(n, (_, i) => (i === id ? 1 : 0));
  for (const sampling of [
    { ...plain, temperature: 0 },
    { ...plain, topK: 1 },
  ]) {
    const tokens = [1, 2, 3, 4, 5];
    await sampler.step({ tokens, nTokens: 3, logits: best(11), sampling, nOutputs: 1 }, 0);
    await sampler.step({ tokens, nTokens: 3, logits: best(33), sampling, nOutputs: 3 }, 1);
    await sampler.step({ tokens, nTokens: 3, sampling, nOutputs: 0 }, 2);
    const [a, b, c] = await sampler.read(3);
    assert.deepEqual([a.id, a.position, b.id, b.position, c.position], [11, 5, 33, 5, 0]);
  }
});

test('which options the GPU can sample with', { skip }, () => {
  const can = (change, n = 1000) => room.canSample({ ...plain, ...change }, n);
  assert.ok(can({ temperature: 0 }) && can({ topK: 64 }) && can({}, 64) && can({ topK: 40, topP: 0.9 }));
  assert.ok(can({ topP: 0.9 }) && can({ minP: 0.1 }) && can({ topK: 65, minP: 0.1 }));
  assert.ok(!can({}) && !can({ topK: 65 }) && !can({ topK: 65, topP: 0.9, minP: 0.1 }));
  assert.ok(!can({ topK: 1000 }) && can({ topK: 1000, topP: 0.9 }), 'a topK of the whole vocabulary is off');
  const bias = (...list) => can({ topK: 1, bias: list });
  assert.ok(bias([1, -Infinity], [2, 3e38]) && !bias([1, 1], [1, 2]) && !bias([1, 3.2e38]));
  assert.ok(!can({ topK: 1, repetitionPenalty: 1e7 }) && !can({ topK: 1, presencePenalty: -2e6 }));
  assert.ok(!bias([1000, 1]) && !bias([-1, 1]) && !bias([1, NaN]) && bias([999, 1]), 'the session refuses');
  for (const name of Object.keys(plain))
    for (const value of [NaN, -1e9]) assert.ok(!can({ topK: 1, temperature: 0, [name]: value }), name);
  assert.throws(() => open(1000).sampler.set(plain), /cannot sample/);
});
