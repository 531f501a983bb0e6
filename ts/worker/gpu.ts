// SPDX-License-Identifier: Apache-2.0
// What a load in the engine worker asks of the WebGPU backend: whether the model goes onto the GPU, what it
// takes there, and what a fault of the GPU becomes. The load itself is in webgpu.js (ts/webgpu/load.ts).
import { ChordError, messageOf } from '../errors.js';
import type { GpuMemoryUse } from '../executor.js';
import type { WasmEngine } from '../wasm/engine.js';
import { chooseBackend } from '../webgpu/chunk.js';
import type { ChosenBackend, GpuRequest, OpenGpu } from '../webgpu/chunk.js';

/** A fault of the GPU. The CPU can load the model. The message says what happened, for people. */
export class GpuFailure extends Error {
  constructor(cause: unknown) {
    super(messageOf(cause), { cause });
  }
}

/** Throws a fault of the GPU as GpuFailure. */
export const guarded = async <T>(work: Promise<T>): Promise<T> => {
  try {
    return await work;
  } catch (error) {
    // What is wrong with the file is so on the CPU too.
    throw ChordError.isInstance(error) && error.code === 'invalid-gguf'
      ? ChordError.from(error)
      : new GpuFailure(error);
  }
};

/** As chooseBackend(), for a model that is planned. */
export async function chooseFor(engine: WasmEngine, request: GpuRequest): Promise<ChosenBackend> {
  const chosen = await chooseBackend(request);
  if (chosen.gpu === undefined || request.backend === 'webgpu') return chosen;
  const { module } = chosen.gpu;
  const why = module.whyCpu(module.readOps(engine.instance, engine.file));
  if (why === undefined) return chosen;
  chosen.gpu.opened.device.destroy();
  return { gpu: undefined, reason: `the CPU: ${why}` };
}

/** What the GPU will hold of a model that is planned with `isExternal`. Throws `no-webgpu`. */
export const memoryOn = ({ module, opened }: OpenGpu, { instance, file }: WasmEngine): GpuMemoryUse =>
  module.gpuMemoryOf(opened, module.readProgram(instance, file));

/** Whether the GPU's bindings hold the model as it is planned. */
export function holds(gpu: OpenGpu, engine: WasmEngine): boolean {
  try {
    return memoryOn(gpu, engine).total > 0;
  } catch {
    return false;
  }
}

/** The error of a load that 'webgpu' was asked for, or that can't begin again on the CPU. */
export function noWebgpu(
  { message, cause }: GpuFailure,
  isAsked: boolean,
  hint = ChordError.isInstance(cause) ? cause.hint : undefined,
): ChordError {
  return new ChordError('no-webgpu', `the model can't run on the GPU: ${message}`, {
    cause,
    hint: isAsked
      ? (hint ?? "backend: 'cpu' uses the CPU")
      : "the source can be read only once, so the CPU can't take over: pass backend: 'cpu', or a URL, a path or a File",
  });
}
