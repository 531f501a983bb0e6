// SPDX-License-Identifier: Apache-2.0
// What a model will take of a GPU. The code that makes its buffers makes them on a device that only counts,
// so that an estimate says what a load does.
import { ChordError } from '../errors.js';
import type { GpuMemoryUse, Program } from '../executor.js';
import { parameterBytes } from './commands.js';
import { counting } from './counting.js';
import type { OpenDevice } from './device.js';
import { whatLacks } from './lacks.js';
import { firstLists, lowerList } from './lists.js';
import { AHEAD, GpuMemory } from './memory.js';
import { Readback } from './readback.js';
import { Sampler } from './sample.js';
import { matricesOf, placementOf, weightsOf } from './upload.js';

/** Throws `no-webgpu`, which names the kernel that `program` needs and this backend lacks. */
export function checkKernels(program: Pick<Program, 'ops'>): void {
  const lack = whatLacks(program);
  if (lack !== undefined) throw new ChordError('no-webgpu', `the backend lacks a kernel for ${lack}`);
}

/**
 * Of a program that is planned. Throws `no-webgpu` as the load would: a kernel is missing, or a binding can't
 * hold a row or a cache.
 */
export function gpuMemoryOf({ device, features }: OpenDevice, program: Program): GpuMemoryUse {
  checkKernels(program);
  const { tensors, groups } = weightsOf(program);
  const placement = placementOf({ device, features, tensors, groups });
  const buffers = placement.buffers.map((size) => counting.createBuffer({ size, usage: 0 }));
  const memory = GpuMemory.counted(features, program);
  const matrices = matricesOf(tensors, placement, buffers);
  const lowering = { program, memory, features, matrices, isFused: true };
  const lists = firstLists(program).map((list) => lowerList(lowering, list));
  const sampler = new Sampler(counting, { nVocab: program.nVocab, nRecords: AHEAD + 2 });
  const draws = (program.isEncoder ? [] : (['draw', 'max'] as const)).map((kind) =>
    sampler.dispatches({ kind, logits: lists[0]!.output, tokens: memory.tokens }),
  );
  const all = [...lists.map(({ dispatches }) => dispatches), ...draws];
  const weights = placement.buffers.reduce((sum, size) => sum + size, 0);
  const parts = [memory, sampler, new Readback(counting, sampler, AHEAD + 2)];
  const others = parts.reduce((sum, { gpuBytes }) => sum + gpuBytes, 0);
  const parameters = all.reduce((sum, list) => sum + parameterBytes(list, features), 0);
  return { weights, kv: memory.kvBytes, total: weights + others + parameters };
}
