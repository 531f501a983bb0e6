// SPDX-License-Identifier: Apache-2.0
// wasm-chord: all exports of the package. Level 2 (loadModel) runs the engine in a worker, with threads.
// Level 1 (init, WasmModel) runs in the caller's thread and is synchronous where it waits for nothing.
import { VERSION } from './abi/abi.gen.js';

/** The package's version. */
export function version(): string {
  return VERSION;
}

// Level 2
export { loadModel } from './client/load-model.js';
export { estimateModel, inspectModel } from './client/estimate.js';
export { LanguageModel } from './client/model.js';
export { Session } from './client/session.js';
export { Generation } from './client/generation.js';
export { ChatCompletions, ChatCompletionStream } from './chat/completions.js';
export { cacheUsage, deleteModel, downloadModel, listModels, persistCache } from './client/cache.js';
export { capabilities } from './client/capabilities.js';
export { ChordError } from './errors.js';
export type { ChordErrorCode } from './errors.js';
export type { Capabilities } from './client/capabilities.js';
export type { DetokenizeCallOptions, LogitsCallOptions, TokenizeCallOptions } from './client/model.js';
export type {
  EmbedOptions,
  EmbedProgress,
  Embedding,
  EmbeddingCreateParams,
  EmbeddingsResponse,
  RankedDocument,
  RerankOptions,
  TextInput,
} from './client/embed-options.js';
export type { Pooling } from './options.js';
export type { RestoreOptions, SaveOptions, SaveToOptions } from './client/session.js';
export type {
  CacheOptions,
  DownloadModelOptions,
  GenerateOptions,
  LoadModelOptions,
} from './client/options.js';
export type { CacheUsage } from './client/cache.js';
export type { CachedModel } from './store/cache.js';
export type { ChatMessage, ChatTemplateOptions } from './chat/template.js';
export type {
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionCreateParams,
  ChatCompletionDelta,
  ChatCompletionLogprobs,
  ChatCompletionMessage,
  ChatCompletionMessageParam,
  ChatCompletionTokenLogprob,
  ChatCompletionTool,
  ChatCompletionToolCall,
  ChatCompletionToolCallParam,
  ChatContentPart,
  ChatFinishReason,
  ChatRequestOptions,
  CompletionUsage,
} from './chat/shapes.js';
export type { ToolFormatName } from './chat/answer/reader.js';
export type { LoadProgress } from './load/progress.js';
export type { Fetch } from './load/ask.js';
export type { FileSource, ModelSource } from './load/source.js';
export type { SelfTested } from './executor.js';
export type {
  GenerationStats,
  LanguageModelInfo,
  ModelCounters,
  ModelEstimate,
  ModelInspection,
  GpuDispatch,
  ProfileEntry,
  TokenEvent,
  TokenLogprob,
} from './worker/protocol.js';
export type { FileFacts, SpecialToken, TensorFacts, TensorShare } from './wasm/facts.js';

// Level 1
export { default, WasmModel } from './model/wasm-model.js';
export { AsyncTokenStream } from './model/async-token-stream.js';
export { format_chat } from './chat/format-chat.js';
export type { ChatFormat } from './chat/format-chat.js';
export type { GpuOptions, InitOptions, WasmModelCounters } from './model/wasm-model.js';
