// SPDX-License-Identifier: Apache-2.0
// Drawing the next token on the GPU, from the last output row of a batch: the chain of src/session/sampler.c.
// The id goes to `tokens`, where the next step's EMBED reads it, and into a ring of records for the host.
//
// The kernels keep the 64 best candidates. Where those don't decide the draw, and for logits that aren't
// finite, the record has the id -1 and says why: the host then reads the row and samples it itself
// (chord_session_sample_row), which also words the error. `canSample` says for which options this never or
// rarely happens.
//
// Given the same logits, the draw is the CPU's except where the random number is within 2^-18 of the border
// between two tokens, or the sum of the probabilities within 2^-16 of topP. tests/webgpu/sample.test.mjs
// derives these bounds. Bias, and penalties that are powers of two, give the CPU's bits; a division by
// another repetition penalty may differ by 2.5 units in the last place. Ties, topK, minP and temperature 0
// are exact.
import { ChordError } from '../errors.js';
import type { Sampling } from '../options.js';
import { bytesOf } from './counting.js';
import type { Dispatch, Slot, View } from './dispatch.js';
import { Usage } from './flags.js';

/** kernels/sample.wgsl: candidates that are kept, and logits per chunk. */
const BEST = 64;
const CHUNK = 1024;
const RECORD_BYTES = 16;

/** Why a record has no token. */
export const DrawFault = { notFinite: 1, tooLarge: 2, noCandidate: 4, notCovered: 8 } as const;

/** A token that the GPU drew. */
export interface Drawn {
  /** -1: none was drawn, the host must sample. */
  readonly id: number;
  readonly position: number;
  /** Bits of DrawFault. */
  readonly faults: number;
  /** The token's logit after bias and penalties. */
  readonly logit: number;
}

/** 'max': temperature 0. */
export type DrawKind = 'max' | 'draw';
export function kindOf(sampling: Sampling): DrawKind {
  return Math.fround(sampling.temperature) === 0 ? 'max' : 'draw';
}

/**
 * Whether the candidates of all steps but a few decide the draw. False also for options that the session
 * refuses: it words the error.
 */
export function canSample(sampling: Sampling, nVocab: number): boolean {
  const { temperature, topK, bias = [] } = sampling;
  const isWithin = (x: number, least: number, most: number): boolean => x >= least && x <= most;
  // As in the C struct, numbers are floats before anything is computed with them.
  const [topP, minP] = [Math.fround(sampling.topP), Math.fround(sampling.minP)];
  if (!isWithin(temperature, 0, 3e38) || !isWithin(topP, 0, 1) || !isWithin(minP, 0, 1) || !(topK >= 0))
    return false;
  // What the kernels compute must not overflow, and a token has one bias.
  if (!isWithin(sampling.repetitionPenalty, 1e-6, 1e6)) return false;
  if (!isWithin(sampling.frequencyPenalty, -1e6, 1e6)) return false;
  if (!isWithin(sampling.presencePenalty, -1e6, 1e6)) return false;
  for (const [id, value] of bias) {
    if (!isWithin(id, 0, nVocab - 1) || !(value === -Infinity || isWithin(value, -3e38, 3e38))) return false;
  }
  if (new Set(bias.map(([id]) => id)).size < bias.length) return false;
  if (kindOf(sampling) === 'max' || nVocab <= BEST || (topK > 0 && topK <= BEST)) return true;
  if (topK > 0 && topK < nVocab) return topP >= 1 && minP > 0;
  return topP < 1 || minP > 0;
}

/** Reads record `index` of the bytes of `Sampler.records`. */
export function readRecord(bytes: ArrayBuffer, index = 0): Drawn {
  const view = new DataView(bytes, index * RECORD_BYTES, RECORD_BYTES);
  return {
    id: view.getInt32(0, true),
    position: view.getUint32(4, true),
    faults: view.getUint32(8, true),
    logit: view.getFloat32(12, true),
  };
}

/**
 * The buffers of sampling for one executor. `set` and `next` write them in the queue's order, so a step that
 * is submitted afterwards reads the new numbers and earlier steps the old ones.
 */
export class Sampler {
  readonly recordBytes = RECORD_BYTES;
  readonly #queue: GPUQueue;
  readonly #nVocab: number;
  readonly #nRecords: number;
  readonly #numbers: GPUBuffer;
  readonly #bias: GPUBuffer;
  readonly #candidates: GPUBuffer;
  readonly #chunks: GPUBuffer;
  /** Ring of records of `recordBytes` bytes. */
  readonly records: GPUBuffer;
  #sampling: Sampling | undefined;
  #asked: { readonly sampling: Sampling; readonly can: boolean } | undefined;

  constructor(device: GPUDevice, o: { readonly nVocab: number; readonly nRecords: number }) {
    this.#queue = device.queue;
    this.#nVocab = o.nVocab;
    this.#nRecords = o.nRecords;
    const make = (label: string, bytes: number, usage: number) =>
      device.createBuffer({ label: `sample/${label}`, size: Math.max(bytes, 16), usage });
    const chunks = Math.ceil(o.nVocab / CHUNK);
    this.#numbers = make('numbers', 64, Usage.uniform | Usage.copyTarget);
    this.#bias = make('bias', o.nVocab * 8, Usage.storage | Usage.copyTarget);
    this.#candidates = make('candidates', chunks * BEST * 8, Usage.storage);
    this.#chunks = make('chunks', chunks * 16, Usage.storage);
    this.records = make('records', o.nRecords * RECORD_BYTES, Usage.storage | Usage.copySource);
  }

