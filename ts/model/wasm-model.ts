// SPDX-License-Identifier: Apache-2.0
// wasm-model.ts: level 1: the promised API. One thread, the caller's own; names as promised, in snake_case.
// Everything that waits for nothing is synchronous, so a large model's load or generate() blocks the page:
// generate_async() doesn't, and level 2 (loadModel) moves all of it into a worker.
/// <reference lib="esnext.disposable" preserve="true" />
import { asBytes, asOptions, reading, refuse, wrong } from '../check.js';
import { Work } from '../continuation.js';
import { ChordError, show } from '../errors.js';
import { asOption, numbers } from '../options.js';
import { describe } from '../wasm/describe.js';
import type { LanguageModelInfo } from '../wasm/describe.js';
import { WasmEngine } from '../wasm/engine.js';
import { compileModule } from '../wasm/instantiate.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import { Pace } from '../wasm/pace.js';
import { AsyncTokenStream } from './async-token-stream.js';
import { Generation } from './generation.js';
import type { GenerationConfig, Workplace } from './generation.js';
import { isGpuAvailable, probeGpu } from './gpu.js';

export interface InitOptions {
  /** Where the wasm module lies, when not beside the package's JavaScript. */
  wasmUrl?: string | URL;
  /** A module that was compiled already. */
  module?: WebAssembly.Module;
}

let compiled: CompiledModule | undefined;
let compiling: Promise<void> | undefined;

/**
 * Compiles the module once for all models; call it before the first `new WasmModel`. Again is a no-op.
 * Picks the fastest variant that this engine validates; in Node the file is read. Starts the GPU probe and
 * doesn't wait for it.
 *
 * @throws {ChordError} `io` or `http` naming the URL, `internal` when the bytes aren't a module; init may
 *   be tried again then.
 */
export default function init(options: InitOptions = {}): Promise<void> {
  if (compiled !== undefined) return Promise.resolve();
  return (compiling ??= compile(options).finally(() => { compiling = undefined; }));
}

async function compile(options: InitOptions): Promise<void> {
  const { wasmUrl, module } = asOptions('init', options, ['wasmUrl', 'module']);
  void probeGpu();
  if (module !== undefined) compiled = { module: asModule(module), variant: 'custom', reason: 'the caller gave the module' };
  else compiled = await compileModule({ wasmUrl: wasmUrl === undefined ? undefined : reading('wasmUrl', () => resolveUrl(wasmUrl)) });
}

/** What only a compiled module answers, of this realm or another. */
function asModule(module: unknown): WebAssembly.Module {
  try {
    WebAssembly.Module.exports(module as WebAssembly.Module);
  } catch {
    refuse(`init: module is ${show(module)}, not a WebAssembly.Module`);
  }
  return module as WebAssembly.Module;
}

function resolveUrl(url: unknown): URL {
  if (typeof url !== 'string' && !(url instanceof URL)) wrong('wasmUrl', url, 'a string or a URL');
  return new URL(url, globalThis.location?.href ?? import.meta.url);
}

/** Cheap and always on; tests use these and not clocks. Those of level 2 that mean something here. */
export interface WasmModelCounters {
  readonly stepsRun: number;
  /** Tokens evaluated of prompts (what the KV cache already held isn't), and tokens sampled after the first. */
  readonly tokensPrefilled: number;
  readonly tokensDecoded: number;
  /** KV pages in use. */
  readonly kvPages: number;
  /** Size of the model's WebAssembly memory. */
  readonly wasmBytes: number;
}

/** Chromium lets a timer in at every second turn, so a step must stay under 20 ms: aim at half. */
const STEP_MS = 10;

/** Level 2's. */
const defaults: GenerationConfig = {
  maxTokens: numbers.maxTokens.otherwise, temperature: numbers.temperature.otherwise, topP: numbers.topP.otherwise,
  topK: numbers.topK.otherwise, repetitionPenalty: numbers.repetitionPenalty.otherwise,
};

export class WasmModel {
  readonly #compiled: CompiledModule;
  readonly #place: Workplace;
  #config = defaults;
  #isFreed = false;
  #isBusy = false;

  /**
   * Loads a GGUF file from its bytes, which are copied and stay the caller's.
   *
   * @throws {ChordError} `invalid-argument` before `init()` and for anything but a Uint8Array;
   *   `invalid-gguf`, `unsupported-architecture`, `unsupported-quantization`, `unsupported-tokenizer`
   *   naming what is at fault; `out-of-memory`.
   */
  constructor(ggufBytes: Uint8Array) {
    if (compiled === undefined) {
      throw new ChordError('invalid-argument', 'WasmModel: the WebAssembly module is not compiled yet', { hint: 'await init() first' });
    }
    this.#compiled = compiled;
    const engine = WasmEngine.load(compiled.module, asBytes('WasmModel: ggufBytes', ggufBytes));
    this.#place = { work: new Work(engine, new Pace(STEP_MS)), counters: { tokensPrefilled: 0, tokensDecoded: 0 } };
  }

