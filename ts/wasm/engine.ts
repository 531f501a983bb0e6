// SPDX-License-Identifier: Apache-2.0
// One model in one WebAssembly memory, with the parts of this room that work on it. Calls are synchronous,
// by one caller at a time. Level 1 uses an engine in the caller's thread. Level 2 uses it in the engine
// worker, whose helpers share the memory (threads.ts).
import type { Executor } from '../executor.js';
import type { PlanOptions } from '../options.js';
import { openExecutor } from './executor.js';
import { WasmInstance } from './instance.js';
import { Loader } from './loader.js';
import { Profile } from './profile.js';
import { WasmSession } from './session.js';
import { Vocabulary } from './vocabulary.js';

export class WasmEngine {
  readonly instance: WasmInstance;
  readonly file: Loader;
  readonly vocabulary: Vocabulary;
  readonly profile: Profile;
  #executor: Executor;
  /** Frees what the executor runs on. */
  #release: () => void = () => {};

  /**
   * Creates a memory of at most `memoryBudget` bytes and an instance of `module`. No model is loaded yet.
   * Throws `out-of-memory`, `internal`.
   */
  constructor(module: WebAssembly.Module, memoryBudget?: number) {
    this.instance = new WasmInstance(module, memoryBudget);
    this.file = new Loader(this.instance);
    this.vocabulary = new Vocabulary(this.instance, this.file);
    this.#executor = openExecutor(this.instance);
    this.profile = new Profile(this.instance, this.file);
  }

  /**
   * Loads a model from bytes in memory, in the caller's thread. Throws as the constructor and `Loader.load`;
   * the memory is dropped then.
   */
  static load(module: WebAssembly.Module, bytes: Uint8Array, options: PlanOptions = {}): WasmEngine {
    const engine = new WasmEngine(module);
    try {
      engine.file.load(bytes, options);
      return engine;
    } catch (error) {
      engine.free();
      throw error;
    }
  }

  get executor(): Executor {
    return this.#executor;
  }

  /**
   * Puts another executor in place of the CPU's, before any session is open. `release` is called after the
   * executor was freed: it frees what the executor runs on.
   */
  useExecutor(executor: Executor, release: () => void): void {
    this.#executor.free();
    this.#executor = executor;
    this.#release = release;
  }

  /** Opens an empty session, or a copy of `from`. Throws `out-of-memory`. */
  openSession(from?: WasmSession): WasmSession {
    const session = new WasmSession(this.instance, this.file, from);
    try {
      if (from !== undefined) this.executor.fork?.(from, session);
      return session;
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Closes `session` and frees what the executor holds of it. */
  closeSession(session: WasmSession): void {
    this.executor.close?.(session);
    session.close();
  }

  /** True until the engine is freed or a call traps. */
  get isUsable(): boolean {
    return this.instance.isUsable;
  }

  /**
   * Makes the helpers leave the model, and drops the instance and the memory. A second call does nothing.
   */
  free(): void {
    this.#executor.free();
    this.#release();
    this.#release = () => {};
    this.instance.free();
  }
}
