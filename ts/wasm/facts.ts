// SPDX-License-Identifier: Apache-2.0
// What a file says of itself: its metadata and its tensor table. Works for a model that can't run, too.
import { tensorTypes } from '../abi/abi.gen.js';
import { poolings } from '../options.js';
import type { Pooling } from '../options.js';
import type { Loader } from './loader.js';

/** The tensors of one type. */
export interface TensorShare {
  /** ggml's name of the type, such as 'Q4_K', or 'type 99' where this version knows none. */
  readonly type: string;
  /** Number of tensors. */
  readonly tensors: number;
  /** Bytes in the file; 0 for a type that this version can't read. */
  readonly bytes: number;
  /** Part of all elements, from 0 to 1. */
  readonly share: number;
}

/** A token with a meaning of its own. */
export interface SpecialToken {
  readonly id: number;
  /** Its text in the vocabulary. */
  readonly text: string;
}

/** A row of the tensor table. */
export interface TensorFacts {
  readonly name: string;
  readonly type: string;
  /** Elements per dimension; the first is the length of a row. */
  readonly shape: readonly number[];
  /** Bytes in the file; 0 for a type that this version can't read. */
  readonly bytes: number;
}

/** Facts that a GGUF file's header has. */
export interface FileFacts {
  /** `general.architecture`, or ''. */
  readonly architecture: string;
  /** `general.name`, or ''. */
  readonly name: string;
  /** Number of elements of all tensors. */
  readonly parameters: number;
  /** The file's label, such as 'Q4_K_M', or the type that has the most bytes. */
  readonly quantization: string;
  /** Types of the tensors, the one with most elements first. */
  readonly tensorTypes: readonly TensorShare[];
  /** Whether the model makes embeddings, or ranks, and continues no text; undefined if it can't run. */
  readonly isEncoder: boolean | undefined;
  /** What `embed` does with a text's rows unless asked: 'rank' is a reranker's; undefined as `isEncoder`. */
  readonly pooling: Pooling | undefined;
  /** `tokenizer.ggml.model` and `tokenizer.ggml.pre`, such as 'gpt2, qwen2'. */
  readonly tokenizer: string;
  /** The file's tokens with a meaning, by the names of its keys: 'bos', 'eos', 'eot', 'padding', ... */
  readonly specialTokens: { readonly [name: string]: SpecialToken };
}

/** Labels of `general.file_type` (llama.cpp's llama_ftype), by number. */
// prettier-ignore
const fileTypes: { readonly [type: number]: string } = {
  0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 7: 'Q8_0', 8: 'Q5_0', 9: 'Q5_1', 10: 'Q2_K', 11: 'Q3_K_S',
  12: 'Q3_K_M', 13: 'Q3_K_L', 14: 'Q4_K_S', 15: 'Q4_K_M', 16: 'Q5_K_S', 17: 'Q5_K_M', 18: 'Q6_K',
  19: 'IQ2_XXS', 20: 'IQ2_XS', 21: 'Q2_K_S', 22: 'IQ3_XS', 23: 'IQ3_XXS', 24: 'IQ1_S', 25: 'IQ4_NL',
  26: 'IQ3_S', 27: 'IQ3_M', 28: 'IQ2_S', 29: 'IQ2_M', 30: 'IQ4_XS', 31: 'IQ1_M', 32: 'BF16', 36: 'TQ1_0',
  37: 'TQ2_0', 38: 'MXFP4', 39: 'NVFP4', 40: 'Q1_0', 41: 'Q2_0',
};

const typeName = (type: number): string => tensorTypes[type] ?? `type ${type}`;
const elementsOf = (shape: readonly number[]): number => shape.reduce((product, n) => product * n, 1);

/** Reads the facts. Call it after a plan, also after one that failed behind the tensor table. */
export function readFacts(file: Loader): FileFacts {
  const { n_tensors, n_params, file_type, is_encoder, pooling } = file.modelInfo();
  const canRun = pooling > 0; // each program has a pooling, and none has 'none'
  const byType = new Map<number, { tensors: number; bytes: number; elements: number }>();
  for (let i = 0; i < n_tensors; i++) {
    const { type, file_bytes, ne } = file.tensor(i);
    const { tensors, bytes, elements } = byType.get(type) ?? { tensors: 0, bytes: 0, elements: 0 };
    byType.set(type, {
      tensors: tensors + 1,
      bytes: bytes + file_bytes,
      elements: elements + elementsOf(ne),
    });
  }
  const types = [...byType].sort(([, a], [, b]) => b.elements - a.elements);
  const most = [...byType].sort(([, a], [, b]) => b.bytes - a.bytes)[0];
  const tokenizer = [file.meta('tokenizer.ggml.model'), file.meta('tokenizer.ggml.pre')];
  return {
    architecture: file.meta('general.architecture') ?? '',
    name: file.meta('general.name') ?? '',
    parameters: n_params,
    quantization: fileTypes[file_type] ?? (most === undefined ? '' : typeName(most[0])),
    tensorTypes: types.map(([type, { tensors, bytes, elements }]) => ({
      type: typeName(type),
      tensors,
      bytes,
      share: elements / n_params,
    })),
    isEncoder: canRun ? is_encoder > 0 : undefined,
    pooling: canRun ? poolings[pooling] : undefined,
    tokenizer: tokenizer.filter((text) => text !== undefined).join(', '),
    specialTokens: readSpecials(file),
  };
}

function readSpecials(file: Loader): FileFacts['specialTokens'] {
  const found: [string, SpecialToken][] = [];
  for (const key of file.metaKeys()) {
    const [, name] = /^tokenizer\.ggml\.(\w+)_token_id$/.exec(key) ?? [];
    const id = Number(file.meta(key));
    const text = name && Number.isInteger(id) ? file.metaAt('tokenizer.ggml.tokens', id) : undefined;
    if (text !== undefined) found.push([name!, { id, text }]);
  }
  return Object.fromEntries(found);
}

/** Reads all metadata, arrays as '[type x count]', and the tensor table. */
export function readTables(file: Loader): {
  metadata: { [key: string]: string };
  tensors: TensorFacts[];
} {
  const { n_tensors } = file.modelInfo();
  return {
    metadata: Object.fromEntries(file.metaKeys().map((key) => [key, file.meta(key) ?? '(long, not kept)'])),
    tensors: Array.from({ length: n_tensors }, (_, i) => {
      const { name, type, ne, n_dims, file_bytes } = file.tensor(i);
      return { name, type: typeName(type), shape: ne.slice(0, n_dims), bytes: file_bytes };
    }),
  };
}
