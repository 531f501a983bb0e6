// SPDX-License-Identifier: Apache-2.0
// page.mjs: the engines that run in a page, in the form of measure.mjs. form.mjs is the page's own form.
// run.mjs opens the page again for each measurement, picks the file, and calls globalThis.bench.
import { ceilings } from './ceilings.mjs';
import { measure } from './measure.mjs';
import { ours } from './ours.mjs';
import { makePrompt } from './prompts.mjs';
import './form.mjs';

const DIST = new URL('../dist/', import.meta.url);

/**
 * wllama: one module for any number of threads; no GPU layers and one slot, as its documentation says for the
 * CPU. Its worker creates the memory. The worker's source is a Blob: a program in front of the source
 * reports the size.
 */
async function wllama() {
  const folder = new URL('../build/bench/node_modules/@wllama/wllama/esm/', import.meta.url);
  const { Wllama, LoggerWithoutDebug } = await import(new URL('index.js', folder).href);
  const channel = new BroadcastChannel('bench-memory');
  const tell = `{ const Memory = WebAssembly.Memory, made = [], channel = new BroadcastChannel('bench-memory');
    WebAssembly.Memory = function (options) {
      const memory = new Memory(options);
      made.push(memory);
      return memory;
    };
    channel.onmessage = ({ data }) => {
      if (data !== 'ask' || !made.length) return;
      channel.postMessage(Math.max(...made.map((memory) => memory.buffer.byteLength)));
    }; }\n`;
  const Plain = globalThis.Blob;
  globalThis.Blob = class extends Plain {
    constructor(parts = [], options = {}) {
      super(options.type === 'text/javascript' ? [tell, ...parts] : parts, options);
    }
  };
  const engine = new Wllama(
    { default: new URL('wasm/wllama.wasm', folder).href },
    { suppressNativeLog: true, logger: LoggerWithoutDebug },
  );
  return {
    canAbort: true,
    async load(source, { threads, contextLength }) {
      await engine.loadModel([source], {
        n_ctx: contextLength,
        n_threads: threads,
        n_gpu_layers: 0,
        n_parallel: 1,
      });
      globalThis.Blob = Plain;
      this.threads = engine.getNumThreads();
      this.version = `llama.cpp ${Wllama.getLibllamaVersion()}`;
    },
    async *generate(prompt, maxTokens, abortSignal) {
      const chunks = await engine.createCompletion({
        prompt,
        max_tokens: maxTokens,
        temperature: 0,
        top_k: 1,
        cache_prompt: false,
        timings_per_token: true,
        ignore_eos: true,
        stream: true,
        abortSignal,
      });
      let timings,
        text = '',
        given = 0;
      for await (const chunk of chunks) {
        timings = chunk.timings ?? timings;
        text += chunk.choices?.[0]?.text ?? '';
        if (timings?.predicted_n > given) yield (given = timings.predicted_n);
      }
      return {
        promptTokens: timings.prompt_n + timings.cache_n,
        cachedTokens: timings.cache_n,
        promptMs: timings.prompt_ms,
        text,
      };
    },
    // Undefined if the worker doesn't answer: no figure.
    memory: () =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, 2000);
        channel.onmessage = ({ data }) => {
          clearTimeout(timer);
          resolve(data);
        };
        channel.postMessage('ask');
      }),
    close: () => engine.exit(),
  };
}

const engines = {
  ours: () => ours(DIST),
  // The package with its simd module under both names.
  simd: () => ours(new URL('../build/bench/dist-simd/', import.meta.url)),
  wllama,
};
const file = document.querySelector('#file');

/** One measurement with the picked file. */
globalThis.bench = async ({ engine: name, ...plan }) => {
  const engine = await engines[name]();
  const found = await measure(engine, file.files[0], plan);
  return { ...found, variant: name === 'simd' ? 'wasm32-simd' : engine.variant };
};

globalThis.ceilings = ceilings;

/**
 * Facts about the picked file, and prompts made with our tokenizer: [[number, count], ...] -> [{ text, count
 * }].
 */
globalThis.prepare = async (wanted) => {
  const engine = await ours(DIST);
  await engine.load(file.files[0], { threads: 1, contextLength: 256 });
  const prompts = [];
  for (const [number, count] of wanted) prompts.push(await makePrompt(engine.tokenize, number, count));
  const { chatTemplate, memory, contextLength, ...info } = engine.info;
  await engine.close();
  return {
    facts: { ...info, weightBytes: memory.weights, kvBytesPerToken: memory.kv / contextLength },
    prompts,
  };
};
document.documentElement.dataset.ready = 'true';
