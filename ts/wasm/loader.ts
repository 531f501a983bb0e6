// SPDX-License-Identifier: Apache-2.0
// Loads a model file into an instance in the phases HEADER, PLAN and DATA. Also reads the model's numbers,
// its metadata and its tensor table.
import {
  ABI_VERSION,
  Isa,
  KvType,
  Status,
  configLayout,
  modelInfoLayout,
  planInfoLayout,
  tensorInfoLayout,
} from '../abi/abi.gen.js';
import type { StructValue } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { PlanOptions } from '../options.js';
import { ARENA, SCRATCH, STACK, STAGING, decoder, hints } from './instance.js';
import type { WasmInstance } from './instance.js';

export type PlanInfo = StructValue<typeof planInfoLayout>;
export type ModelInfo = StructValue<typeof modelInfoLayout>;
export type TensorInfo = StructValue<typeof tensorInfoLayout> & { readonly name: string };

const encoder = new TextEncoder();
/** Bytes of the blocks that a call allocates for a while: tokenizer (70 kB and the text), sampler, stream. */
const BLOCKS = 256 << 10;

export class Loader {
  readonly #instance: WasmInstance;
  #plan: PlanInfo | undefined;
  #needed = 0;
  #info: ModelInfo | undefined;
  #hasBegun = false;
  #isReady = false;

  constructor(instance: WasmInstance) {
    this.#instance = instance;
  }

  /**
   * Runs a whole load from bytes in memory.
   *
   * Throws `invalid-gguf`, `unsupported-architecture`, `unsupported-quantization`, `unsupported-tokenizer`,
   * `out-of-memory`, `invalid-argument`. The model can't be used then.
   */
  load(bytes: Uint8Array, options: PlanOptions): void {
    this.setFileBytes(bytes.byteLength);
    // `end` refuses a shard.
    if (!this.push(0, bytes) || this.files > 1) this.end();
    const { bytes: needed } = this.plan(options);
    const { room } = this.#instance.heap;
    if (needed > room) {
      throw new ChordError(
        'out-of-memory',
        `the model needs ${needed} bytes of memory, ${room} are available`,
        { hint: hints['out-of-memory'] },
      );
    }
    if (!this.begin() && !this.push(0, bytes)) this.end();
  }

  /** The number of the model's files; 1 until the first header is complete. */
  get files(): number {
    return this.#instance.exports.model_files(this.#instance.model);
  }

  /** The file that `push` needs next. */
  get file(): number {
    return this.#instance.exports.model_file(this.#instance.model);
  }

  /**
   * Sets the length in bytes of that file, if it is known. A truncated file is then refused before its data
   * is read.
   */
  setFileBytes(bytes: number): void {
    this.#instance.check(this.#instance.exports.model_set_file_bytes(this.#instance.model, bytes));
  }

  /** The offset in that file that `push` needs next. The caller may drop all bytes before it. */
  get position(): number {
    return this.#instance.exports.model_position(this.#instance.model);
  }