  /** As canSample(), which reads all of a long bias. The last answer is kept. */
  can(sampling: Sampling): boolean {
    if (this.#asked?.sampling !== sampling)
      this.#asked = { sampling, can: canSample(sampling, this.#nVocab) };
    return this.#asked.can;
  }

  /**
   * Sets how later draws are made. The same object twice writes nothing. Throws `internal` unless
   * `canSample`.
   */
  set(sampling: Sampling): void {
    if (sampling === this.#sampling) return;
    if (!this.can(sampling)) throw new ChordError('internal', 'the GPU cannot sample with these options');
    this.#sampling = sampling;
    const { temperature, repetitionPenalty, frequencyPenalty, presencePenalty } = sampling;
    const bias = [...(sampling.bias ?? [])].sort(([a], [b]) => a - b);
    const minP = Math.fround(sampling.minP);
    const divisor = Math.fround(temperature);
    const floats = new Float32Array(12);
    const words = new Uint32Array(floats.buffer);
    const isPenalising = repetitionPenalty !== 1 || frequencyPenalty !== 0 || presencePenalty !== 0;
    words[0] = sampling.topK < this.#nVocab ? sampling.topK : 0;
    floats[1] = sampling.topP;
    words[2] = minP > 0 ? 1 : 0;
    floats[3] = minP > 0 ? Math.log(minP) : 0;
    floats[4] = Math.min(1 / divisor, 3e38);
    floats[5] = Math.max(-104 * divisor, -3e38);
    words[6] = bias.length;
    words[7] = isPenalising ? 1 : 0;
    floats.set([repetitionPenalty, frequencyPenalty, presencePenalty], 8);
    words[11] = Math.min(Math.fround(sampling.topP) * 2 ** 32, 2 ** 32 - 1);
    this.#queue.writeBuffer(this.#numbers, 8, floats);
    const pairs = new DataView(new ArrayBuffer(bias.length * 8));
    bias.forEach(([id, value], i) => {
      pairs.setUint32(i * 8, id, true);
      pairs.setFloat32(i * 8 + 4, value, true);
    });
    if (bias.length > 0) this.#queue.writeBuffer(this.#bias, 0, pairs.buffer);
  }

  /** Sets the next draw's number in [0, 1), a multiple of 2^-32, and the record that it writes. */
  next(random: number, record: number): void {
    this.#queue.writeBuffer(this.#numbers, 0, Uint32Array.of(random * 2 ** 32, record));
  }

  /**
   * The dispatches of a draw with the options set: 'max' at temperature 0, otherwise 'draw'. `tokens` holds
   * the ids of the session by position, at least the last 64. The drawn id becomes the one behind the batch.
   */
  dispatches(o: { readonly kind: DrawKind; readonly logits: Slot; readonly tokens: View }): Dispatch[] {
    const { logits, tokens } = o;
    const isDraw = o.kind === 'draw';
    const [numbers, bias, candidates, chunks, records] = this.#buffers.map((buffer) => ({ buffer })) as [
      View,
      View,
      View,
      View,
      View,
    ];
    const nChunks = Math.ceil(this.#nVocab / CHUNK);
    const nTokens = (tokens.size ?? tokens.buffer.size - (tokens.offset ?? 0)) / 4;
    const params = [this.#nVocab, logits.stride, nChunks, nTokens, this.#nRecords].map((u32) => ({ u32 }));
    const begin: Dispatch = {
      kernel: isDraw ? 'sample_chunks' : 'sample_max_chunks',
      label: `sample/${o.kind}/chunks`,
      with: ['sample', 'sample_adjust', ...(isDraw ? ['sample_best'] : [])],
      params,
      buffers: [numbers, logits.view, tokens, bias, candidates, chunks],
      groups: ({ nOutputs }) => (nOutputs > 0 ? [nChunks, 1, 1] : [0, 0, 0]),
      work: ({ nOutputs }) => ({ madds: 0, bytes: nOutputs > 0 ? this.#nVocab * 4 : 0 }),
    };
    const end: Dispatch = {
      kernel: isDraw ? 'sample_draw' : 'sample_max',
      label: `sample/${o.kind}`,
      with: ['sample', 'sample_record', ...(isDraw ? ['sample_best'] : [])],
      params,
      buffers: [numbers, candidates, chunks, tokens, records],
      groups: ({ nOutputs }) => (nOutputs > 0 ? [1, 1, 1] : [0, 0, 0]),
      work: () => ({ madds: 0, bytes: 0 }),
    };
    return [begin, end];
  }

  get gpuBytes(): number {
    return bytesOf(this.#buffers);
  }

  free(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }

  get #buffers(): readonly GPUBuffer[] {
    return [this.#numbers, this.#bias, this.#candidates, this.#chunks, this.records];
  }
}
