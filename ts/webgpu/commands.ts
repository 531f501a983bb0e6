// SPDX-License-Identifier: Apache-2.0
// Lists of dispatches that are ready to be encoded: kernels compiled, bind groups and parameters made once.
import { bytesOf } from './counting.js';
import type { BatchShape, Dispatch, Features } from './dispatch.js';
import { Usage } from './flags.js';
import { hasUniform, textOf } from './pipelines.js';
import type { CompiledKernel, Pipelines } from './pipelines.js';
import { Profiler } from './profiler.js';
import type { ProfiledKernel } from './profiler.js';

/** Bytes between the parameters of two dispatches: the offset of a uniform binding is a multiple of it. */
const ALIGN = 256;
/** Bytes of a dispatch's parameters at most. */
const PARAMS = 64;

/** A dispatch with all that its encoding needs. */
export interface Ready {
  readonly dispatch: Dispatch;
  readonly kernel: CompiledKernel;
  readonly bindings: GPUBindGroup;
  /** The parameters, where they are immediates. */
  readonly immediates: Uint32Array<ArrayBuffer> | undefined;
}

/** TypeScript's library doesn't have it yet. */
type Immediates = GPUComputePassEncoder & { setImmediates(offset: number, data: Uint32Array): void };

export class Commands {
  readonly counters = { gpuDispatches: 0, gpuBytesRead: 0, submits: 0, submitsAhead: 0 };
  readonly #device: GPUDevice;
  readonly #pipelines: Pipelines;
  /** The uniform `batch` of every dispatch. */
  readonly #batch: GPUBuffer;
  readonly #arenas: GPUBuffer[] = [];
  #profiler: Profiler | undefined;

  constructor(device: GPUDevice, pipelines: Pipelines, batch: GPUBuffer) {
    this.#device = device;
    this.#pipelines = pipelines;
    this.#batch = batch;
  }

  get gpuBytes(): number {
    return bytesOf(this.#arenas);
  }

  /** Resolves when all kernels are compiled. Rejects with `internal`, which names the kernel. */
  async ready(dispatches: readonly Dispatch[]): Promise<readonly Ready[]> {
    const kernels = await Promise.all(dispatches.map((dispatch) => this.#pipelines.get(dispatch)));
    const uniforms = kernels.filter(({ hasUniform }) => hasUniform).length;
    const arena = uniforms === 0 ? undefined : this.#makeArena(uniforms);
    let used = 0;
    return dispatches.map((dispatch, i) => {
      const kernel = kernels[i]!;
      const words = wordsOf(dispatch);
      const entries: GPUBindGroupEntry[] = [{ binding: 0, resource: { buffer: this.#batch } }];
      if (kernel.hasUniform) {
        const offset = ALIGN * used++;
        this.#device.queue.writeBuffer(arena!, offset, words);
        entries.push({ binding: 1, resource: { buffer: arena!, offset, size: PARAMS } });
      }
      dispatch.buffers.forEach((view, at) => entries.push({ binding: 2 + at, resource: { ...view } }));
      const bindings = this.#device.createBindGroup({
        label: dispatch.label,
        layout: kernel.group,
        entries,
      });
      const isImmediate = !kernel.hasUniform && dispatch.params.length > 0;
      const immediates = isImmediate ? words.subarray(0, dispatch.params.length) : undefined;
      return { dispatch, kernel, bindings, immediates };
    });
  }

  /**
   * Encodes the dispatches of `list` from index `first` on, until `budget` multiply-adds are reached; at
   * least one. Returns the index behind the last, and the planned work.
   */
  encode(
    encoder: GPUCommandEncoder,
    list: readonly Ready[],
    shape: BatchShape,
    first = 0,
    budget = Infinity,
  ): { readonly end: number; readonly work: number } {
    let pass: GPUComputePassEncoder | undefined;
    let end = first;
    let work = 0;
    do {
      const { dispatch, kernel, bindings, immediates } = list[end++]!;
      const groups = dispatch.groups(shape);
      if (groups.some((n) => n === 0)) continue;
      const { madds, bytes } = dispatch.work(shape);
      pass = this.#passFor(encoder, pass, dispatch, bytes);
      pass.setPipeline(kernel.pipeline);
      pass.setBindGroup(0, bindings);
      if (immediates !== undefined) (pass as Immediates).setImmediates(0, immediates);
      pass.dispatchWorkgroups(...groups);
      work += madds;
      this.counters.gpuDispatches += 1;
      this.counters.gpuBytesRead += bytes;
    } while (end < list.length && work < budget);
    pass?.end();
    return { end, work };
  }

  /** One pass for all dispatches; while a profile is taken, a pass with timestamps for each. */
  #passFor(
    encoder: GPUCommandEncoder,
    pass: GPUComputePassEncoder | undefined,
    dispatch: Dispatch,
    bytes: number,
  ): GPUComputePassEncoder {
    if (this.#profiler === undefined) return pass ?? encoder.beginComputePass({ label: 'batch' });
    pass?.end();
    const timestampWrites = this.#profiler.writesOf(dispatch, bytes);
    return encoder.beginComputePass({
      label: dispatch.label,
      ...(timestampWrites && { timestampWrites }),
    });
  }

  submit(encoder: GPUCommandEncoder): void {
    const submitted = this.#profiler?.end(encoder);
    this.#device.queue.submit([encoder.finish()]);
    this.counters.submits += 1;
    submitted?.();
  }

  /**
   * Time and bytes by kernel since the last call, longest first. The first call starts the measurement, in
   * which each dispatch is a pass of its own, and resolves to []. So does every call where the device has no
   * timestamps.
   */
  async profile(): Promise<ProfiledKernel[]> {
    if (this.#profiler !== undefined) return this.#profiler.read();
    if (this.#device.features.has('timestamp-query')) this.#profiler = new Profiler(this.#device);
    return [];
  }

  destroy(): void {
    this.#profiler?.destroy();
    for (const arena of this.#arenas) arena.destroy();
  }

  #makeArena(count: number): GPUBuffer {
    const arena = this.#device.createBuffer({
      label: 'parameters',
      size: count * ALIGN,
      usage: Usage.uniform | Usage.copyTarget,
    });
    this.#arenas.push(arena);
    return arena;
  }
}

/** Bytes that the parameters of a list take, where they are no immediates. */
export const parameterBytes = (list: readonly Dispatch[], features: Features): number =>
  list.filter((dispatch) => hasUniform(textOf(dispatch, features))).length * ALIGN;

function wordsOf({ params }: Dispatch): Uint32Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(PARAMS));
  params.forEach((param, i) =>
    'u32' in param ? view.setUint32(i * 4, param.u32, true) : view.setFloat32(i * 4, param.f32, true),
  );
  return new Uint32Array(view.buffer);
}