  /**
   * Pushes a file's bytes from `offset` on, and skips bytes that the model doesn't need. Returns true when
   * the file's header or its data is complete. Behind the header, the rest of the chunk isn't consumed: call
   * `plan` and `begin`, and push the chunk again.
   */
  push(offset: number, bytes: Uint8Array, file = 0): boolean {
    let status: number = Status.MORE;
    for (;;) {
      const position = Math.max(this.position, offset);
      const rest = bytes.subarray(position - offset, position - offset + STAGING);
      if (rest.byteLength === 0) return false;
      this.#instance.heap.copyIn(this.#instance.staging, rest);
      status = this.#instance.exports.model_push(
        this.#instance.model,
        file,
        position,
        this.#instance.staging,
        rest.byteLength,
      );
      if (status === Status.NEED_MEMORY) this.#growArena();
      else if (this.#instance.check(status) === Status.DONE) {
        this.#isReady = this.#hasBegun;
        return true;
      } else if (this.file !== file) return true;
      else if (this.position <= position) return false; // the model needs no byte of this chunk
    }
  }

  #growArena(): void {
    const bytes = Math.max(this.#instance.exports.model_wanted(this.#instance.model), ARENA);
    this.#instance.check(
      this.#instance.exports.model_give(this.#instance.model, this.#instance.heap.allocTop(bytes), bytes),
    );
  }

  /** Tells the model the first bytes of a matrix that it doesn't hold, for the fingerprint of saves. */
  setSample(tensor: number, bytes: Uint8Array): void {
    const { heap, scratch, exports, model } = this.#instance;
    heap.copyIn(scratch, bytes);
    this.#instance.check(exports.model_sample(model, tensor, scratch, bytes.byteLength));
  }

  /** Tells the model that the file has ended. Throws `invalid-gguf`, which names what is missing. */
  end(): void {
    this.#instance.check(this.#instance.exports.model_end(this.#instance.model));
  }

  /**
   * Binds every tensor and lays out memory. Call it after the header, and again with other options until
   * `begin`. The plan may exceed this memory. Throws `out-of-memory` when not even the header's tables fit.
   */
  plan(options: PlanOptions = {}): PlanInfo {
    const kv = { f16: KvType.F16, f32: KvType.F32, q8_0: KvType.Q8_0 }[options.kvType ?? 'f16'];
    const out = this.#instance.scratch + 1024;
    this.#instance.heap.writeStruct(this.#instance.scratch, configLayout, {
      version: ABI_VERSION,
      size: configLayout.size,
      n_ctx: options.contextLength ?? 0,
      n_batch: options.batchTokens ?? 0,
      n_logits: options.outputRows ?? 0,
      kv_type: kv,
      n_threads: options.threads ?? 1,
      isa: Isa.BEST,
      external: options.isExternal === true ? 1 : 0,
      resident_bytes: options.residentBytes ?? 0,
      any_pre: options.unknownPreTokenizer === 'default' ? 1 : 0,
    });
    this.#instance.heap.writeStruct(out, planInfoLayout, { version: ABI_VERSION, size: planInfoLayout.size });
    while (
      this.#instance.check(
        this.#instance.exports.model_plan(this.#instance.model, this.#instance.scratch, out),
      ) === Status.NEED_MEMORY
    )
      this.#growArena();
    const plan = this.#instance.heap.readStruct(out, planInfoLayout);
    this.#needed =
      this.#instance.heap.top +
      plan.bytes +
      (plan.n_threads - 1) * STACK +
      plan.session_bytes +
      plan.context_bytes +
      (options.hostBytes ?? 0) +
      BLOCKS;
    return (this.#plan = plan);
  }

  /**
   * Size in bytes that the memory reaches by the last plan when one session's context is full. It includes
   * what the heap held before the plan: the module's data, the header's tables and buffers.
   */
  get neededBytes(): number {
    return this.#needed;
  }

  /**
   * Allocates the plan's memory and builds the vocabulary. Returns true when the model needs no tensor data.
   * Throws `out-of-memory` if the memory can't grow; another plan can begin then.
   */
  begin(): boolean {
    const { bytes } = this.planInfo;
    const { heap, exports, model } = this.#instance;
    const block = heap.allocTop(bytes);
    this.#hasBegun = true;
    this.#isReady = this.#instance.check(exports.model_begin(model, block, bytes)) === Status.DONE;
    return this.#isReady;
  }

  /** Whether all tensors inside the instance are complete. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /**
   * Frees the memory of all matrices: an executor outside the instance has them. Returns its bytes. No helper
   * may have joined the model.
   */
  release(): number {
    const { heap, exports, model, scratch } = this.#instance;
    let bytes = 0;
    for (let i = 0; i < this.planInfo.n_tensors; i++) {
      const block = exports.model_release(model, i, scratch);
      if (block === 0) continue;
      const size = heap.readDouble(scratch);
      heap.free(block, size);
      bytes += size;
    }
    return bytes;
  }

  get isPlanned(): boolean {
    return this.#plan !== undefined;
  }

  get planInfo(): PlanInfo {
    if (this.#plan === undefined) throw new ChordError('internal', 'the model is not planned yet');
    return this.#plan;
  }

  /** Returns the model's numbers. Call it after `plan`; after one that failed only few are sure (chord.h). */
  modelInfo(): ModelInfo {
    if (this.#info !== undefined) return this.#info;
    this.#instance.heap.writeStruct(this.#instance.scratch, modelInfoLayout, {
      version: ABI_VERSION,
      size: modelInfoLayout.size,
    });
    this.#instance.check(this.#instance.exports.model_get_info(this.#instance.model, this.#instance.scratch));
    const info = this.#instance.heap.readStruct(this.#instance.scratch, modelInfoLayout);
    if (this.#plan !== undefined) this.#info = info;
    return info;
  }

  /** Returns row `index` of the tensor table. Call it after the header. */
  tensor(index: number): TensorInfo {
    const name = this.#instance.scratch + 1024;
    this.#instance.heap.writeStruct(this.#instance.scratch, tensorInfoLayout, {
      version: ABI_VERSION,
      size: tensorInfoLayout.size,
    });
    this.#instance.check(
      this.#instance.exports.model_tensor(this.#instance.model, index, this.#instance.scratch, name, 256),
    );
    return {
      ...this.#instance.heap.readStruct(this.#instance.scratch, tensorInfoLayout),
      name: this.#instance.string(name, 256),
    };
  }

  /**
   * Returns the value of a metadata key as text, numbers in decimal; undefined if there is no such value.
   */
  meta(key: string): string | undefined {
    const bytes = encoder.encode(key);
    if (bytes.byteLength > SCRATCH) return undefined;
    this.#instance.heap.copyIn(this.#instance.scratch, bytes);
    return this.#metaOf(bytes.byteLength);
  }

  /** Returns element `index` of an array of the metadata as text; undefined if there is none. */
  metaAt(key: string, index: number): string | undefined {
    const bytes = encoder.encode(key);
    const { exports, model, scratch, heap } = this.#instance;
    heap.copyIn(scratch, bytes);
    return this.#text((dst, cap) => exports.model_meta_at(model, scratch, bytes.byteLength, index, dst, cap));
  }

  /** Returns the number of elements of an array of the metadata; undefined if there is none. */
  metaCount(key: string): number | undefined {
    const [, count] = / x (\d+)\]$/.exec(this.meta(key) ?? '') ?? [];
    return count === undefined ? undefined : Number(count);
  }

  /** Returns the names of the metadata keys, in file order. */
  metaKeys(): string[] {
    const keys: string[] = [];
    for (;;) {
      const name = this.#metaOf(-1 - keys.length);
      if (name === undefined) return keys;
      keys.push(name);
    }
  }

  #metaOf(nKey: number): string | undefined {
    const { model_meta } = this.#instance.exports;
    return this.#text((dst, cap) => model_meta(this.#instance.model, this.#instance.scratch, nKey, dst, cap));
  }

  /**
   * Returns a chat template of the file, Jinja text: the one of this name, by default the file's first one or
   * that of the architecture's family; undefined if there is none.
   *
   * Throws `invalid-argument`, which lists the names that the file has, and `invalid-gguf` when the file has
   * something else in the template's place.
   */
  chatTemplate(name = ''): string | undefined {
    const bytes = encoder.encode(name).subarray(0, SCRATCH);
    this.#instance.heap.copyIn(this.#instance.scratch, bytes);
    return this.#templateAt(bytes.byteLength) || undefined;
  }

  /** The names of the file's further chat templates, in file order. */
  chatTemplates(): string[] {
    const names: string[] = [];
    for (let name; (name = this.#templateAt(-1 - names.length));) names.push(name);
    return names;
  }

  #templateAt(nName: number): string | undefined {
    const { model_chat_template } = this.#instance.exports;
    return this.#text((dst, cap) =>
      this.#instance.check(
        model_chat_template(this.#instance.model, this.#instance.scratch, nName, dst, cap),
      ),
    );
  }

  /** The text that `write` writes to at most `cap` bytes; it returns the full length, -1 for none. */
  #text(write: (dst: number, cap: number) => number): string | undefined {
    const { heap, staging } = this.#instance;
    const length = write(staging, STAGING);
    if (length < 0) return undefined;
    if (length <= STAGING) return decoder.decode(heap.copyOut(staging, length));
    return this.#instance.withBlock(length, (block) => {
      write(block, length);
      return decoder.decode(heap.copyOut(block, length));
    });
  }
}
