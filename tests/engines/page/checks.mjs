// SPDX-License-Identifier: Apache-2.0
// checks.mjs: what every JavaScript engine must do, as functions that run in it: in a page of a browser, or
// in Node. Each takes { model, fixtures } (addresses of SmolLM2 and names of golden fixtures), resolves to
// figures as JSON, and throws an error that says what is wrong.
import init, {
  ChordError,
  WasmModel,
  cacheUsage,
  capabilities,
  deleteModel,
  downloadModel,
  estimateModel,
  format_chat,
  listModels,
  loadModel,
} from '../../../dist/index.js';
import { withHeapAt } from '../../reference/heap-at.mjs';
import { judgeFixture, judgeReal } from '../../reference/judge.mjs';

const SMALL = new URL('../../golden/q4_1-smollm.gguf', import.meta.url);
const GREEDY = { temperature: 0, maxTokens: 12, ignoreEos: true };
const PROMPT = 'The capital of France is';

function expect(fact, otherwise) {
  if (!fact) throw new Error(otherwise);
}

function expectEqual(actual, expected, what) {
  const [ours, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  expect(ours === right, `${what}: ${ours} instead of ${right}`);
}

/** Makes a llama's file say that it was trained for `tokens`, so that a plan may be above 4 GiB. */
function trainFor(bytes, tokens) {
  const key = [...'llama.context_length'].map((letter) => letter.charCodeAt(0));
  const at = bytes.findIndex((_, i) => key.every((code, k) => bytes[i + k] === code));
  new DataView(bytes.buffer).setUint32(at + key.length + 4, tokens, true); // behind the value's type
}

function addressOf(module) {
  return globalThis.location === undefined
    ? `data:application/wasm;base64,${Buffer.from(module).toString('base64')}`
    : URL.createObjectURL(new Blob([module]));
}

async function bytesOf(url) {
  if (url.protocol !== 'file:') return new Uint8Array(await (await fetch(url)).arrayBuffer());
  return new Uint8Array(await (await import('node:fs/promises')).readFile(url));
}

/** The code of the ChordError that `call` rejects with, or throws. */
async function codeOf(call) {
  try {
    await call();
  } catch (error) {
    return ChordError.isInstance(error) ? error.code : `not a ChordError: ${error}`;
  }
  return 'no error';
}

async function withModel(source, options, use) {
  const model = await loadModel(source, options);
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

export const checks = {
  /** What the engine offers, and what a model then says of itself. */
  async environment() {
    const found = await capabilities();
    return withModel(SMALL, {}, ({ info }) => {
      const { variant, variantReason, threads, threadsReason, backendReason } = info;
      return { ...found, info: { variant, variantReason, threads, threadsReason, backendReason } };
    });
  },

  /** The golden logits: a map from a fixture's name to how far its logits are from llama.cpp's. */
  async fixtures({ fixtures, threads }) {
    const found = {};
    for (const name of fixtures) found[name] = await judgeFixture(loadModel, name, { threads });
    return found;
  },

  /** SmolLM2's tokens beside llama.cpp's, in one prefill of each prompt with its answer. */
  smollm2: ({ model }) =>
    judgeReal(loadModel, 'smollm2', new URL(model, import.meta.url), {}, { ways: ['prefill'], nTexts: 2 }),

  /** Level 1: an engine in the caller's thread. */
  async level1() {
    await init();
    const bytes = await bytesOf(SMALL);
    expectEqual(await codeOf(() => new WasmModel(bytes.slice(0, 5000))), 'invalid-gguf', 'half a header');
    const model = new WasmModel(bytes);
    model.set_config(16, 0, 1, 0, 1);
    const text = model.generate(PROMPT);
    expect(text.length > 0, 'an empty text');
    let pieces = '';
    expectEqual(
      model.generate_stream(PROMPT, (piece) => void (pieces += piece)),
      text,
      'generate_stream',
    );
    expectEqual(pieces, text, 'the pieces of generate_stream');

    const stream = model.generate_async(PROMPT);
    pieces = '';
    let ticks = 0;
    const timer = setInterval(() => void ticks++, 0);
    for await (const piece of stream) pieces += piece;
    clearInterval(timer);
    expectEqual(pieces, text, 'the pieces of generate_async');
    expectEqual([stream.is_complete(), stream.token_count()], [true, 16], 'at its end');
    expect(ticks > 0, 'no timer ran during generate_async');

    let count = 0;
    for await (const _ of model.generate_async(PROMPT)) {
      if (++count === 3) break;
      expectEqual(await codeOf(() => model.generate(PROMPT)), 'busy', 'a second generation');
    }
    expectEqual(model.generate(PROMPT), text, 'the text after break');
    model.free();
    expectEqual(await codeOf(() => model.generate(PROMPT)), 'disposed', 'after free()');
    expectEqual(format_chat('', 'Hi', 'chatml').includes('<|im_start|>user\nHi'), true, 'format_chat');
    return { text, ticks };
  },

  /** Level 2: an engine in a worker. */
  async level2({ model: address }) {
    const small = await withModel(SMALL, {}, async (model) => {
      const text = await model.generate(PROMPT, GREEDY).text();
      expectEqual(await model.generate(PROMPT, GREEDY).text(), text, 'the same call again');
      const sampled = (seed) => model.generate(PROMPT, { ...GREEDY, temperature: 1, seed }).text();
      const [one, two, again] = [await sampled(1), await sampled(2), await sampled(1)];
      expectEqual(again, one, 'the same seed again');
      expect(one !== two, 'two seeds give one text');
      const words = 'naïve café, 数, 😀';
      expectEqual(await model.detokenize(await model.tokenize(words)), words, 'tokenize and detokenize');
      let count = 0;
      for await (const { token } of model.generate(PROMPT, GREEDY)) {
        expect(Number.isInteger(token), 'an event without a token');
        if (++count === 3) break;
      }
      expectEqual(await model.generate(PROMPT, GREEDY).text(), text, 'the text after break');
      return { text, sampled: one };
    });
    const chat = await withModel(new URL(address, import.meta.url), {}, async (model) => {
      const request = {
        // Without a system turn of one's own, SmolLM2's greedy answer is French.
        messages: [
          { role: 'system', content: 'You are a helpful assistant.' },
          { role: 'user', content: 'What is the capital of France?' },
        ],
        temperature: 0,
        max_tokens: 8,
      };
      const { choices, usage } = await model.chat.completions.create(request);
      expect(usage.completion_tokens > 0, 'no tokens');
      let text = '';
      for await (const { choices } of await model.chat.completions.create({ ...request, stream: true }))
        text += choices[0]?.delta.content ?? '';
      expectEqual(text, choices[0].message.content, 'the streamed answer');
      return text;
    });
    expect(/Paris/.test(chat), `the capital of France is ${chat}`);
    return { ...small, chat };
  },

  /** Every kind of source that a page has gives the same text. */
  async sources() {
    const bytes = await bytesOf(SMALL);
    const blob = () => new Blob([bytes]);
    const sources = {
      url: SMALL,
      bytes,
      buffer: bytes.slice().buffer,
      blob: blob(),
      file: new File([bytes], 'small.gguf'),
      response: new Response(blob()),
      stream: blob().stream(),
    };
    const texts = {};
    for (const [kind, source] of Object.entries(sources))
      texts[kind] = await withModel(source, {}, (model) => model.generate(PROMPT, GREEDY).text());
    for (const [kind, text] of Object.entries(texts)) expectEqual(text, texts.url, kind);
    return { kinds: Object.keys(sources) };
  },

  /** As many threads as are granted, and none of them changes a logit. */
  async threads() {
    const run = (options) =>
      withModel(SMALL, options, async (model) => {
        const logits = await model.logits(await model.tokenize(PROMPT.repeat(8)));
        return { logits: [...logits], threads: model.info.threads, reason: model.info.threadsReason };
      });
    const [granted, asked, one] = [await run({}), await run({ threads: 2 }), await run({ threads: 1 })];
    expectEqual(one.threads, 1, 'threads: 1');
    expectEqual(asked.logits, one.logits, 'the logits of threads: 2');
    expectEqual(granted.logits, one.logits, 'the logits with the default');
    const { threads } = await capabilities();
    expectEqual(asked.threads, Math.min(2, threads), 'threads: 2');
    const noWorker = await run({ worker: false });
    expectEqual(noWorker.threads, 1, 'worker: false');
    expectEqual(noWorker.logits, one.logits, 'the logits of worker: false');
    expectEqual(one.reason, '1 thread, as asked', 'the reason of threads: 1');
    expectEqual(noWorker.reason, '1 thread: only a worker can have more', 'the reason of worker: false');
    return { granted: granted.threads, reasons: [granted.reason, asked.reason, one.reason, noWorker.reason] };
  },

  /**
   * With 64-bit addresses: the hashes of the fixtures' logits, and what a plan above 4 GiB takes. Without
   * Memory64: the error of such a plan.
   */
  async memory64({ fixtures, threads }) {
    const { memory64 } = await capabilities();
    const bytes = await bytesOf(new URL('../../golden/f32-mha.gguf', import.meta.url));
    trainFor(bytes, 2 ** 24);
    const options = { threads, contextLength: 2 ** 24 };
    const logitsOf = (more) =>
      withModel(bytes, { ...options, ...more }, async (model) => [
        model.info.variant,
        model.info.memory.total,
        [...(await model.logits([1, 2, 3, 4, 5]))],
      ]);
    if (!memory64) {
      const error = await logitsOf({}).catch(({ code, message }) => ({ code, message }));
      return { memory64, ...error };
    }
    const [variant, total, wide] = await logitsOf({});
    expectEqual(wide, (await logitsOf({ contextLength: 64 }))[2], 'logits with 64-bit addresses');
    const wasmUrl = new URL('../../../dist/wasm64-relaxed.wasm', import.meta.url);
    const hashes = {};
    for (const name of fixtures)
      hashes[name] = (await judgeFixture(loadModel, name, { threads, wasmUrl })).hash;
    // Some with everything past 5 GiB.
    const built = await bytesOf(new URL('../../../build/wasm/wasm64-relaxed.wasm', import.meta.url));
    const module = withHeapAt(built, 5 * 2 ** 30);
    const high = { threads, wasmUrl: addressOf(module) };
    for (const name of fixtures.filter((_, i) => i % 5 === 0)) {
      const { hash } = await judgeFixture(loadModel, name, high);
      expectEqual(hash, hashes[name], `${name}'s logits in a memory that begins past 5 GiB`);
    }
    return { memory64, variant, total, hashes };
  },

  /** An abort inside a long prompt takes effect within one step, and the model stays usable. */
  async abort({ model: address }) {
    return withModel(new URL(address, import.meta.url), {}, async (model) => {
      const answer = () => model.generate(PROMPT, { ...GREEDY, maxTokens: 4 }).text();
      const expected = await answer();
      const before = await model.counters();
      const controller = new AbortController();
      const { signal } = controller;
      const ids = (await model.tokenize('The keeper climbed the stairs every morning. '.repeat(300))).slice(
        0,
        2000,
      );
      const run = model.generate(ids, { ...GREEDY, signal }).text();
      const outcome = run.then(
        () => 'it ended by itself',
        (error) => (error === signal.reason ? 'aborted' : String(error)),
      );
      while ((await model.counters()).stepsRun < before.stepsRun + 3) continue;
      const begin = performance.now();
      controller.abort();
      const received = await model.counters();
      expectEqual(await outcome, 'aborted', 'the run');
      const ms = performance.now() - begin;
      const after = await model.counters();
      expect(after.stepsRun - received.stepsRun <= 1, `${after.stepsRun - received.stepsRun} steps after it`);
      expect(after.tokensPrefilled - before.tokensPrefilled < 1500, 'the prompt was read to its end');
      expectEqual(await answer(), expected, 'the answer after the abort');
      expectEqual(after.stepsOverBudget, 0, 'steps over their budget');

      const loading = new AbortController();
      const load = loadModel(new URL(address, import.meta.url), {
        signal: loading.signal,
        onProgress: ({ loaded }) => loaded > 0 && loading.abort(),
      });
      const refused = await load.then(
        () => 'it loaded',
        (error) => (error === loading.signal.reason ? 'aborted' : String(error)),
      );
      expectEqual(refused, 'aborted', 'the load');
      return { ms };
    });
  },

  /** Bad files are typed errors, and the next load works. */
  async badFiles() {
    const bytes = await bytesOf(SMALL);
    const patched = (find, replace) => {
      const copy = bytes.slice();
      const [old, fresh] = [find, replace].map((text) => new TextEncoder().encode(text));
      const at = copy.findIndex((_, i) => old.every((byte, k) => copy[i + k] === byte));
      copy.set(fresh, at);
      return copy;
    };
    const isPage = SMALL.protocol !== 'file:';
    const codes = {
      truncated: await codeOf(() => loadModel(bytes.slice(0, bytes.length - 100))),
      'half a header': await codeOf(() => loadModel(bytes.slice(0, 5000))),
      empty: await codeOf(() => loadModel(new Uint8Array())),
      html: await codeOf(() => loadModel(new Blob(['<!doctype html><title>not here</title>']))),
      architecture: await codeOf(() => loadModel(patched('llama', 'lhama'))),
      missing: await codeOf(() => loadModel(new URL('nothing.gguf', SMALL))),
      'no URL': await codeOf(() => loadModel(42)),
    };
    expectEqual(
      codes,
      {
        truncated: 'invalid-gguf',
        'half a header': 'invalid-gguf',
        empty: 'invalid-gguf',
        html: 'invalid-gguf',
        architecture: 'unsupported-architecture',
        missing: isPage ? 'http' : 'io',
        'no URL': 'invalid-argument',
      },
      'codes',
    );
    await withModel(bytes, {}, (model) => model.generate(PROMPT, GREEDY).text());
    return codes;
  },

  /** The counters of memory after a load and after some use. The caller knows the bound. */
  async memory({ model: address }) {
    return withModel(new URL(address, import.meta.url), {}, async (model) => {
      const loaded = await model.counters();
      const prompt = 'The keeper of the lighthouse climbed the stairs. '.repeat(30);
      const run = model.generate(prompt, { ...GREEDY, maxTokens: 16 });
      await run.text();
      return { info: model.info, loaded, used: await model.counters(), stats: run.stats };
    });
  },

  /** A second load comes from the cache, whatever the engine keeps it in. */
  async cache() {
    const source = new URL('?cached', SMALL);
    await deleteModel(source);
    const load = async () => {
      const phases = new Set();
      const onProgress = ({ phase }) => void phases.add(phase);
      const text = await withModel(source, { onProgress }, (model) => model.generate(PROMPT, GREEDY).text());
      return { text, phases: [...phases] };
    };
    const first = await load();
    const [second, names] = [await load(), (await listModels()).map((model) => model.source)];
    expectEqual(second.text, first.text, 'the text of the copy');
    expect(first.phases.includes('download'), `the first load is ${first.phases}`);
    expect(!second.phases.includes('download'), `the second load is ${second.phases}`);
    expect(names.includes(source.href), `listModels: ${names}`);
    const { bytes, quota } = await cacheUsage();
    expect(bytes > 0 && (quota === undefined || quota > bytes), `cacheUsage: ${bytes} of ${quota}`);
    expectEqual(await deleteModel(source), true, 'deleteModel');
    expectEqual(
      (await listModels()).some((model) => model.source === source.href),
      false,
      'after deleteModel',
    );
    return { phases: [...first.phases, 'then', ...second.phases] };
  },

  /**
   * A model that doesn't fit is paged, with the bits of the resident one: from the cache, where another model
   * has the file open, and from a Blob.
   */
  async paging({ model: address }) {
    const own = new URL(address, import.meta.url);
    const isNode = own.protocol === 'file:';
    const url = isNode ? own : new URL(`${address}?paged`, import.meta.url);
    const options = { contextLength: 128, backend: 'cpu', threads: 2 };
    const ids = Array.from({ length: 24 }, (_, i) => 100 + ((i * 379) % 40_000));
    const judged = async (model) => ({
      logits: Array.from(await model.logits(ids)),
      text: await model.generate(ids, { ...GREEDY, maxTokens: 4 }).text(),
    });
    const expected = await withModel(url, options, judged);
    const blob = new Blob([await bytesOf(own)]);
    const least = await estimateModel(blob, { ...options, memoryBudget: 1 });
    const tight = { ...options, memoryBudget: Math.ceil(least.memory.total * 1.1) };
    const found = {};
    const compare = async (kind, model) => {
      const begin = performance.now();
      const { logits, text } = await judged(model);
      const ms = Math.round(performance.now() - begin);
      expect(model.info.pagedLayers > 10, `${kind}: ${model.info.pagedLayers} layers`);
      expectEqual(text, expected.text, `${kind}: the text`);
      expect(
        logits.every((value, i) => value === expected.logits[i]),
        `${kind}: the logits differ`,
      );
      const { bytesPaged, wasmBytes } = await model.counters();
      expect(wasmBytes <= tight.memoryBudget + 65536, `${kind}: ${wasmBytes} bytes`);
      found[kind] = { layers: model.info.pagedLayers, bytesPaged, ms, reason: model.info.pagingReason };
    };
    await withModel(blob, tight, (model) => compare('blob', model));
    // WebKitGTK keeps files in the Cache API, which has no random access.
    if ((await estimateModel(url, tight)).placement === 'impossible') {
      expect(navigator.storage?.getDirectory === undefined, 'a URL is paged where there is an OPFS');
      expectEqual(await codeOf(() => loadModel(url, tight)), 'out-of-memory', 'a URL');
      found.url = { refused: (await estimateModel(url, tight)).pagingReason };
    } else
      await withModel(url, tight, async (model) => {
        await compare('url', model);
        await withModel(url, tight, (second) => compare('second', second));
        await compare('url', model);
      });
    if (!isNode) await deleteModel(url);
    return found;
  },

  /** The first part of `resume`: a download that is aborted. Resolves to the bytes that are kept. */
  async interrupt({ model: address }) {
    const source = new URL(`${address}?resumed`, import.meta.url);
    await deleteModel(source);
    const controller = new AbortController();
    const stopped = await downloadModel(source, {
      signal: controller.signal,
      onProgress: ({ loaded, total }) => loaded > 2e7 && loaded < total && controller.abort(),
    }).then(
      () => 'it was complete first',
      (error) => (error === controller.signal.reason ? 'aborted' : String(error)),
    );
    expectEqual(stopped, 'aborted', 'the download');
    const kept = (await listModels()).find((model) => model.source === source.href);
    expect(kept !== undefined && !kept.isComplete && kept.bytes > 0, `kept: ${JSON.stringify(kept)}`);
    return { bytes: kept.bytes, total: kept.totalBytes };
  },

  /** The second part, after a reload of the page: the download goes on where it ended. */
  async resume({ model: address, kept }) {
    const source = new URL(`${address}?resumed`, import.meta.url);
    let first;
    const entry = await downloadModel(source, {
      onProgress: ({ loaded }) => {
        if (loaded > 0) first ??= loaded;
      },
    });
    expect(entry.isComplete && entry.bytes === kept.total, `it ended as ${JSON.stringify(entry)}`);
    expect(first >= kept.bytes, `it began at ${first}, and ${kept.bytes} bytes were kept`);
    const text = await withModel(source, {}, (model) => model.generate(PROMPT, GREEDY).text());
    await deleteModel(source);
    return { from: kept.bytes, text };
  },
};
