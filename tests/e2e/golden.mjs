// SPDX-License-Identifier: Apache-2.0
// golden.mjs: reads tests/golden/NAME.txt and .logits (form: tests/golden/README.md).
import { readFile } from 'node:fs/promises';

export async function readGolden(name) {
  const at = (suffix) => new URL(`../golden/${name}${suffix}`, import.meta.url);
  const golden = { tolerance: null, vocabulary: 0, prompts: [], texts: [] };
  for (const line of (await readFile(at('.txt'), 'utf8')).split('\n')) {
    const [key, ...values] = line.split(' ');
    const numbers = values.map(Number);
    const prompt = golden.prompts.at(-1);
    if (key === 'n_vocab') golden.vocabulary = numbers[0];
    else if (key === 'tolerance') golden.tolerance = { nmse: numbers[0], median: numbers[1], regret: numbers[2] };
    else if (key === 'prompt') golden.prompts.push({});
    else if (['ids', 'greedy', 'margins', 'rows'].includes(key)) prompt[key] = numbers;
    else if (key === 'text') golden.texts.push({ flags: numbers[0], text: Buffer.from(values[1] === '-' ? '' : values[1], 'hex').toString('utf8'), ids: numbers.slice(2) });
  }
  const bytes = await readFile(at('.logits'));
  const logits = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  let row = 0;
  for (const prompt of golden.prompts) {
    prompt.sequence = [...prompt.ids, ...prompt.greedy.slice(0, -1)];
    prompt.logits = prompt.rows.map(() => logits.subarray(row * golden.vocabulary, ++row * golden.vocabulary));
  }
  return golden;
}

/** sum((a - b)^2) / sum(b^2) over pairs of rows. */
export function nmse(pairs) {
  let error = 0, power = 0;
  for (const [ours, exact] of pairs) {
    for (let i = 0; i < exact.length; i++) {
      error += (ours[i] - exact[i]) ** 2;
      power += exact[i] ** 2;
    }
  }
  return error / power;
}
