// SPDX-License-Identifier: Apache-2.0
// page.mjs: the engines that run in a page, as measure.mjs wants them, and the page's own form.
// run.mjs opens the page anew for each measurement, picks the file, and calls window.bench.
import { measure } from './measure.mjs';
import { makePrompt } from './prompts.mjs';

/** Our package as its users have it. */
async function ours() {
  const { loadModel, version } = await import('../dist/index.js');
  let model;
  return {
    async load(source, { threads, contextLength }) {
      model = await loadModel(source, { threads, contextLength });
      this.threads = model.info.threads;
      this.version = `${version()}, ${model.info.variant}`;
      this.info = model.info;
      this.tokenize = (text) => model.tokenize(text);
    },
    async forget(prompt) {
      const [first] = await model.tokenize(prompt);
      await model.generate([first === 5 ? 6 : 5], { maxTokens: 1 }).text(); // the KV cache now holds another beginning
    },
    async *generate(prompt, maxTokens) {
      const run = model.generate(prompt, { maxTokens, temperature: 0, ignoreEos: true });
      let tokens = 0, text = '';
      for await (const event of run) {
        text += event.text;
        yield ++tokens;
      }
      const { promptTokens, cachedTokens, promptMs } = run.stats;
      return { promptTokens, cachedTokens, promptMs, text };
    },
    close: () => model.dispose(),
  };
}

/** wllama: one module for any number of threads; no GPU layers, one slot, as its documentation says for the CPU. */
async function wllama() {
  const folder = new URL('../build/bench/node_modules/@wllama/wllama/esm/', import.meta.url);
  const { Wllama, LoggerWithoutDebug } = await import(new URL('index.js', folder).href);
  const engine = new Wllama({ default: new URL('wasm/wllama.wasm', folder).href }, { suppressNativeLog: true, logger: LoggerWithoutDebug });
  return {
    async load(source, { threads, contextLength }) {
      await engine.loadModel([source], { n_ctx: contextLength, n_threads: threads, n_gpu_layers: 0, n_parallel: 1 });
      this.threads = engine.getNumThreads();
      this.version = `llama.cpp ${Wllama.getLibllamaVersion()}`;
    },
    async *generate(prompt, maxTokens) {
      const chunks = await engine.createCompletion({
        prompt, max_tokens: maxTokens, temperature: 0, top_k: 1, cache_prompt: false, timings_per_token: true, ignore_eos: true, stream: true,
      });
      let timings, text = '', given = 0;
      for await (const chunk of chunks) {
        timings = chunk.timings ?? timings;
        text += chunk.choices?.[0]?.text ?? '';
        if (timings?.predicted_n > given) yield (given = timings.predicted_n);
      }
      return { promptTokens: timings.prompt_n + timings.cache_n, cachedTokens: timings.cache_n, promptMs: timings.prompt_ms, text };
    },
    close: () => engine.exit(),
  };
}

const engines = { ours, wllama };
const file = document.querySelector('#file');

/** One measurement with the file that was picked. */
globalThis.bench = async ({ engine, ...plan }) => measure(await engines[engine](), file.files[0], plan);

/** Facts about the picked file and prompts by our tokenizer: [[number, count], ...] -> [{ text, count }]. */
globalThis.prepare = async (wanted) => {
  const engine = await ours();
  await engine.load(file.files[0], { threads: 1, contextLength: 256 });
  const prompts = [];
  for (const [number, count] of wanted) prompts.push(await makePrompt(engine.tokenize, number, count));
  const { architecture, quantization, parameters } = engine.info;
  await engine.close();
  return { facts: { architecture, quantization, parameters }, prompts };
};

// For people: our package alone, with one thread and with all.
const output = document.querySelector('output');
document.querySelector('button').addEventListener('click', async ({ target }) => {
  target.disabled = true;
  try {
    output.textContent = 'preparing';
    const most = globalThis.crossOriginIsolated ? Math.min(8, navigator.hardwareConcurrency) : 1;
    const lines = [];
    for (const threads of new Set([1, most])) {
      for (let number = 0; number < 3; number++) {
        const { prompts: [warm, long, short] } = await globalThis.prepare([[90, 32], [number, 128], [50 + number, 16]]);
        const found = await globalThis.bench({
          engine: 'ours', threads, contextLength: 1024,
          warmUp: { prompt: warm, tokens: 8 }, prefill: { prompt: long }, decode: { prompt: short, tokens: 64 },
        });
        lines.push(`${found.threads} thread(s), ${found.version}: load ${(found.loadMs / 1000).toFixed(2)} s, prefill 128 ${found.prefill.toFixed(1)}, decode 64 ${found.decode.toFixed(1)} tokens/s`);
        output.textContent = lines.join('\n');
      }
    }
  } catch (error) {
    output.textContent += `\n${error.message}`;
  } finally {
    target.disabled = false;
  }
});
document.documentElement.dataset.ready = 'true';
