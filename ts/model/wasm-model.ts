// SPDX-License-Identifier: Apache-2.0
// wasm-model.ts: level 1, with names in snake_case. It has one thread, the caller's.
// Calls are synchronous where they wait for nothing, so the load of a large model and generate() block a
// page. generate_async() doesn't block. Level 2 (loadModel) runs the engine in a worker.
/// <reference lib="esnext.disposable" preserve="true" />
import { asBytes, asOptional, asOptions, asStrings, refuse, wrong } from '../check.js';
import type { Fields } from '../check.js';
import { Work } from '../continuation.js';
import { ChordError, messageOf, show } from '../errors.js';
import type { GpuCounters } from '../executor.js';
import { asAddress, inlineModule } from '../files.js';
import { asOption, numbers } from '../options.js';
import { describe } from '../wasm/describe.js';
import type { LanguageModelInfo } from '../wasm/describe.js';
import { WasmEngine } from '../wasm/engine.js';
import { unpacked } from '../unpacked.js';
import { hasOwnGpu } from '../webgpu/detect.js';
import { compileModule } from '../wasm/instantiate.js';
import { chooseVariant } from '../wasm/detect.js';
import type { CompiledModule } from '../wasm/instantiate.js';
import { Pace } from '../wasm/pace.js';
import { AsyncTokenStream } from './async-token-stream.js';
import { Generation } from './generation.js';
import type { GenerationConfig, Workplace } from './generation.js';
import { foundGpu, isGpuAvailable, probeGpu } from './gpu.js';

/** Options of `init`. By default, `init` compiles the package's own module. */
export interface InitOptions {
  /**
   * URL of the wasm module, or of the folder (with a final slash) of the package's modules, if not beside its
   * JavaScript.
   */
  wasmUrl?: string | URL;
  /** A compiled module. With it, `wasmUrl` isn't used. */
  module?: WebAssembly.Module;
}

let compiled: CompiledModule | undefined;
let compiling: Promise<void> | undefined;

/**
 * Compiles the WebAssembly module once for all models. Call it before the first `new WasmModel`. After a
 * success, a call does nothing. By default it compiles the fastest variant that this JavaScript engine can
 * run. In a browser that has WebGPU it starts the probe and doesn't wait for it.
 *
 * @throws {ChordError} `io` or `http`, which name the URL, `internal` when the bytes aren't a module,
 *   `invalid-argument` for a wrong option. Another call may try again then.
 */
export default async function init(options: InitOptions = {}): Promise<void> {
  const given = asOptions('init', options, ['wasmUrl', 'module']);
  if (compiled !== undefined) return;
  await (compiling ??= compile(given).finally(() => {
    compiling = undefined;
  }));
}

async function compile({ wasmUrl, module }: Fields): Promise<void> {
  const wasm = asAddress('wasmUrl', wasmUrl) ?? inlineModule(chooseVariant().variant);
  if (hasOwnGpu()) void probeGpu();
  if (module !== undefined)
    compiled = {
      module: await unpacked(asModule(module)),
      variant: 'custom',
      reason: 'the caller gave the module',
    };
  else compiled = await compileModule({ wasm: await wasm });
}

/** Returns `module` if it is a WebAssembly.Module, of any realm. Throws `invalid-argument` otherwise. */
function asModule(module: unknown): WebAssembly.Module {
  try {
    WebAssembly.Module.exports(module as WebAssembly.Module);
  } catch {
    refuse(`init: module is ${show(module)}, not a WebAssembly.Module`);
  }
  return module as WebAssembly.Module;
}

/** Options of `init_gpu_async`. */
export interface GpuOptions {
  /** Node: flags for the package `webgpu`, such as 'backend=vulkan'. It ignores those it doesn't know. */
  gpu?: readonly string[];
  /** Address of webgpu.js, if not beside the package's JavaScript. */
  webgpuUrl?: string | URL;
}

/**
 * Counters of the work since the load; none of them is a time. Those of the GPU are 0 while the CPU computes.
 */
