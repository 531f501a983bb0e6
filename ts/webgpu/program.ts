// SPDX-License-Identifier: Apache-2.0
// Reads the program and its tables out of an instance, for an executor outside it (ts/executor.ts). The code
// of the instance is another file's: only its types are here.
import {
  ABI_VERSION,
  KvType,
  OpKind,
  Place,
  cacheLayout,
  opLayout,
  opPartLayouts,
  programInfoLayout,
  ropeLayout,
  slotLayout,
  tensorTypes,
} from '../abi/abi.gen.js';
import type { StructLayout, StructValue } from '../abi/abi.gen.js';
import { ChordError } from '../errors.js';
import type { OpRecord, Program, ProgramTensor } from '../executor.js';
import type { WasmInstance } from '../wasm/instance.js';
import type { Loader } from '../wasm/loader.js';

/** Of a model that is planned: all its ops, also those of embeddings, its tensors, the IQ formats' grids. */
export function readOps(instance: WasmInstance, file: Loader): Pick<Program, 'ops' | 'tensors' | 'grids'> {
  const { n_all_ops, n_tensors } = file.planInfo;
  const at = instance.exports.model_program(instance.model);
  return {
    ops: Array.from({ length: n_all_ops }, (_, i) => opAt(instance, at + i * opLayout.size)),
    tensors: Array.from({ length: n_tensors }, (_, i) => tensorOf(file, i)),
    grids: () => {
      const bytes = instance.exports.grids(0, 0);
      return instance.withBlock(bytes, (block) => {
        instance.exports.grids(block, bytes);
        return instance.heap.copyOut(block, bytes);
      });
    },
  };
}

/** The program of a model that is planned. Its vectors and angles can be read after the load. */
export function readProgram(instance: WasmInstance, file: Loader): Program {
  const { exports, heap, scratch, model } = instance;
  heap.writeStruct(scratch, programInfoLayout, { version: ABI_VERSION, size: programInfoLayout.size });
  instance.check(exports.model_get_program(model, scratch));
  const info = heap.readStruct(scratch, programInfoLayout);
  const list = <L extends StructLayout>(at: number, count: number, layout: L): StructValue<L>[] =>
    Array.from({ length: count }, (_, i) => heap.readStruct(at + i * layout.size, layout));
  const plan = file.planInfo;
  const { ops: all, tensors, grids } = readOps(instance, file);
  const kv = { [KvType.F32]: 'f32', [KvType.F16]: 'f16', [KvType.Q8_0]: 'q8_0' } as const;
  return {
    ops: all.slice(0, info.n_ops),
    embeddings:
      info.pooled_slot < 0
        ? undefined
        : {
            nBody: info.n_body,
            pool: all.slice(info.n_ops, info.n_pooled),
            rank: all.slice(info.n_pooled, info.n_all),
            pooledSlot: info.pooled_slot,
            rankSlot: info.rank_slot,
            isOneText: info.is_one_text !== 0,
          },
    isEncoder: file.modelInfo().is_encoder !== 0,
    slots: list(info.slots, info.n_slots, slotLayout),
    ropes: list(info.ropes, info.n_ropes, ropeLayout).map((rope, i) => ({
      ...rope,
      get anglePerPosition() {
        return new Float64Array(heap.copyOut(info.rope_freqs[i]!, rope.n_rot * 4).buffer);
      },
    })),
    caches: list(info.caches, info.n_caches, cacheLayout).map((cache, i) => ({
      ...cache,
      cls: exports.model_cache_class(model, i),
    })),
    nClasses: info.n_classes,
    outputSlot: info.output_slot,
    kv: kv[info.kv_type as keyof typeof kv],
    tensors,
    vector: (tensor) => {
      const at = instance.exports.model_vector(model, tensor);
      const { nIn, nRows } = tensors[tensor]!;
      return at === 0 ? undefined : heap.copyOutFloats(at, nIn * nRows);
    },
    decode: (type, row, n) =>
      instance.withBlock(n * 4 + row.byteLength, (block) => {
        heap.copyIn(block + n * 4, row);
        const { exports: calls } = instance;
        instance.check(calls.row_decode(type, block + n * 4, row.byteLength, n, block));
        return heap.copyOutFloats(block, n);
      }),
    grids,
    row: (tensor, row) => {
      const { bytes, nRows } = tensors[tensor]!;
      const length = bytes / nRows;
      return instance.withBlock(length, (block) => {
        instance.check(instance.exports.model_row(model, tensor, row, block, length));
        return heap.copyOut(block, length);
      });
    },
    nCtx: plan.n_ctx,
    nBatch: plan.n_batch,
    nLogits: plan.n_logits,
    nVocab: file.modelInfo().n_vocab,
    maddsPerToken: plan.madds_per_token,
  };
}

const names = Object.fromEntries(
  Object.entries(OpKind).map(([name, kind]) => [kind, name as keyof typeof OpKind]),
);

function opAt({ heap }: WasmInstance, at: number): OpRecord {
  const { words: _, ...head } = heap.readStruct(at, opLayout);
  const name = names[head.kind];
  if (name === undefined) throw new ChordError('internal', `the program has an op of kind ${head.kind}`);
  return { ...head, name, part: heap.readStruct(at, opPartLayouts[name]) } as OpRecord;
}

function tensorOf(file: Loader, index: number): ProgramTensor {
  const { name, type, ne, file_off, file_bytes, file: number, placement, is_vector } = file.tensor(index);
  return {
    name,
    type,
    format: tensorTypes[type] ?? String(type),
    nIn: ne[0]!,
    nRows: ne[1]! * ne[2]! * ne[3]!,
    file: number,
    offset: file_off,
    bytes: file_bytes,
    isMatrix: placement !== Place.SKIPPED && is_vector === 0,
  };
}
