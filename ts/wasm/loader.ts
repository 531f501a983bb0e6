// SPDX-License-Identifier: Apache-2.0
// A model file on its way into an instance: HEADER, PLAN, DATA; and what the file says about the model.
import {
  ABI_VERSION, Isa, KvType, Status, configLayout, modelInfoLayout, planInfoLayout, tensorInfoLayout,
} from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { PlanOptions } from '../options.js';
import { ARENA, SCRATCH, STAGING, decoder, hints } from './instance.js';
import type { WasmInstance } from './instance.js';

export type PlanInfo = StructValue<typeof planInfoLayout>;
export type ModelInfo = StructValue<typeof modelInfoLayout>;
export type TensorInfo = StructValue<typeof tensorInfoLayout> & { readonly name: string };

const encoder = new TextEncoder();

export class Loader {
  readonly #instance: WasmInstance;
  #plan: PlanInfo | undefined;
  #info: ModelInfo | undefined;

  constructor(instance: WasmInstance) {
    this.#instance = instance;
  }

  /**
   * A whole load from bytes in memory.
   * Throws what the file deserves: `invalid-gguf`, `unsupported-*`, `out-of-memory`, `invalid-argument`.
   */
  load(bytes: Uint8Array, options: PlanOptions): void {
    this.setFileBytes(bytes.byteLength);
    if (!this.push(0, bytes)) this.end();
    this.plan(options);
    if (!this.begin() && !this.push(0, bytes)) this.end();
  }

  /** How long the file is, when known: a truncated file is then refused before its data is read. */
  setFileBytes(bytes: number): void {
    this.#instance.check(this.#instance.exports.model_set_file_bytes(this.#instance.model, bytes));
  }

  /** The file offset that `push` wants next; bytes before it needn't be kept. */
  get position(): number {
    return this.#instance.exports.model_position(this.#instance.model);
  }

  /**
   * Push the file's bytes from `offset` on; bytes that aren't wanted are skipped. True when the phase is
   * complete: the header (the rest of the chunk wasn't taken: plan, begin, push it again), or the data.
   */
  push(offset: number, bytes: Uint8Array): boolean {
    let status: number = Status.MORE;
    for (;;) {
      const position = Math.max(this.position, offset);
      const rest = bytes.subarray(position - offset, position - offset + STAGING);
      if (rest.byteLength === 0) return false;
      this.#instance.heap.copyIn(this.#instance.staging, rest);
      status = this.#instance.exports.model_push(this.#instance.model, 0, position, this.#instance.staging, rest.byteLength);
      if (status === Status.NEED_MEMORY) this.#growArena();
      else if (this.#instance.check(status) === Status.DONE) return true;
      else if (this.position <= position) return false; // nothing of this chunk is wanted
    }
  }

  #growArena(): void {
    const bytes = Math.max(this.#instance.exports.model_wanted(this.#instance.model), ARENA);
    this.#instance.check(this.#instance.exports.model_give(this.#instance.model, this.#instance.heap.allocTop(bytes), bytes));
  }

  /** The file has ended. Throws `invalid-gguf` naming what is missing, unless everything has arrived. */
  end(): void {
    this.#instance.check(this.#instance.exports.model_end(this.#instance.model));
  }

  /**
   * After the header: bind every tensor and lay out memory. Again with other options until `begin`.
   * Throws `out-of-memory` where the plan can't fit this memory, before any of the data is read.
   */
  plan(options: PlanOptions = {}): PlanInfo {
    const kv = { f16: KvType.F16, f32: KvType.F32, q8_0: KvType.Q8_0 }[options.kvType ?? 'f16'];
    const out = this.#instance.scratch + 1024;
    this.#instance.heap.writeStruct(this.#instance.scratch, configLayout, {
      version: ABI_VERSION, size: configLayout.size, n_ctx: options.contextLength ?? 0, n_batch: options.batchTokens ?? 0,
      kv_type: kv, n_threads: options.threads ?? 1, isa: Isa.BEST,
    });
    this.#instance.heap.writeStruct(out, planInfoLayout, { version: ABI_VERSION, size: planInfoLayout.size });
    while (this.#instance.check(this.#instance.exports.model_plan(this.#instance.model, this.#instance.scratch, out)) === Status.NEED_MEMORY) this.#growArena();
    const plan = this.#instance.heap.readStruct(out, planInfoLayout);
    if (plan.bytes > this.#instance.heap.room) {
      throw new ChordError('out-of-memory', `the model needs ${plan.bytes} bytes of memory, ${this.#instance.heap.room} are available`, { hint: hints['out-of-memory'] });
    }
    return (this.#plan = plan);
  }

  /** Take the plan's memory and build the vocabulary. True when no tensor is wanted. */
  begin(): boolean {
    const { bytes } = this.planInfo;
    return this.#instance.check(this.#instance.exports.model_begin(this.#instance.model, this.#instance.heap.allocTop(bytes), bytes)) === Status.DONE;
  }

  get planInfo(): PlanInfo {
    if (this.#plan === undefined) throw new ChordError('internal', 'the model is not planned yet');
    return this.#plan;
  }

  /** Numbers about the model, after `plan`. */
  modelInfo(): ModelInfo {
    if (this.#info !== undefined) return this.#info;
    this.#instance.heap.writeStruct(this.#instance.scratch, modelInfoLayout, { version: ABI_VERSION, size: modelInfoLayout.size });
    this.#instance.check(this.#instance.exports.model_get_info(this.#instance.model, this.#instance.scratch));
    return (this.#info = this.#instance.heap.readStruct(this.#instance.scratch, modelInfoLayout));
  }

  /** Row `index` of the tensor table, after the header. */
  tensor(index: number): TensorInfo {
    const name = this.#instance.scratch + 1024;
    this.#instance.heap.writeStruct(this.#instance.scratch, tensorInfoLayout, { version: ABI_VERSION, size: tensorInfoLayout.size });
    this.#instance.check(this.#instance.exports.model_tensor(this.#instance.model, index, this.#instance.scratch, name, 256));
    return { ...this.#instance.heap.readStruct(this.#instance.scratch, tensorInfoLayout), name: this.#instance.string(name, 256) };
  }

  /** The value of a metadata key as text, or undefined when there is none. Numbers are decimal. */
  meta(key: string): string | undefined {
    const bytes = encoder.encode(key);
    if (bytes.byteLength > SCRATCH) return undefined;
    this.#instance.heap.copyIn(this.#instance.scratch, bytes);
    return this.#metaAt(bytes.byteLength);
  }

  /** The names of the metadata keys, in file order. */
  metaKeys(): string[] {
    const keys: string[] = [];
    for (;;) {
      const name = this.#metaAt(-1 - keys.length);
      if (name === undefined) return keys;
      keys.push(name);
    }
  }

  #metaAt(nKey: number): string | undefined {
    const length = this.#instance.exports.model_meta(this.#instance.model, this.#instance.scratch, nKey, this.#instance.staging, STAGING);
    if (length < 0) return undefined;
    if (length <= STAGING) return decoder.decode(this.#instance.heap.copyOut(this.#instance.staging, length));
    return this.#instance.withBlock(length, (block) => {
      this.#instance.exports.model_meta(this.#instance.model, this.#instance.scratch, nKey, block, length);
      return decoder.decode(this.#instance.heap.copyOut(block, length));
    });
  }
}
