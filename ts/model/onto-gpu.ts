// SPDX-License-Identifier: Apache-2.0
// onto-gpu.ts: brings a model whose weights are in wasm memory onto the GPU. Loaded with the first
// init_gpu_async().
import { ChordError, messageOf } from '../errors.js';
import type { Executor, Program } from '../executor.js';
import { gpuScript } from '../files.js';
import { nextTurn } from '../platform.js';
import type { WasmEngine } from '../wasm/engine.js';
import { openGpu } from '../webgpu/chunk.js';
import type { GpuStart } from '../webgpu/start.js';

export interface OnGpu {
  readonly executor: Executor;
  readonly adapter: string;
  /** Frees the device, after the executor. */
  release(): void;
}

/** Bytes of rows between two turns of the event loop: about a millisecond of repacking. */
const PART = 512 << 10;

/**
 * Opens a GPU, uploads the engine's matrices and makes the executor, which isn't in the engine yet. The
 * engine is only read. `isWanted`: false stops the work, which then throws `disposed`.
 *
 * Throws `no-webgpu`, `out-of-memory`, `device-lost`, `io`; nothing is left on the GPU then.
 */
export async function ontoGpu(
  engine: WasmEngine,
  { gpu, webgpuUrl }: { gpu: readonly string[] | undefined; webgpuUrl: string | undefined },
  isWanted: () => boolean,
): Promise<OnGpu> {
  const check = (): void => {
    if (!isWanted()) throw new ChordError('disposed', 'the model was freed');
  };
  const open = await openGpu({ gpu, webgpuUrl: webgpuUrl ?? (await gpuScript()) });
  const { device, adapter } = open.opened;
  let start: GpuStart | undefined;
  let executor: Executor | undefined;
  try {
    check();
    const program = open.module.readProgram(engine.instance, engine.file);
    start = await open.module.GpuStart.open(open, program);
    start.begin(program);
    await upload(start, program, check);
    executor = await start.finish();
    check();
    return { executor: asLast(executor), adapter, release: () => device.destroy() };
  } catch (error) {
    executor?.free();
    start?.uploader.destroy();
    device.destroy();
    throw asOwn(error);
  }
}

/** Rows come out of memory in file form: the exact inverse of the repacking. */
async function upload(start: GpuStart, program: Program, check: () => void): Promise<void> {
  for (let tensor; (tensor = start.uploader.next) !== undefined;) {
    const { index, nRows, bytes, file, offset } = tensor;
    const rowBytes = bytes / nRows;
    const most = Math.max(1, Math.floor(PART / rowBytes));
    for (let first = 0; first < nRows; first += most) {
      const part = new Uint8Array(Math.min(most, nRows - first) * rowBytes);
      for (let at = 0; at < part.byteLength; at += rowBytes)
        part.set(program.row(index, first + at / rowBytes), at);
      await start.push(file, offset + first * rowBytes, part);
      await nextTurn();
      check();
    }
  }
}

/** The weights left wasm, and their bytes are the caller's: a lost GPU can't be replaced. */
function asLast(executor: Executor): Executor {
  const run = executor.run.bind(executor);
  executor.run = async (...call) => {
    try {
      return await run(...call);
    } catch (cause) {
      const error = asOwn(cause);
      if (error.code !== 'device-lost') throw error;
      throw new ChordError('device-lost', `${error.message}; the model's weights were on it alone`, {
        cause,
        hint: "free() this model, and make another WasmModel of the file's bytes",
      });
    }
  };
  return executor;
}

/** An error of webgpu.js, which has a class of its own, as an error of this file's class. */
export function asOwn(error: unknown): ChordError {
  if (error instanceof ChordError) return error;
  if (ChordError.isInstance(error)) return ChordError.from(error);
  return new ChordError('no-webgpu', `the model can't run on the GPU: ${messageOf(error)}`, { cause: error });
}
