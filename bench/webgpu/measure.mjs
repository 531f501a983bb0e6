// SPDX-License-Identifier: Apache-2.0
// measure.mjs: measures one model on the GPU, in a page and in Node, with the package alone. Prompts are
// random ids, so a random model needs no tokenizer. Every figure is by the caller's clock, except the
// profile, which is by the GPU's own timestamps.
import { streamOf } from './shapes.mjs';

/** Tokens of a decode measurement. */
export const DECODE = 32;

/** Random ids that are no control tokens; `salt` makes prompts that share no prefix. */
function promptOf(n, vocabulary, salt) {
  let state = salt * 2654435761 + 1;
  return Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return 259 + (state % (vocabulary - 259));
  });
}

/**
 * Resolves to the figures of `model` (makeModel of shapes.mjs). `options`: { loadModel, backend, gpu,
 * prefill: [n], depths: [n], repeat, note(text), frames?, isLate? }. `frames()` returns the longest time
 * between two frames since the last call. Once `isLate()` is true, figures are of one run each.
 */
export async function measureModel(model, options) {
  const {
    loadModel,
    backend = 'webgpu',
    gpu,
    prefill,
    depths,
    repeat = 3,
    note = () => {},
    frames,
    isLate = () => false,
  } = options;
  const times = async (measure) => {
    const results = [await measure()];
    while (results.length < repeat && !isLate()) results.push(await measure());
    return results;
  };
  const longest = Math.max(...prefill, ...depths) + DECODE + 16;
  const figures = { model: model.name, bytes: model.bytes, prefill: {}, decode: {} };
  let began = performance.now();
  const loaded = await loadModel(streamOf(model), {
    backend,
    ...(gpu && { gpu }),
    cache: 'none',
    contextLength: longest,
  });
  figures.loadMs = performance.now() - began;
  const { info } = loaded;
  Object.assign(figures, { backend: info.backend, reason: info.backendReason, memory: info.memory });
  note(`${model.name}: loaded in ${(figures.loadMs / 1000).toFixed(2)} s, ${info.backendReason}`);
  const run = async (n, maxTokens, salt) => {
    const generation = loaded.generate(promptOf(n, info.vocabularySize, salt), {
      maxTokens,
      temperature: 0,
      ignoreEos: true,
    });
    await generation.text();
    return generation.stats;
  };
  try {
    let salt = 1;
    figures.ttftColdMs = (await run(16, 1, salt++)).ttftMs;
    figures.ttftMs = median(await times(async () => (await run(16, 1, salt++)).ttftMs));
    frames?.();
    for (const n of prefill) {
      const ms = median(await times(async () => (await run(n, 1, salt++)).promptMs));
      figures.prefill[n] = (n / ms) * 1000;
      note(`prefill ${n}: ${figures.prefill[n].toFixed(1)} tokens/s`);
    }
    if (frames) figures.longestFrameMs = frames();
    for (const depth of depths) {
      const rates = await times(async () => (await run(Math.max(depth, 1), DECODE, salt++)).tokensPerSecond);
      figures.decode[depth] = median(rates);
      note(`decode at ${depth}: ${figures.decode[depth].toFixed(1)} tokens/s`);
      if (depth === depths[0]) figures.perToken = await perToken(loaded, run, () => salt++);
    }
    figures.profile = await profileOf(loaded, () => run(16, DECODE, salt++));
    figures.counters = await loaded.counters();
  } finally {
    await loaded.dispose();
  }
  return figures;
}

/** What a decoded token costs: the difference between two runs of different lengths after the same prompt. */
async function perToken(loaded, run, salt) {
  const keys = ['gpuDispatches', 'gpuBytesRead', 'submits', 'readbacks'];
  const count = async (tokens) => {
    const own = salt();
    const before = await loaded.counters();
    await run(16, tokens, own);
    const after = await loaded.counters();
    return Object.fromEntries(keys.map((key) => [key, after[key] - before[key]]));
  };
  const [short, long] = [await count(8), await count(24)];
  return Object.fromEntries(keys.map((key) => [key, (long[key] - short[key]) / 16]));
}

/** Time by kernel of one decode, with the bandwidth that each reached. */
async function profileOf(loaded, decode) {
  await loaded.profile();
  await decode();
  const entries = await loaded.profile();
  const all = entries.reduce((sum, { ms }) => sum + ms, 0);
  return entries.map(({ op, count, ms, bytes = 0 }) => ({
    op,
    count,
    ms,
    share: ms / all,
    gigabytesPerSecond: ms > 0 ? bytes / ms / 1e6 : 0,
  }));
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

/**
 * Share of the positions at which CPU and GPU prefer the same token, over forced ids of a random model. Both
 * are loaded one after the other.
 */
export async function agreement(model, { loadModel, gpu, tokens = 128 }) {
  const best = [];
  for (const backend of ['cpu', 'webgpu']) {
    const loaded = await loadModel(streamOf(model), {
      backend,
      ...(gpu && { gpu }),
      cache: 'none',
      contextLength: 512,
    });
    const { vocabularySize } = loaded.info;
    const rows = await loaded.logits(promptOf(tokens, vocabularySize, 99), { all: true });
    best.push(
      Array.from({ length: tokens }, (_, i) => {
        const row = rows.subarray(i * vocabularySize, (i + 1) * vocabularySize);
        return row.reduce((at, x, k) => (x > row[at] ? k : at), 0);
      }),
    );
    await loaded.dispose();
  }
  return best[0].filter((id, i) => id === best[1][i]).length / tokens;
}
