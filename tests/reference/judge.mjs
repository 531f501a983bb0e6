// SPDX-License-Identifier: Apache-2.0
// judge.mjs: runs a loaded model over the prompts of a golden and compares what it computes, in Node and in a
// page. What the numbers may be stands in tests/golden/README.md.
import { argmax, nmse, readGolden, score, stepRegret } from './golden.mjs';

const GOLDEN = new URL('../golden/', import.meta.url);

async function sha256(floats) {
  // A copy: the logits may lie in memory that WebCrypto refuses.
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', floats.slice()));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const WAYS = ['prefill', 'one-by-one'];

/** The module that runs. Whether its multiply-adds are fused (`+fma`) depends on the machine. */
const moduleOf = ({ info }) => info.variant.replace('+fma', '');

const rowsOf = (logits, vocabulary, rows) =>
  rows.map((row) => logits.subarray(row * vocabulary, (row + 1) * vocabulary));

async function collect(generation) {
  const tokens = [];
  for await (const { token } of generation) tokens.push(token);
  return tokens;
}

/** Kullback-Leibler divergence of `row` from `best` (a map from id to logit), over the ids of `best`. */
function divergence(best, row) {
  const softmax = (logits) => {
    const largest = Math.max(...logits);
    const powers = logits.map((logit) => Math.exp(logit - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  };
  const exact = softmax([...best.values()]);
  const ours = softmax([...best.keys()].map((id) => row[id]));
  return exact.reduce((sum, p, i) => sum + p * Math.log(p / ours[i]), 0);
}

/** Compares a fixture's tokens and logits with its golden. `hash` is the hash of all logits. */
export async function judgeFixture(loadModel, name, options) {
  const golden = await readGolden(name);
  const model = await loadModel(new URL(`${name}.gguf`, GOLDEN), options);
  const wrongTexts = [];
  for (const { text, flags, ids } of golden.texts) {
    const ours = await model.tokenize(text, {
      addSpecial: (flags & 1) !== 0,
      parseSpecial: (flags & 2) !== 0,
    });
    if (ours.join() !== ids.join()) wrongTexts.push({ text, flags, ours, ids });
  }
  const hashes = [];
  const pairs = [],
    greedy = [];
  for (const { ids, sequence, rows, logits: exact } of golden.prompts) {
    const logits = await model.logits(sequence, { all: true });
    hashes.push(await sha256(logits));
    pairs.push(...rowsOf(logits, golden.vocabulary, rows).map((row, k) => [row, exact[k]]));
    const last = await model.logits(ids);
    if (
      nmse([
        [last, logits.subarray((ids.length - 1) * golden.vocabulary, ids.length * golden.vocabulary)],
      ]) !== 0
    )
      throw new Error(`${name}: the logits of the last position alone aren't bitwise equal`);
    greedy.push(await collect(model.generate(ids, { maxTokens: 40, temperature: 0, ignoreEos: true })));
  }
  const { threads } = model.info;
  const variant = moduleOf(model);
  await model.dispose();
  return { variant, threads, wrongTexts, greedy, ...score(pairs), hash: hashes.join(' ') };
}

/**
 * Compares each step of a real model's prompts with the golden: how many argmax differ, the largest regret,
 * and the first step that differs (`parted`). `kl` is the mean divergence from exact's probabilities, among
 * its best tokens of a step. `ways`: one prefill of the whole sequence, or token by token. The first `nTexts`
 * prompts are continued freely too.
 */
export async function judgeReal(loadModel, name, source, options, { ways = WAYS, nTexts = Infinity } = {}) {
  const golden = await readGolden(name);
  const { prompts } = golden;
  const contextLength = Math.max(...prompts.map(({ sequence }) => sequence.length)) + 1;
  const model = await loadModel(source, { contextLength, ...options });
  const found = {
    variant: moduleOf(model),
    threads: model.info.threads,
    wrongPrompts: [],
    ways: {},
    texts: [],
  };
  for (const { text, ids } of prompts) {
    const ours = await model.tokenize(text, { addSpecial: true, parseSpecial: true });
    if (ours.join() !== ids.join()) found.wrongPrompts.push(text);
  }
  const { every, stride } = golden.sample;
  for (const way of ways) {
    const sum = { differ: 0, regret: 0, kl: 0, parted: [] };
    const pairs = [];
    for (const prompt of prompts) {
      const { ids, greedy, sequence } = prompt;
      const all = way === 'prefill' ? await model.logits(sequence, { all: true }) : undefined;
      let parted = greedy.length;
      for (let k = 0; k < greedy.length; k++) {
        const end = ids.length + k;
        const row = all
          ? all.subarray((end - 1) * golden.vocabulary, end * golden.vocabulary)
          : await model.logits(sequence.slice(0, end));
        const token = argmax(row);
        sum.kl += divergence(prompt.best[k], row) / (prompts.length * greedy.length);
        sum.regret = Math.max(sum.regret, stepRegret(prompt, k, token));
        if (token !== greedy[k]) {
          sum.differ += 1;
          parted = Math.min(parted, k);
        }
        if (k % every === 0)
          pairs.push([
            Float32Array.from(prompt.sample[k / every], (_, i) => row[i * stride]),
            prompt.sample[k / every],
          ]);
      }
      sum.parted.push(parted);
    }
    found.ways[way] = { ...sum, nmse: nmse(pairs) };
  }
  for (const { ids, greedy } of prompts.slice(0, nTexts))
    found.texts.push(
      await collect(model.generate(ids, { maxTokens: greedy.length, temperature: 0, ignoreEos: true })),
    );
  found.counters = await model.counters();
  await model.dispose();
  return found;
}
