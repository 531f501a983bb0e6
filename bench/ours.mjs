// SPDX-License-Identifier: Apache-2.0
// ours.mjs: our published package as an engine for measure.mjs, in the page and in Node. Run by itself in
// Node it reads { file, dist, ...plan } as JSON from standard input, and prints the result of measure() as
// its last line.

/** The engine from the package in the folder `dist` (a URL). */
export async function ours(dist) {
  const { loadModel, version } = await import(new URL('index.js', dist).href);
  let model;
  return {
    canAbort: true,
    async load(source, { threads, contextLength }) {
      model = await loadModel(source, { threads, contextLength });
      this.threads = model.info.threads;
      this.version = version();
      this.variant = model.info.variant;
      this.info = model.info;
      this.tokenize = (text) => model.tokenize(text);
    },
    async forget(prompt) {
      const [first] = await model.tokenize(prompt);
      // Afterwards the KV cache holds another prefix.
      await model.generate([first === 5 ? 6 : 5], { maxTokens: 1 }).text();
    },
    async *generate(prompt, maxTokens, signal) {
      const run = model.generate(prompt, { maxTokens, temperature: 0, ignoreEos: true, signal });
      let tokens = 0,
        text = '';
      for await (const event of run) {
        text += event.text;
        yield ++tokens;
      }
      const { promptTokens, cachedTokens, promptMs } = run.stats;
      return { promptTokens, cachedTokens, promptMs, text };
    },
    async memory() {
      // A wasm memory never shrinks.
      const { wasmBytes, bufferBytesPeak } = await model.counters();
      return wasmBytes + bufferBytesPeak;
    },
    close: () => model.dispose(),
  };
}

if (globalThis.process?.argv?.[1]?.endsWith('ours.mjs')) {
  const [{ readFileSync }, { measure }] = await Promise.all([import('node:fs'), import('./measure.mjs')]);
  const { file, dist, ...plan } = JSON.parse(readFileSync(0, 'utf8'));
  const engine = await ours(dist);
  const result = await measure(engine, file, plan);
  process.stdout.write(`\n${JSON.stringify({ ...result, variant: engine.variant })}\n`, () =>
    process.exit(0),
  );
}
