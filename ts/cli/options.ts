// SPDX-License-Identifier: Apache-2.0
// options.ts: the options of the command line, each once. Parsing, the help texts and the suggestions for a
// misspelt option read this table.

export interface CommandOption {
  readonly type: 'boolean' | 'string';
  readonly short?: string;
  readonly multiple?: boolean;
  /** What the help writes for the option's value. */
  readonly value?: string;
  /** One line of help. */
  readonly text: string;
}

export const options = {
  // Text
  text: { type: 'string', value: 'TEXT', text: 'the text, by name' },
  prompt: { type: 'string', value: 'TEXT', text: 'the prompt, by name' },
  exact: { type: 'boolean', text: "keep the line end that ends stdin's text; by default it is dropped" },
  ids: { type: 'string', value: '1,2,3', text: 'token ids instead of a text' },
  'no-special': { type: 'boolean', text: 'add no BOS and no EOS' },
  'no-parse': { type: 'boolean', text: 'special tokens in the text are plain text' },
  chat: { type: 'boolean', text: "put the prompt into the model's chat template" },
  'chat-template': {
    type: 'string',
    value: 'NAME',
    text: "one of the file's further templates, such as tool_use",
  },
  system: { type: 'string', value: 'TEXT', text: "the system turn; '': none" },
  // Sampling
  'max-tokens': { type: 'string', value: 'N', text: 'at most N new tokens' },
  temperature: { type: 'string', value: 'T', text: '0 always takes the likeliest token (default 0.8)' },
  'top-k': { type: 'string', value: 'N', text: 'draw from the N likeliest tokens; 0: off (40)' },
  'top-p': {
    type: 'string',
    value: 'P',
    text: 'draw from the likeliest tokens that sum to P; 1: off (0.95)',
  },
  'min-p': {
    type: 'string',
    value: 'P',
    text: 'leave out tokens below P times the likeliest; 0: off (0.05)',
  },
  'repetition-penalty': { type: 'string', value: 'X', text: 'over the last 64 tokens; 1: off (1)' },
  'frequency-penalty': { type: 'string', value: 'X', text: 'over the last 64 tokens; 0: off (0)' },
  'presence-penalty': { type: 'string', value: 'X', text: 'over the last 64 tokens; 0: off (0)' },
  seed: {
    type: 'string',
    value: 'N',
    text: 'the same seed gives the same text; default: another one each time',
  },
  stop: { type: 'string', value: 'TEXT', multiple: true, text: 'end before TEXT; may be repeated' },
  'ignore-eos': { type: 'boolean', text: 'go on after the model ends its turn' },
  // Results
  profile: { type: 'boolean', text: 'print where the time went, by op' },
  dispatches: { type: 'boolean', text: 'print the dispatches of a token on the GPU' },
  pooling: {
    type: 'string',
    value: 'KIND',
    text: "mean, cls, last, rank or none (default: the file's)",
  },
  raw: { type: 'boolean', text: 'divide no vector by its length' },
  tensors: { type: 'boolean', text: 'print the tensor table' },
  metadata: { type: 'boolean', text: 'print all metadata' },
  all: { type: 'boolean', text: 'one row per token, instead of one after the last' },
  top: { type: 'string', value: 'N', text: 'the N largest logits of each row (10)' },
  full: { type: 'boolean', text: 'with --json: all logits of each row, by token id' },
  depths: { type: 'string', value: 'N,N', text: 'tokens before the measured ones (0,512,2048)' },
  repeat: { type: 'string', value: 'N', text: 'repetitions; the median is printed (3)' },
  'no-history': { type: 'boolean', text: 'neither read nor keep earlier questions' },
  // Loading
  ctx: {
    type: 'string',
    value: 'N',
    text: "context in tokens, or auto: what fits (the model's, at most 4096)",
  },
  memory: {
    type: 'string',
    value: 'SIZE',
    text: "at most so much memory for the model, as 800MB or 2GiB; not the GPU's",
  },
  threads: {
    type: 'string',
    value: 'N',
    text: 'threads that compute (as many as the machine has, at most 8)',
  },
  backend: {
    type: 'string',
    value: 'NAME',
    text: 'cpu, webgpu (the GPU, by the package webgpu) or auto (the CPU in Node)',
  },
  gpu: {
    type: 'string',
    value: 'FLAG',
    multiple: true,
    text: 'a flag for the package webgpu, as backend=vulkan; may be repeated',
  },
  'any-pre': { type: 'boolean', text: "read an unknown pre-tokenizer as 'default'" },
  kv: { type: 'string', value: 'TYPE', text: 'type of the KV cache: f16, q8_0 or f32 (f16)' },
  // Models of the web
  cache: {
    type: 'string',
    value: 'DIR',
    text: 'where downloads are kept ($WASM_CHORD_CACHE, else ~/.cache/wasm-chord)',
  },
  'no-cache': { type: 'boolean', text: 'keep nothing of a download' },
  token: { type: 'string', value: 'TOKEN', text: 'access token for models hf: (HF_TOKEN)' },
  sha256: { type: 'string', value: 'HEX', text: 'refuse a file with another SHA-256' },
  connections: { type: 'string', value: 'N', text: 'ranges that are downloaded at the same time (4)' },
  // All commands
  json: { type: 'boolean', text: 'JSON on stdout: one object, or one a line' },
  quiet: { type: 'boolean', short: 'q', text: 'no progress and no figures on stderr' },
  help: { type: 'boolean', short: 'h', text: 'this text' },
  version: { type: 'boolean', text: "the package's version" },
} as const satisfies { readonly [name: string]: CommandOption };

export type OptionName = keyof typeof options;

export const samplingOptions = [
  'max-tokens',
  'temperature',
  'top-k',
  'top-p',
  'min-p',
  'repetition-penalty',
  'frequency-penalty',
  'presence-penalty',
  'seed',
  'stop',
] as const satisfies readonly OptionName[];

export const loadingOptions = [
  'ctx',
  'memory',
  'threads',
  'backend',
  'gpu',
  'kv',
  'any-pre',
  'cache',
  'no-cache',
  'token',
] as const satisfies readonly OptionName[];

/** Options of every command. */
export const commonOptions = ['json', 'quiet', 'help'] as const satisfies readonly OptionName[];

export const isOption = (name: string): name is OptionName => Object.hasOwn(options, name);
