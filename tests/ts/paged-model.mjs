// SPDX-License-Identifier: Apache-2.0
// paged-model.mjs: a llama of random F16 weights that is large enough to be paged by a memory budget, and
// small enough for a quick test.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { estimateModel } from '../../dist/index.js';
import { llamaHeader } from './header.mjs';
import { randomOf } from './hostile-server.mjs';

const SIZES = { layers: 6, width: 128, ff: 512, heads: 4, vocabulary: 300, context: 256 };
const LAYER_BYTES = 2 * (4 * 128 * 128 + 3 * 128 * 512);

/** The file's bytes: matrices of numbers between 1/32 and 1/8 with random signs, norms of 1. */
export function pagedModel() {
  const header = llamaHeader(SIZES);
  const begin = Math.ceil((header.length - 32) / 32) * 32;
  const { layers, width, vocabulary } = SIZES;
  const bytes = new Uint8Array(begin + layers * (LAYER_BYTES + 8 * width) + 4 * width * (vocabulary + 1));
  bytes.set(header);
  const random = randomOf(7);
  let at = begin;
  const matrix = (length) => {
    const values = new Uint16Array(bytes.buffer, at, length / 2);
    for (let i = 0; i < values.length; i++)
      values[i] = (random() < 0.5 ? 0x8000 : 0) | (0x2800 + Math.floor(random() * 0x800));
    at += length;
  };
  const norm = () => {
    new Float32Array(bytes.buffer, at, width).fill(1);
    at += 4 * width;
  };
  matrix(4 * width * vocabulary); // embeddings and output
  norm();
  for (let i = 0; i < layers; i++) {
    matrix(LAYER_BYTES);
    norm();
    norm();
  }
  return bytes;
}

/** Runs `use` with the model's file in a folder of its own, and its bytes. */
export async function withPagedModel(use) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'chord-paged-'));
  const file = path.join(folder, 'paged.gguf');
  const bytes = pagedModel();
  try {
    await writeFile(file, bytes);
    return await use(file, bytes);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A budget with which a part of the layers is paged: `share` of the way from the fewest in memory to all. */
export async function budgetFor(source, share, options = {}) {
  const [all, fewest] = [
    await estimateModel(source, options),
    await estimateModel(source, { ...options, memoryBudget: 1 }),
  ];
  const least = fewest.memory.total;
  return { least, all: all.memory.total, budget: Math.ceil(least + share * (all.memory.total - least)) };
}

export const IDS = Array.from({ length: 60 }, (_, i) => 3 + ((i * 7) % 290));