export interface WasmModelCounters extends GpuCounters {
  /** Steps that the executor ran. A step takes about 10 ms. */
  readonly stepsRun: number;
  /**
   * Prompt tokens evaluated, of prompts that were read to their end. Tokens whose keys and values were in
   * the KV cache aren't counted.
   */
  readonly tokensPrefilled: number;
  /** Tokens sampled, except the first of each generation. */
  readonly tokensDecoded: number;
  /** KV pages in use. */
  readonly kvPages: number;
  /** Size of the model's WebAssembly memory, in bytes. */
  readonly wasmBytes: number;
}

/** Target time of a step. Chromium runs a timer at every second turn, so a step must stay below 20 ms. */
const STEP_MS = 10;

const noGpuCounters: GpuCounters = {
  gpuDispatches: 0,
  gpuBytes: 0,
  gpuBytesRead: 0,
  submits: 0,
  submitsAhead: 0,
  readbacks: 0,
};

/** The same defaults as level 2. */
const defaults: GenerationConfig = {
  maxTokens: numbers.maxTokens.otherwise,
  temperature: numbers.temperature.otherwise,
  topP: numbers.topP.otherwise,
  topK: numbers.topK.otherwise,
  repetitionPenalty: numbers.repetitionPenalty.otherwise,
};

/**
 * A model in the caller's thread. One generation at a time. Every method except `free` throws `disposed`
 * after `free()`.
 */
export class WasmModel {
  /** @internal The build shortens other names. */
  static readonly name: string = 'WasmModel';
  readonly #compiled: CompiledModule;
  readonly #place: Workplace;
  #config = defaults;
  #isFreed = false;
  #isBusy = false;
  /** The way onto the GPU: under way, or done. */
  #gpu: Promise<void> | undefined;
  /** The reason for the backend, after init_gpu_async(). */
  #reason: string | undefined;

