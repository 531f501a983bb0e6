// SPDX-License-Identifier: Apache-2.0
// Describes a loaded model as plain data, the same in level 1 and level 2.
import { toErrorRecord } from '../errors.js';
import type { ErrorRecord } from '../errors.js';
import type { GpuMemoryUse, SelfTested } from '../executor.js';
import type { WasmEngine } from './engine.js';
import { readFacts } from './facts.js';
import type { FileFacts } from './facts.js';
import type { CompiledModule } from './instantiate.js';

/** Facts about a loaded model and how it runs here. */
export interface LanguageModelInfo extends FileFacts {
  /** Number of tokens in the vocabulary. */
  readonly vocabularySize: number;
  /** Maximum tokens of prompt and continuation here. Default: `trainedContextLength`, at most 4096. */
  readonly contextLength: number;
  /** Context length that the model was trained for, in tokens. */
  readonly trainedContextLength: number;
  /** Width of the model's rows of activations. */
  readonly embeddingLength: number;
  /** Number of layers. */
  readonly blockCount: number;
  /** The backend that computes. */
  readonly backend: 'cpu' | 'webgpu';
  /** Reasons for this backend, this variant and this number of threads. */
  readonly backendReason: string;
  /** On a GPU: what its products were off, of each format of the model's weights and each kernel. */
  readonly selfTest?: readonly SelfTested[];
  /** Threads that compute, including the caller's or the engine worker's own. */
  readonly threads: number;
  /** Reason for this number of threads, such as "1 thread: the page isn't cross-origin isolated". */
  readonly threadsReason: string;
  /**
   * The WebAssembly variant that runs: 'wasm32-simd', 'wasm32-relaxed', or 'wasm64-relaxed' for a model that
   * needs more than 4 GiB. '+fma' follows where relaxed multiply-adds are fused (rounded once). 'custom' for
   * a module that the caller gave.
   */
  readonly variant: string;
  /** Reason for this variant. */
  readonly variantReason: string;
  /**
   * Layers whose matrices are read from the file each time they are needed; 0: all weights are in memory, or
   * on the GPU.
   */
  readonly pagedLayers: number;
  /**
   * Bytes that are read for each token, and for each batch of a prompt; 0 without paged layers. Of experts,
   * those that a token chooses are read unless they are in memory, so this is the most that a token reads.
   */
  readonly pagedBytes: number;
  /** Why layers are paged, and who reads them if that's no I/O worker; or why none is. */
  readonly pagingReason: string;
  /**
   * Bytes by use. `kv` is the KV cache of one session when the context is full. `total` is the size of the
   * WebAssembly memory then: it also counts the header's tables, buffers, and the threads' stacks. `gpu` is
   * the size of all buffers on the GPU behind the load; 0 on the CPU. Rows that are read back (`logits`,
   * `embed`, a save) and further sessions may add to it later: `counters().gpuBytes`. With the backend
   * 'webgpu', `weights` and `kv` are there: parts of `gpu`, not of `total`. The rest of `gpu` are
   * activations.
   */
  readonly memory: {
    readonly weights: number;
    readonly vocabulary: number;
    readonly activations: number;
    readonly kv: number;
    readonly total: number;
    readonly gpu: number;
  };
  /** The chat template: `tokenizer.chat_template` of the file, or else that of its architecture's family. */
  readonly chatTemplate: string | undefined;
  /** Where `chatTemplate` is from. */
  readonly chatTemplateSource: 'file' | 'architecture' | undefined;
  /** Names of the file's further chat templates, such as 'tool_use'. */
  readonly chatTemplates: readonly string[];
}

/**
 * Describes a model. `why`: the reason for the number of threads. `reason`: the reason for the backend.
 * `gpu`: what is on the GPU; undefined: the CPU computes.
 */
export function describe(
  engine: WasmEngine,
  compiled: CompiledModule,
  why: string,
  reason?: string,
  pagingReason = 'all weights are in memory',
  gpu: GpuMemoryUse | undefined = engine.executor.gpuMemory,
): LanguageModelInfo {
  const model = engine.file.modelInfo();
  const plan = engine.file.planInfo;
  const { selfTest, downgrade } = engine.executor;
  const backend = [reason, downgrade].filter((text) => text !== undefined).map((text) => `${text}; `);
  return {
    ...readFacts(engine.file),
    vocabularySize: model.n_vocab,
    contextLength: plan.n_ctx,
    trainedContextLength: model.n_ctx_train,
    embeddingLength: model.n_embd,
    blockCount: model.n_layer,
    backend: gpu === undefined ? engine.executor.name : 'webgpu',
    backendReason: `${backend.join('')}${why}; ${compiled.variant}: ${compiled.reason}`,
    ...(selfTest && { selfTest }),
    threads: plan.n_threads,
    threadsReason: why,
    variant: compiled.variant,
    variantReason: compiled.reason,
    pagedLayers: plan.n_paged,
    pagedBytes: plan.token_bytes,
    pagingReason,
    memory: {
      weights: gpu?.weights ?? plan.weight_bytes,
      vocabulary: plan.vocabulary_bytes,
      activations: plan.activation_bytes,
      kv: gpu?.kv ?? plan.context_bytes,
      total: engine.file.neededBytes,
      gpu: gpu?.total ?? 0,
    },
    ...templateInfo(engine),
  };
}

/** A model's chat templates. `error`: what is wrong with `main`, which the file has in another form. */
export interface ModelTemplates {
  readonly main: string | undefined;
  readonly error: ErrorRecord | undefined;
  readonly named: { readonly [name: string]: string };
  readonly bosToken: string;
  readonly eosToken: string;
}

export function describeTemplates(engine: WasmEngine): ModelTemplates {
  const { file, vocabulary } = engine;
  const { bos, eos } = file.modelInfo();
  const text = (id: number): string => (id < 0 ? '' : vocabulary.detokenize([id]));
  const named: [string, string][] = [];
  for (const name of file.chatTemplates()) {
    const template = ownTemplate(engine, name).main;
    if (template !== undefined) named.push([name, template]);
  }
  return {
    ...ownTemplate(engine),
    named: Object.fromEntries(named),
    bosToken: text(bos),
    eosToken: text(eos),
  };
}

/** A model loads also when its template is no text. */
function ownTemplate(engine: WasmEngine, name?: string): Pick<ModelTemplates, 'main' | 'error'> {
  try {
    return { main: engine.file.chatTemplate(name), error: undefined };
  } catch (error) {
    return { main: undefined, error: toErrorRecord(error) };
  }
}

export function templateInfo(
  engine: WasmEngine,
): Pick<LanguageModelInfo, 'chatTemplate' | 'chatTemplateSource' | 'chatTemplates'> {
  const { main } = ownTemplate(engine);
  const isOwn = engine.file.meta('tokenizer.chat_template') !== undefined;
  return {
    chatTemplate: main,
    chatTemplateSource: main === undefined ? undefined : isOwn ? 'file' : 'architecture',
    chatTemplates: engine.file.chatTemplates(),
  };
}