  /**
   * How the next generations draw their tokens. temperature 0 takes the likeliest; top_k 0, top_p 1 and
   * repetition_penalty 1 are off. Nothing else restricts the draw: level 2's min-p is off here. Each
   * generation has a seed of its own.
   *
   * @throws {ChordError} `invalid-argument` naming the value out of range; nothing has changed then.
   */
  set_config(max_tokens: number, temperature: number, top_p: number, top_k: number, repetition_penalty: number): void {
    this.#open();
    const read = (name: keyof GenerationConfig, value: unknown): number => asOption(name, value, `set_config: ${numbers[name].c}`);
    this.#config = {
      maxTokens: read('maxTokens', max_tokens), temperature: read('temperature', temperature), topP: read('topP', top_p),
      topK: read('topK', top_k), repetitionPenalty: read('repetitionPenalty', repetition_penalty),
    };
  }

  /**
   * The continuation of `prompt`, without the prompt. Blocks until it is complete.
   *
   * @throws {ChordError} `busy` while another generation is unfinished, `context-full`, `disposed`.
   */
  generate(prompt: string): string {
    return this.generate_stream(prompt, () => undefined);
  }

  /**
   * As `generate`, and gives each token's text to `callback`: '' while a character is incomplete. Ends when
   * the callback returns false; what it throws reaches the caller, and the model stays usable.
   */
  generate_stream(prompt: string, callback: (piece: string) => boolean | void): string {
    needPrompt(prompt);
    if (typeof callback !== 'function') refuse('generate_stream: callback must be a function');
    this.#take();
    let generation: Generation | undefined;
    try {
      generation = new Generation(this.#place, prompt, this.#config);
      let text = '';
      for (let count = 0; !generation.isFinished; ) {
        const piece = generation.step();
        const isToken = generation.tokenCount > count;
        count = generation.tokenCount;
        text += piece ?? '';
        if ((isToken || piece) && callback(piece ?? '') === false) break;
      }
      return text;
    } finally {
      generation?.end();
      this.#isBusy = false;
    }
  }

  /** A stream of the continuation's pieces with the present config; nothing is computed before its first `next()`. */
  generate_async(prompt: string): AsyncTokenStream {
    this.#open();
    needPrompt(prompt);
    const config = this.#config;
    return new AsyncTokenStream({
      take: () => this.#take(),
      start: () => new Generation(this.#open(), prompt, config),
      giveBack: () => { this.#isBusy = false; },
    });
  }

  /**
   * Brings the model onto the GPU. This version has no GPU backend: it rejects with `no-webgpu` and the
   * reason, and the CPU path goes on working.
   */
  async init_gpu_async(): Promise<void> {
    this.#open();
    const found = (await probeGpu()) ? 'a WebGPU device is there, but' : 'no WebGPU device could be got here, and';
    throw new ChordError('no-webgpu', `${found} this version has no GPU backend yet`, { hint: 'the model goes on working on the CPU' });
  }

  /** Returns at once after a successful `init_gpu_async()` on this model, else throws `no-webgpu`. */
  init_gpu(): void {
    this.#open();
    throw new ChordError('no-webgpu', 'the model is not on the GPU', { hint: 'await init_gpu_async() first' });
  }

  /** Whether an adapter and a device were really got just now. */
  static probe_gpu(): Promise<boolean> {
    return probeGpu();
  }

  /** What the last probe found; `init()` starts the first. False until one has ended. */
  static is_gpu_available(): boolean {
    return isGpuAvailable();
  }

  /** The same facts as level 2's `info`, as plain data. */
  get_model_info(): LanguageModelInfo {
    return describe(this.#open().work.engine, this.#compiled, "level 1 runs in the caller's thread");
  }

  /** Steps and tokens computed since the load. */
  counters(): WasmModelCounters {
    const { work, counters } = this.#open();
    const { stepsRun } = work.counters;
    return { stepsRun, ...counters, kvPages: work.session.state().n_pages, wasmBytes: work.engine.instance.heap.size };
  }

  /** Gives the memory back; every later call, and a stream under way, ends with `disposed`. Again is a no-op. */
  free(): void {
    if (this.#isFreed) return;
    this.#isFreed = true;
    this.#place.work.engine.free();
  }

  #open(): Workplace {
    if (this.#isFreed) throw new ChordError('disposed', 'the model was freed');
    return this.#place;
  }

  #take(): void {
    this.#open();
    if (this.#isBusy) {
      throw new ChordError('busy', 'another generation on this model is unfinished', {
        hint: 'read its stream to the end, or call its return() or free()',
      });
    }
    this.#isBusy = true;
  }
}

/** Node 20 and older browsers lack the symbol: the method is there only where it can be called. */
export interface WasmModel extends Disposable {}
if (typeof Symbol.dispose === 'symbol') {
  Object.defineProperty(WasmModel.prototype, Symbol.dispose, {
    value(this: WasmModel) { this.free(); },
    configurable: true,
    writable: true,
  });
}

function needPrompt(prompt: unknown): void {
  if (typeof prompt !== 'string') wrong('the prompt', prompt, 'a string');
}
