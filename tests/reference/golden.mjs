// SPDX-License-Identifier: Apache-2.0
// golden.mjs: reads the files of tests/golden (described in its README.md) and compares logits with them, in
// Node and in a page that the project's server serves.

const BEST = 32; // tokens per step in the golden of a real model

const at = (name, suffix) => new URL(`../golden/${name}${suffix}`, import.meta.url);
const fromHex = (hex) =>
  hex === '-'
    ? ''
    : new TextDecoder().decode(Uint8Array.from(hex.match(/../g), (byte) => Number.parseInt(byte, 16)));

/** The bytes of a file beside this one, in a buffer of their own. */
async function bytesOf(url) {
  if (url.protocol !== 'file:') return (await fetch(url)).arrayBuffer();
  const { readFile } = await import('node:fs/promises');
  return Uint8Array.from(await readFile(url)).buffer;
}

/**
 * Reads a golden. A prompt of a fixture has `logits`, one array per row. A prompt of a real model has `best`
 * (a map from id to logit per step) and `sample` (an array of logits per `golden.sample.every` steps).
 */
export async function readGolden(name) {
  const golden = { tolerance: null, vocabulary: 0, noise: {}, ends: [], prompts: [], texts: [] };
  for (const line of new TextDecoder().decode(await bytesOf(at(name, '.txt'))).split('\n')) {
    const [key, ...values] = line.split(' ');
    const numbers = values.map(Number);
    const prompt = golden.prompts.at(-1);
    if (key === 'n_vocab') golden.vocabulary = numbers[0];
    else if (key === 'tolerance')
      golden.tolerance = { nmse: numbers[0], median: numbers[1], regret: numbers[2] };
    else if (key === 'noise')
      golden.noise[values[0]] = {
        nmse: numbers[1],
        median: numbers[2],
        p90: numbers[3],
        regret: numbers[4],
        differ: numbers[5],
      };
    else if (key === 'sample') golden.sample = { every: numbers[0], stride: numbers[1] };
    else if (key === 'end_tokens') golden.ends = numbers;
    else if (key === 'prompt') golden.prompts.push({});
    else if (key === 'prompt_text') prompt.text = fromHex(values[0]);
    else if (['ids', 'greedy', 'margins', 'rows'].includes(key)) prompt[key] = numbers;
    else if (key === 'text')
      golden.texts.push({ flags: numbers[0], text: fromHex(values[1]), ids: numbers.slice(2) });
  }
  if (golden.prompts.length > 0) await readLogits(name, golden);
  return golden;
}

async function readLogits(name, golden) {
  for (const prompt of golden.prompts) prompt.sequence = [...prompt.ids, ...prompt.greedy.slice(0, -1)];
  const buffer = await bytesOf(at(name, '.logits'));
  if (golden.sample) placeSteps(golden, buffer);
  else placeRows(golden, new Float32Array(buffer));
}

function placeRows(golden, logits) {
  let row = 0;
  for (const prompt of golden.prompts)
    prompt.logits = prompt.rows.map(() =>
      logits.subarray(row * golden.vocabulary, ++row * golden.vocabulary),
    );
}

function placeSteps(golden, buffer) {
  const ids = new Int32Array(buffer),
    logits = new Float32Array(buffer);
  const { every, stride } = golden.sample;
  const n = Math.ceil(golden.vocabulary / stride);
  const steps = golden.prompts[0].greedy.length;
  let pair = 0,
    sample = golden.prompts.length * steps * BEST * 2;
  for (const prompt of golden.prompts) {
    prompt.best = Array.from(
      { length: steps },
      () => new Map(Array.from({ length: BEST }, () => [ids[pair], logits[(pair += 2) - 1]])),
    );
  }
  for (const prompt of golden.prompts)
    prompt.sample = Array.from({ length: steps / every }, () => logits.subarray(sample, (sample += n)));
}

/** Returns exact's best logit of a step minus exact's logit of `token`; Infinity if it isn't in `best`. */
export function stepRegret(prompt, step, token) {
  const best = prompt.best[step];
  return best.has(token) ? best.values().next().value - best.get(token) : Infinity;
}

export function argmax(row) {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}

/** sum((a - b)^2) / sum(b^2) over pairs of rows. */
export function nmse(pairs) {
  let error = 0,
    power = 0;
  for (const [ours, exact] of pairs) {
    for (let i = 0; i < exact.length; i++) {
      error += (ours[i] - exact[i]) ** 2;
      power += exact[i] ** 2;
    }
  }
  return error / power;
}

/** Scores pairs [ours, exact]: NMSE of all rows, median NMSE per row, largest regret of ours' best token. */
export function score(pairs) {
  const rows = pairs.map((pair) => nmse([pair])).sort((a, b) => a - b);
  const regret = Math.max(...pairs.map(([ours, exact]) => exact[argmax(exact)] - exact[argmax(ours)]));
  return { nmse: nmse(pairs), median: rows[rows.length >> 1], regret };
}

/**
 * Reads the golden of a model at depth: `sample` has every `stride`th logit of the last `rows` tokens.
 * `label`: the run of llama.cpp whose noise and tolerance are wanted.
 */
export async function readDepth(name, label) {
  const lines = new TextDecoder().decode(await bytesOf(at(name, '.txt'))).split('\n');
  const numbers = (...words) => {
    const begin = `${words.join(' ')} `;
    return lines
      .find((line) => line.startsWith(begin))
      .slice(begin.length)
      .split(' ')
      .map(Number);
  };
  const [rows, stride] = numbers('sample');
  const [nmse, , , , differ] = numbers('noise', label);
  return {
    rows,
    stride,
    ids: numbers('ids'),
    best: numbers('best'),
    tolerance: { nmse: numbers(`tolerance_${label}`)[0] },
    noise: { nmse, differ },
    sample: new Float32Array(await bytesOf(at(name, '.logits'))),
  };
}
