// SPDX-License-Identifier: Apache-2.0
// native.mjs: llama.cpp as node-llama-cpp's prebuilt binaries have it; one process per measurement. Reads {
// file, ...plan } as JSON from standard input, and prints the result of measure() as its last line.
import { readFileSync } from 'node:fs';
import { measure } from './measure.mjs';

const { getLlama, LlamaLogLevel } = await import(
  new URL('../build/bench/node_modules/node-llama-cpp/dist/index.js', import.meta.url).href
);

let llama, model, context, sequence;
const engine = {
  canAbort: false, // evaluate() takes no signal
  async load(file, { threads, contextLength }) {
    model = await llama.loadModel({ modelPath: file, gpuLayers: 0 });
    context = await model.createContext({
      contextSize: contextLength,
      batchSize: contextLength,
      threads,
      sequences: 1,
    });
    sequence = context.getSequence();
    this.threads = context.currentThreads;
    this.version = `llama.cpp ${llama.llamaCppRelease.release}`;
  },
  forget: () => sequence.clearHistory(),
  async *generate(prompt, maxTokens) {
    const begin = performance.now();
    const ids = model.tokenize(prompt, true);
    if (model.tokens.shouldPrependBosToken) ids.unshift(model.tokens.bos);
    const cachedTokens = sequence.nextTokenIndex;
    const out = [];
    let promptMs;
    for await (const token of sequence.evaluate(ids, { temperature: 0, yieldEogToken: true })) {
      promptMs ??= performance.now() - begin; // node-llama-cpp shows no clock of its own
      yield out.push(token);
      if (out.length === maxTokens) break;
    }
    return { promptTokens: ids.length, cachedTokens, promptMs, text: model.detokenize(out) };
  },
  // The whole process: the mapped file and Node itself included.
  memory: () => process.resourceUsage().maxRSS * 1024,
  close: () => model.dispose(), // disposes of the context too
};

const { file, ...plan } = JSON.parse(readFileSync(0, 'utf8'));
// Found, opened and checked before the clock starts: node-llama-cpp first tries the library in a separate
// process.
llama = await getLlama({
  gpu: false,
  build: 'never',
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: plan.threads,
});
const result = await measure(engine, file, plan);
process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit(0));
