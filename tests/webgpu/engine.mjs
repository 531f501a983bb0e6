// SPDX-License-Identifier: Apache-2.0
// engine.mjs: a model in wasm with its matrices on the GPU, from the sources, without worker or loader.
import { readFile } from 'node:fs/promises';
import { load } from './room.mjs';

export const room = await load(
  'device',
  'pipelines',
  'upload',
  'executor',
  'self-test',
  'start',
  'fusions',
  'lowering',
  'memory',
  'needs',
  '../wasm/engine',
  '../wasm/pace',
  '../continuation',
  'program',
  '../errors',
);

let module;

/** Resolves to the core, compiled once. */
export async function wasm() {
  const file = new URL('../../build/wasm/wasm32-simd.wasm', import.meta.url);
  return (module ??= await WebAssembly.compile(await readFile(file)));
}

/** Loads a GGUF file's bytes for the CPU. */
export const openOnCpu = async (bytes, options) => room.WasmEngine.load(await wasm(), bytes, options);

/**
 * Loads a GGUF file's bytes for the GPU. Returns { engine, executor, program, session(), logits(ids),
 * free() }. `on`: a device that is open, with its pipelines, which free() leaves alone. `patch`: makes the
 * executor's program of the file's.
 */
export async function openModel(
  gpu,
  bytes,
  { device: deviceOptions, isFused, patienceMs, on, patch = (program) => program, ...options } = {},
) {
  const engine = room.WasmEngine.load(await wasm(), bytes, { ...options, isExternal: true });
  const opened = on?.opened ?? (await room.openDevice(gpu, deviceOptions));
  const errors = [];
  opened.device.onuncapturederror = ({ error }) => errors.push(error.message);
  const pipelines = on?.pipelines ?? new room.Pipelines(opened.device, opened.features);
  const program = patch(room.readProgram(engine.instance, engine.file));
  const { tensors, groups } = room.weightsOf(program);
  const uploader = await room.Uploader.open({ ...opened, pipelines, tensors, groups, grids: program.grids });
  await uploader.push(0, 0, bytes);
  const matrices = await uploader.finish();
  const executor = await room.GpuExecutor.open({
    opened,
    program,
    matrices,
    pipelines,
    isFused,
    patienceMs,
  });
  executor.loadVectors();
  return {
    engine,
    executor,
    program,
    matrices,
    pipelines,
    opened,
    errors,
    /** Resolves to the logits of all ids of a sequence, from position 0 on. */
    async logits(ids, { batch = Infinity, budget = Infinity } = {}) {
      const session = engine.openSession();
      session.setOutputs('all');
      const rows = [];
      for (let at = 0; at < ids.length; at += batch) {
        session.push(ids.slice(at, at + batch));
        for (let left = Math.min(batch, ids.length - at); left > 0;) {
          const { isDone } = await executor.run(session, budget);
          if (!isDone) continue;
          const { n_rows } = session.state();
          for (let i = 0; i < n_rows; i++) rows.push(session.logits(i));
          left -= n_rows;
        }
      }
      executor.close(session);
      session.close();
      if (errors.length > 0) throw new Error(errors.join('\n'));
      return rows;
    },
    free() {
      executor.free();
      engine.free();
      if (on === undefined) opened.device.destroy();
    },
  };
}
