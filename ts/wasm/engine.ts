// SPDX-License-Identifier: Apache-2.0
// One model in one WebAssembly memory: the parts of this room put together. Synchronous; one caller at a time.
// Level 1 uses it in the caller's thread, level 2 in the engine worker, whose helpers share the memory (threads.ts).
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
  readonly executor: Executor;
  readonly profile: Profile;

  /** Makes the memory and an instance of `module`; nothing is loaded yet. Throws `out-of-memory`. */
  constructor(module: WebAssembly.Module) {
    this.instance = new WasmInstance(module);
    this.file = new Loader(this.instance);
    this.vocabulary = new Vocabulary(this.instance, this.file);
    this.executor = openExecutor(this.instance);
    this.profile = new Profile(this.instance, this.file);
  }

  /** A whole load from bytes in memory, in the caller's thread. Throws as `Loader.load`. */
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

  /** An empty session, or a copy of `from`. */
  openSession(from?: WasmSession): WasmSession {
    const session = new WasmSession(this.instance, this.file, from);
    if (from !== undefined) this.executor.fork?.(from, session);
    return session;
  }

  /** Neither freed nor poisoned. */
  get isUsable(): boolean {
    return this.instance.isUsable;
  }

  /** Stops the helpers and drops the instance and the memory; again is a no-op. */
  free(): void {
    this.executor.free();
    this.instance.free();
  }
}
