#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// demo.mjs: loads a GGUF model in Node and streams the model's answer to one question into the terminal.
//
//   node demo.mjs [model.gguf] [question]          (`make demo` builds the package and runs this)
import path from 'node:path';
import { loadModel } from 'wasm-chord';

const [file = 'models/SmolLM2-135M-Instruct.Q4_1.gguf', question = 'What is the capital of France?'] =
  process.argv.slice(2);

const bar = ({ phase, loaded, total, progress }) => {
  if (!process.stderr.isTTY) return;
  if (phase === 'ready') return void process.stderr.write('\r\x1b[2K');
  const filled = Math.round((progress ?? 0) * 30);
  const megabytes = total
    ? `${(loaded / 1e6).toFixed(0)} of ${(total / 1e6).toFixed(0)} MB`
    : `${(loaded / 1e6).toFixed(0)} MB`;
  process.stderr.write(`\r\x1b[2K${phase} ${'█'.repeat(filled)}${'·'.repeat(30 - filled)} ${megabytes}`);
};

const model = await loadModel(file, { onProgress: bar });
const { name, variant, threads, backendReason } = model.info;
console.log(
  `${path.basename(file)} (${name}) in ${variant} with ${threads} ${threads === 1 ? 'thread' : 'threads'} (${backendReason})\n`,
);

// A system turn of our own. Without it SmolLM2's template adds another system turn. The two best first
// tokens are then 0.08 apart, less than the noise of 4-bit weights, and llama.cpp too may answer in French
// nonsense.
const prompt = await model.applyChatTemplate([
  { role: 'system', content: 'You are a helpful assistant.' },
  { role: 'user', content: question },
]);
console.log(`> ${question}`);
const run = model.generate(prompt, { temperature: 0 });
for await (const { text } of run) process.stdout.write(text);

const { promptTokens, promptMs, tokens, tokensPerSecond } = run.stats;
console.log(
  `\n\n${tokens} tokens at ${tokensPerSecond.toFixed(1)} tokens/s, after ${promptTokens} prompt tokens in ${promptMs.toFixed(0)} ms`,
);
await model.dispose();