  /**
   * Loads a GGUF file from its bytes. The bytes are copied and not changed. Blocks until the model is
   * loaded.
   *
   * @throws {ChordError} `invalid-argument` before `init()`, and for a value that isn't a Uint8Array.
   *   `invalid-gguf`, `unsupported-architecture`, `unsupported-quantization`, `unsupported-tokenizer`, which
   *   name the tensor, key or offset at fault. `out-of-memory`. No memory is kept then.
   */
  constructor(ggufBytes: Uint8Array) {
    if (compiled === undefined) {
      throw new ChordError('invalid-argument', 'WasmModel: the WebAssembly module is not compiled yet', {
        hint: 'await init() first',
      });
    }
    this.#compiled = compiled;
    const engine = WasmEngine.load(compiled.module, asBytes('WasmModel: ggufBytes', ggufBytes));
    this.#place = {
      work: new Work(engine, new Pace(STEP_MS)),
      counters: { tokensPrefilled: 0, tokensDecoded: 0 },
    };
  }

  /**
   * Sets how the next generations draw their tokens. min-p, which level 2 has, is off here. Each generation
   * has a seed of its own.
   *
   * @param max_tokens Maximum number of new tokens, an integer from 1 to 2^31 - 1; 256 before the first
   *   call.
   * @param temperature 0 to 1e6; 0 takes the most likely token. 0.8 before the first call.
   * @param top_p 0 to 1; 1 is off. 0.95 before the first call.
   * @param top_k An integer from 0 to 2^31 - 1; 0 is off. 40 before the first call.
   * @param repetition_penalty 1e-6 to 1e6, over the last 64 tokens; 1 is off. 1 before the first call.
   * @throws {ChordError} `invalid-argument`, which names the value out of range. Nothing is changed then.
   */
  set_config(
    max_tokens: number,
    temperature: number,
    top_p: number,
    top_k: number,
    repetition_penalty: number,
  ): void {
    this.#open();
    const read = (name: keyof GenerationConfig, value: unknown): number =>
      asOption(name, value, `set_config: ${numbers[name].c}`);
    this.#config = {
      maxTokens: read('maxTokens', max_tokens),
      temperature: read('temperature', temperature),
      topP: read('topP', top_p),
      topK: read('topK', top_k),
      repetitionPenalty: read('repetitionPenalty', repetition_penalty),
    };
  }

  /**
   * Returns the continuation of `prompt`, without the prompt. Blocks until the continuation is complete.
   * After `init_gpu_async()` it throws `invalid-argument`: a call that blocks can't wait for a GPU. Use
   * `generate_async` then.
   *
   * @throws {ChordError} `busy` while another generation is unfinished, `context-full` when no new token
   *   fits in the context behind the prompt, `invalid-argument` for an empty prompt or a value that isn't a
   *   string, `out-of-memory`, `disposed`, `internal`.
   */
  generate(prompt: string): string {
    return this.generate_stream(prompt, () => undefined);
  }

  /**
   * Does what `generate` does, and calls `callback` with each token's text, which is '' while a character is
   * incomplete. Ends when the callback returns false. If the callback throws, its error is thrown, and the
   * model stays usable.
   *
   * @throws {ChordError} The errors of `generate`, and `invalid-argument` if `callback` isn't a function.
   */
  generate_stream(prompt: string, callback: (piece: string) => boolean | void): string {
    needPrompt(prompt);
    if (typeof callback !== 'function')
      refuse(`generate_stream: callback is ${show(callback)}, not a function`);
    if (this.#open().work.engine.executor.name === 'webgpu')
      refuse("the model is on the GPU, and a call that blocks can't wait for it", 'use generate_async');
    this.#take();
    let generation: Generation | undefined;
    try {
      generation = new Generation(this.#place, prompt, this.#config);
      let text = '';
      for (let count = 0; !generation.isFinished;) {
        const piece = generation.step();
        if (piece instanceof Promise)
          throw new ChordError('internal', 'the CPU executor must answer at once');
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

  /**
   * Returns a stream of the continuation's pieces. The present config applies. Nothing is computed before
   * the stream's first `next()`.
   *
   * @throws {ChordError} `invalid-argument` if `prompt` isn't a string, `disposed`. The stream's `next()`
   *   throws the other errors of `generate`.
   */
  generate_async(prompt: string): AsyncTokenStream {
    this.#open();
    needPrompt(prompt);
    const config = this.#config;
    return new AsyncTokenStream({
      take: () => this.#take(),
      start: () => new Generation(this.#open(), prompt, config),
      giveBack: () => {
        this.#isBusy = false;
      },
    });
  }

  /**
   * Resolves to the prompt of a conversation, rendered with the chat template in the model's file, as
   * Jinja2 does with the settings of Hugging Face transformers. The event loop turns while a template
   * renders, and its steps and memory are limited. `generate` doesn't double a BOS that the prompt has.
   *
   * @param messages_json JSON text: an array of messages (`role`, `content` ...), or an object with
   *   `messages` and, if wanted, `tools`, `add_generation_prompt`, `continue_final_message`,
   *   `chat_template` (a name), and more variables for the template, such as `enable_thinking`.
   * @throws {ChordError} `invalid-argument` for a text that isn't such JSON, when the file has no template,
   *   or when the template fails or refuses the messages; the message names the template's line.
   */
  async format_chat_messages(messages_json: string): Promise<string> {
    const { engine } = this.#open().work;
    if (typeof messages_json !== 'string')
      wrong('format_chat_messages: messages_json', messages_json, 'a string');
    const { formatMessages } = await import('./format-messages.js');
    this.#open();
    return formatMessages(engine, messages_json);
  }

  /**
   * Brings the model onto the GPU: a WebGPU adapter and device, the weights out of memory, the pipelines, and
   * a test of what they compute here. From then on `generate_async` runs on the GPU, and `generate` and
   * `generate_stream` throw `invalid-argument`. The session starts empty. The weights' WebAssembly memory
   * serves pages and prompts then; a memory never shrinks. The model is `busy` until the promise settles. A
   * call after a success does nothing.
   *
   * In Node the project must have installed the package `webgpu`.
   *
   * @throws {ChordError} `no-webgpu` with the reason, `out-of-memory` when the GPU can't hold the model,
   *   `device-lost`, `io` when webgpu.js can't be loaded, `busy` while a generation is unfinished,
   *   `disposed`. The model continues to run on the CPU.
   */
  async init_gpu_async(options: GpuOptions = {}): Promise<void> {
    this.#open();
    const given = asOptions('init_gpu_async', options, ['gpu', 'webgpuUrl']);
    const gpu = asOptional(given['gpu'], (flags) => asStrings('gpu', flags));
    const webgpuUrl = asAddress('webgpuUrl', given['webgpuUrl']);
    await (this.#gpu ??= this.#goOntoGpu({ gpu, webgpuUrl }));
  }

  async #goOntoGpu(request: {
    gpu: readonly string[] | undefined;
    webgpuUrl: string | undefined;
  }): Promise<void> {
    let hasModel = false;
    try {
      this.#take();
      hasModel = true;
      const { engine, session, counters } = this.#place.work;
      const { ontoGpu } = await import('./onto-gpu.js');
      const { executor, adapter, release } = await ontoGpu(engine, request, () => !this.#isFreed);
      engine.closeSession(session);
      engine.useExecutor(executor, release);
      engine.file.release();
      this.#place.work = new Work(engine, new Pace(STEP_MS), counters);
      this.#reason = `WebGPU, as asked: ${adapter}`;
      foundGpu();
    } catch (error) {
      this.#gpu = undefined;
      if (hasModel) this.#reason = `the CPU: ${messageOf(error)}`;
      throw error;
    } finally {
      if (hasModel) this.#isBusy = false;
    }
  }

  /** Does nothing if `init_gpu_async()` has succeeded on this model; throws `no-webgpu` otherwise. */
  init_gpu(): void {
    if (this.#open().work.engine.executor.name === 'webgpu') return;
    throw new ChordError('no-webgpu', 'the model is not on the GPU', {
      hint: 'await init_gpu_async() first',
    });
  }

  /** Resolves to whether this machine grants a WebGPU adapter and a device now. Never rejects. */
  static probe_gpu(): Promise<boolean> {
    return probeGpu();
  }

  /**
   * The result of the last GPU probe, or true after a success of `init_gpu_async()`. False before. In a
   * browser `init()` starts the first probe; in Node, where a probe starts Dawn, only `probe_gpu()` does.
   */
  static is_gpu_available(): boolean {
    return isGpuAvailable();
  }

  /** Returns the same facts as level 2's `info`. */
  get_model_info(): LanguageModelInfo {
    const { engine } = this.#open().work;
    const why = "1 thread: level 1 runs in the caller's thread";
    const pagingReason = engine.executor.name === 'webgpu' ? 'all weights are on the GPU' : undefined;
    return describe(engine, this.#compiled, why, this.#reason, pagingReason);
  }

  /** Returns counters of the work since the load. */
  counters(): WasmModelCounters {
    const { work, counters } = this.#open();
    const { stepsRun } = work.counters;
    return {
      stepsRun,
      ...counters,
      ...(work.engine.executor.counters ?? noGpuCounters),
      kvPages: work.session.state().n_pages,
      wasmBytes: work.engine.instance.heap.size,
    };
  }

  /**
   * Frees the model's memory. A stream under way and every later call throw `disposed`. A second call does
   * nothing.
   */
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
    const { engine } = this.#open().work;
    if (this.#isBusy) {
      const isLeaving = this.#gpu !== undefined && engine.executor.name === 'cpu';
      throw isLeaving
        ? new ChordError('busy', 'the model is on its way onto the GPU', {
            hint: 'await init_gpu_async() first',
          })
        : new ChordError('busy', 'another generation on this model is unfinished', {
            hint: 'read its stream to the end, or call its return() or free()',
          });
    }
    this.#isBusy = true;
  }
}

/** Node 20 and older browsers have no `Symbol.dispose`. The method exists only where the symbol does. */
export interface WasmModel extends Disposable {}
if (typeof Symbol.dispose === 'symbol') {
  Object.defineProperty(WasmModel.prototype, Symbol.dispose, {
    value(this: WasmModel) {
      this.free();
    },
    configurable: true,
    writable: true,
  });
}

function needPrompt(prompt: unknown): void {
  if (typeof prompt !== 'string') wrong('the prompt', prompt, 'a string');
}
