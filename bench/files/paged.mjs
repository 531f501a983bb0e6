// SPDX-License-Identifier: Apache-2.0
// paged.mjs: a model in memory and paged within memory budgets, in Node: a prompt of 128 ids and 16 tokens
// behind it, what was read, and the longer one of computing (in memory) and reading (1 MiB at a time).
// usage: node bench/files/paged.mjs [--threads 2] [--budgets 1.5,1] FILE ...      budgets in GiB
import { open } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { loadModel } from '../../dist/index.js';

const text = { type: 'string' };
const { values, positionals } = parseArgs({
  options: { threads: text, budgets: text },
  allowPositionals: true,
});
const threads = Number(values.threads ?? 2);
const budgets = (values.budgets ?? '1.5,1').split(',').map((gib) => Math.round(gib * 2 ** 30));
const [PROMPT, TOKENS, PIECE] = [128, 16, 1 << 20];
const GREEDY = { temperature: 0, ignoreEos: true };
const mb = (bytes) => `${(bytes / 1e6).toFixed(0)} MB`;
const seconds = (ms) => `${(ms / 1000).toFixed(3)} s`;

/** Bytes a second of pieces all over the file, as a paged model reads them. */
async function readRate(file) {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const piece = new Uint8Array(PIECE);
    const step = Math.max(PIECE, Math.floor(size / 1024));
    let [bytes, begin] = [0, performance.now()];
    for (let at = 0; at + PIECE <= size; at += step)
      bytes += (await handle.read(piece, 0, PIECE, at)).bytesRead;
    return (1000 * bytes) / (performance.now() - begin);
  } finally {
    await handle.close();
  }
}

async function measure(file, memoryBudget) {
  const options = { backend: 'cpu', threads, cache: 'none', contextLength: 512, memoryBudget };
  const model = await loadModel(file, options);
  try {
    let state = 1;
    const ids = () => 300 + ((state = (state * 48271) % 0x7fffffff) % 30_000);
    const warm = Array.from({ length: 16 }, ids);
    const prompt = Array.from({ length: PROMPT }, ids);
    await model.generate(warm, { ...GREEDY, maxTokens: 3 }).text();
    const first = model.generate(prompt, { ...GREEDY, maxTokens: 1 });
    const start = await model.counters();
    await first.text();
    const middle = await model.counters();
    const run = model.generate(prompt, { ...GREEDY, maxTokens: TOKENS + 1 });
    await run.text();
    const end = await model.counters();
    return {
      info: model.info,
      promptMs: first.stats.promptMs,
      promptBytes: middle.bytesPaged - start.bytesPaged,
      tokenMs: run.stats.decodeMs / TOKENS,
      tokenBytes: (end.bytesPaged - middle.bytesPaged) / (TOKENS + 1),
      memory: end.wasmBytes,
    };
  } finally {
    await model.dispose();
  }
}

for (const file of positionals) {
  const inMemory = await measure(file);
  const { promptMs, tokenMs, memory } = inMemory;
  console.log(`${path.basename(file)}, ${threads} thread(s), ${inMemory.info.variant}`);
  console.log(`  in memory: ${mb(memory)}, prompt ${seconds(promptMs)}, token ${seconds(tokenMs)}`);
  for (const budget of budgets) {
    const paged = await measure(file, budget);
    const rate = await readRate(file);
    const longer = Math.max(tokenMs, (1000 * paged.tokenBytes) / rate);
    console.log(
      `  ${(budget / 2 ** 30).toFixed(1)} GiB: ${mb(paged.memory)}, prompt ${seconds(paged.promptMs)} ` +
        `(${mb(paged.promptBytes)} read), token ${seconds(paged.tokenMs)} (${mb(paged.tokenBytes)} read, ` +
        `${mb(rate)}/s: ${(paged.tokenMs / longer).toFixed(2)} of the longer one)`,
    );
  }
}
