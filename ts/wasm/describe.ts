// SPDX-License-Identifier: Apache-2.0
// What a loaded model says about itself: plain data, the same in level 1 and level 2.
import { tensorTypes } from '../abi/abi.gen.js';
import type { WasmEngine } from './engine.js';
import type { CompiledModule } from './instantiate.js';

export interface LanguageModelInfo {
  /** `general.architecture` of the file. */
  readonly architecture: string;
  /** `general.name`, '' when absent. */
  readonly name: string;
  /** Elements of all tensors. */
  readonly parameters: number;
  /** The file's own label, such as 'Q4_K_M'; the commonest tensor type when it has none. */
  readonly quantization: string;
  readonly vocabularySize: number;
  /** As granted: at most the model's own, 4096 unless asked for. */
  readonly contextLength: number;
  /** What the model was trained for. */
  readonly trainedContextLength: number;
  readonly embeddingLength: number;
  readonly blockCount: number;
  readonly backend: 'cpu' | 'webgpu';
  /** Why this backend, this variant and this many threads. */
  readonly backendReason: string;
  readonly threads: number;
  /** Which WebAssembly module runs. */
  readonly variant: string;
  /** Bytes: weights in place, vocabulary, activations, the KV cache when the context is full, and all of it with tables. */
  readonly memory: {
    readonly weights: number;
    readonly vocabulary: number;
    readonly activations: number;
    readonly kv: number;
    readonly total: number;
  };
  /** `tokenizer.chat_template` of the file. */
  readonly chatTemplate: string | undefined;
}

/** Labels of `general.file_type` (llama.cpp's llama_ftype), by number. */
const fileTypes: { readonly [type: number]: string } = {
  0: 'F32', 1: 'F16', 2: 'Q4_0', 3: 'Q4_1', 7: 'Q8_0', 8: 'Q5_0', 9: 'Q5_1', 10: 'Q2_K', 11: 'Q3_K_S', 12: 'Q3_K_M', 13: 'Q3_K_L',
  14: 'Q4_K_S', 15: 'Q4_K_M', 16: 'Q5_K_S', 17: 'Q5_K_M', 18: 'Q6_K', 19: 'IQ2_XXS', 20: 'IQ2_XS', 21: 'Q2_K_S', 22: 'IQ3_XS',
  23: 'IQ3_XXS', 24: 'IQ1_S', 25: 'IQ4_NL', 26: 'IQ3_S', 27: 'IQ3_M', 28: 'IQ2_S', 29: 'IQ2_M', 30: 'IQ4_XS', 31: 'IQ1_M', 32: 'BF16',
  36: 'TQ1_0', 37: 'TQ2_0', 38: 'MXFP4', 39: 'NVFP4', 40: 'Q1_0', 41: 'Q2_0',
};
export function describe(engine: WasmEngine, compiled: CompiledModule, why?: string): LanguageModelInfo {
  const model = engine.file.modelInfo();
  const plan = engine.file.planInfo;
  const kv = plan.context_bytes;
  return {
    architecture: engine.file.meta('general.architecture') ?? '',
    name: engine.file.meta('general.name') ?? '',
    parameters: model.n_params,
    quantization: fileTypes[model.file_type] ?? commonestType(engine),
    vocabularySize: model.n_vocab,
    contextLength: plan.n_ctx,
    trainedContextLength: model.n_ctx_train,
    embeddingLength: model.n_embd,
    blockCount: model.n_layer,
    backend: engine.executor.name,
    backendReason: `${why === undefined ? '' : `${why}; `}${compiled.variant}: ${compiled.reason}`,
    threads: plan.n_threads,
    variant: compiled.variant,
    memory: {
      weights: plan.weight_bytes, vocabulary: plan.vocabulary_bytes, activations: plan.activation_bytes, kv,
      total: plan.bytes + plan.header_bytes + kv,
    },
    chatTemplate: engine.file.meta('tokenizer.chat_template'),
  };
}

/** By bytes in the file. */
function commonestType(engine: WasmEngine): string {
  const bytes = new Map<number, number>();
  for (let i = 0; i < engine.file.planInfo.n_tensors; i++) {
    const { type, file_bytes } = engine.file.tensor(i);
    bytes.set(type, (bytes.get(type) ?? 0) + file_bytes);
  }
  const [most] = [...bytes].sort(([, a], [, b]) => b - a);
  return most === undefined ? '' : tensorTypes[most[0]] ?? `type ${most[0]}`;
}
