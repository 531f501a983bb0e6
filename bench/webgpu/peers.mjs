// SPDX-License-Identifier: Apache-2.0
// peers.mjs: wllama and WebLLM on this browser's GPU, from build/bench, where `node bench/webgpu/run.mjs
// --fetch-peers` puts them. Each resolves to { version, prefill: { n: rate }, decode: { n: rate } }, or
// throws an error with a code: `not-installed`, `no-build` (WebLLM has no model of the shape),
// `not-reachable` (WebLLM's models are compiled for it and lie on a hub), `failed` (with the peer's own
// text). What WebLLM does behind `not-reachable` was never run: no machine of ours reached its hub.
import { streamOf } from './shapes.mjs';

const modules = new URL('../../build/bench/node_modules/', import.meta.url);
/** WebLLM's build of each shape. It has none of random weights, and none of 110M. */
const WEBLLM = {
  '1B': 'Llama-3.2-1B-Instruct-q4f16_1-MLC',
  '3B': 'Llama-3.2-3B-Instruct-q4f16_1-MLC',
  '8B': 'Llama-3.1-8B-Instruct-q4f16_1-MLC',
};

const fail = (code, message) => {
  throw Object.assign(new Error(message), { code });
};

async function installed(address) {
  const response = await fetch(address, { method: 'HEAD' }).catch(() => undefined);
  if (!response?.ok) fail('not-installed', 'node bench/webgpu/run.mjs --fetch-peers fetches it');
  return import(address).catch((error) => fail('failed', error.message));
}

/** The same random model; of its vocabulary a text of n letters takes some n tokens. */
async function wllama({ model, prefill, depths, tokens }) {
  const folder = new URL('@wllama/wllama/esm/', modules);
  const { Wllama } = await installed(new URL('index.js', folder).href);
  // It tells in its log alone whether the GPU or the CPU has the weights.
  let place = 'unknown';
  const listen = (text) => (place = /load_tensors:\s+(\S+) model buffer/.exec(text)?.[1] ?? place);
  const logger = { debug: listen, log: listen, warn: listen, error: listen };
  const blob = await new Response(streamOf(model)).blob();
  const engine = new Wllama({ default: new URL('wasm/wllama.wasm', folder).href }, { logger });
  try {
    const n_ctx = Math.max(...prefill, ...depths) + tokens + 32;
    await engine.loadModel([blob], { n_ctx, n_gpu_layers: 999, n_parallel: 1 });
    const run = async (length, max_tokens) => {
      const letters = Array.from({ length }, () => 'abcdefgh'[Math.floor(Math.random() * 8)]);
      const chunks = await engine.createCompletion({
        prompt: letters.join(''),
        max_tokens,
        temperature: 0,
        top_k: 1,
        cache_prompt: false,
        timings_per_token: true,
        ignore_eos: true,
        stream: true,
        // A text of random bytes isn't UTF-8, which wllama refuses: no tokens of single bytes.
        logit_bias: Array.from({ length: 259 }, (_, id) => [id, -1000]),
      });
      let timings;
      for await (const chunk of chunks) timings = chunk.timings ?? timings;
      return timings;
    };
    await run(16, 4);
    const found = {
      version: `wllama 3.13.0, llama.cpp ${Wllama.getLibllamaVersion()}, weights: ${place}`,
      prefill: {},
      decode: {},
    };
    for (const n of prefill) {
      const { prompt_n, prompt_ms } = await run(n, 1);
      found.prefill[n] = (prompt_n / prompt_ms) * 1000;
    }
    for (const n of depths) {
      const { predicted_n, predicted_ms } = await run(Math.max(n, 1), tokens);
      found.decode[n] = (predicted_n / predicted_ms) * 1000;
    }
    return found;
  } catch (error) {
    return fail(error.code ?? 'failed', error.message);
  } finally {
    await engine.exit().catch(() => undefined);
  }
}

/** The trained model of the same shape, in WebLLM's own four-bit form: its weights can't be made here. */
async function webllm({ shape, prefill, depths, tokens }) {
  const id = WEBLLM[shape] ?? fail('no-build', `WebLLM has no build of the shape ${shape}`);
  const { CreateMLCEngine, prebuiltAppConfig } = await installed(
    new URL('@mlc-ai/web-llm/lib/index.js', modules).href,
  );
  const { model: address, model_lib } = prebuiltAppConfig.model_list.find(({ model_id }) => model_id === id);
  for (const url of [`${address.replace(/\/$/, '')}/resolve/main/mlc-chat-config.json`, model_lib])
    if (!(await fetch(url, { method: 'HEAD' }).catch(() => undefined))?.ok)
      fail('not-reachable', `${new URL(url).host} doesn't answer for ${id}`);
  const engine = await CreateMLCEngine(id).catch((error) => fail('failed', error.message));
  try {
    const run = async (length, max_tokens) => {
      const { usage } = await engine.completions.create({
        prompt: Array.from({ length }, (_, i) => ` ${'abcdefgh'[(i * 5 + length) % 8]}`).join(''),
        max_tokens,
        temperature: 0,
        ignore_eos: true,
      });
      await engine.resetChat();
      return usage.extra;
    };
    await run(16, 4);
    const found = { version: `WebLLM, ${id}`, prefill: {}, decode: {} };
    for (const n of prefill) found.prefill[n] = (await run(n, 1)).prefill_tokens_per_s;
    for (const n of depths) found.decode[n] = (await run(Math.max(n, 1), tokens)).decode_tokens_per_s;
    return found;
  } catch (error) {
    return fail('failed', error.message);
  } finally {
    await engine.unload().catch(() => undefined);
  }
}

export const PEERS = { wllama, WebLLM: webllm };
