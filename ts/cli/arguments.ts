// SPDX-License-Identifier: Apache-2.0
// arguments.ts: argv -> a checked command. Every error in the command line is a UsageError (exit status 2).
import { parseArgs } from 'node:util';
import type { GenerateOptions } from '../index.js';

export class UsageError extends Error {}

const commands = ['info', 'tokenize', 'generate', 'chat', 'logits'] as const;
export type CommandName = (typeof commands)[number];

export interface Command {
  name: CommandName;
  /** Path, file: URL or http(s) URL of the GGUF. */
  model: string;
  /** The text after the model; null when it is absent and stdin is read. */
  text: string | null;
  ids: number[] | null;
  json: boolean;
  quiet: boolean;
  contextLength?: number;
  threads?: number;
  kvType?: 'f16' | 'q8_0' | 'f32';
  /** Options for converting text to ids. */
  special: { addSpecial: boolean; parseSpecial: boolean };
  /** Put the text into the model's chat template as the user's turn. */
  chat: boolean;
  system: string | null;
  /** logits: one row per id, instead of one row for the last id. */
  all: boolean;
  /** logits: how many of the largest logits to print. */
  top: number;
  /** generate: print where the time goes. */
  profile: boolean;
  sampling: GenerateOptions;
}

const options = {
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
  json: { type: 'boolean' },
  quiet: { type: 'boolean', short: 'q' },
  ctx: { type: 'string' },
  threads: { type: 'string' },
  kv: { type: 'string' },
  'no-special': { type: 'boolean' },
  'no-parse': { type: 'boolean' },
  text: { type: 'string' },
  prompt: { type: 'string' },
  ids: { type: 'string' },
  chat: { type: 'boolean' },
  system: { type: 'string' },
  all: { type: 'boolean' },
  top: { type: 'string' },
  'max-tokens': { type: 'string' },
  temperature: { type: 'string' },
  'top-k': { type: 'string' },
  'top-p': { type: 'string' },
  'min-p': { type: 'string' },
  'repetition-penalty': { type: 'string' },
  'frequency-penalty': { type: 'string' },
  'presence-penalty': { type: 'string' },
  seed: { type: 'string' },
  stop: { type: 'string', multiple: true },
  'ignore-eos': { type: 'boolean' },
  profile: { type: 'boolean' },
} as const;

const samplingFlags = [
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
];
const common = ['help', 'json', 'quiet', 'ctx', 'threads', 'kv'];
/** Flags of each command besides the common ones. A flag without effect is an error. */
const flags: { readonly [name in CommandName]: readonly string[] } = {
  info: [],
  tokenize: ['text', 'no-special', 'no-parse'],
  generate: [
    'prompt',
    'no-special',
    'no-parse',
    'ids',
    'chat',
    'system',
    'ignore-eos',
    'profile',
    ...samplingFlags,
  ],
  chat: ['system', ...samplingFlags],
  logits: ['text', 'no-special', 'no-parse', 'ids', 'all', 'top'],
};

export const help = `wasm-chord: run GGUF language models in WebAssembly

  wasm-chord info     MODEL                 what the file holds and how it runs here
  wasm-chord tokenize MODEL [TEXT]          text to token ids
  wasm-chord generate MODEL [PROMPT]        continue a prompt; Ctrl-C stops the answer
  wasm-chord chat     MODEL                 a conversation, typed or piped; Ctrl-C stops the answer
  wasm-chord logits   MODEL [TEXT]          the next token's logits

MODEL is a path or a URL. Without TEXT or PROMPT, or with -, the text is read from stdin. --text TEXT and
--prompt PROMPT are the same by name.

for all       --json            JSON, one value per line     -q, --quiet  no progress, no figures
              --ctx N           context length               --threads N
              --kv f16|q8_0|f32 type of the KV cache         -h, --help   --version
text          --no-special      add no BOS or EOS            --no-parse   special tokens are plain text
              --ids 1,2,3       ids instead of text (generate, logits)
generate      --chat            put the prompt into the model's chat template
              --ignore-eos      continue after the model ends its turn
              --profile         where the time went, by op
generate,     --system TEXT     the system turn (generate: with --chat)
chat          --max-tokens N    (256; chat: no limit)        --stop TEXT  may be repeated
              --temperature T   (0.8; 0 is greedy)           --seed N
              --top-k N (40)    --top-p P (0.95)             --min-p P (0.05)
              --repetition-penalty X   --frequency-penalty X   --presence-penalty X
logits        --top N           the N largest (10)           --all        one row per token

exit status   0 done, 1 failed, 2 wrong usage
`;

/** Parses argv (without node and script). Help and version requests return 'help' and 'version'. */
export function parseCommand(argv: string[]): Command | 'help' | 'version' {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  if (values.version) return 'version';

  const [name, model, ...words] = positionals;
  if (name === undefined) throw new UsageError('no command is given');
  if (!isCommand(name)) throw new UsageError(`there is no command '${name}'`);
  if (model === undefined) throw new UsageError(`${name}: no model is given`);
  const named = values.text ?? values.prompt;
  const excess = words[name === 'info' || name === 'chat' || named !== undefined ? 0 : 1];
  if (excess !== undefined) throw new UsageError(`${name}: the argument '${excess}' is one too many`);
  for (const flag of Object.keys(values)) {
    if (!common.includes(flag) && !flags[name].includes(flag))
      throw new UsageError(`${name} has no option --${flag}`);
  }
  const text = named ?? (words[0] === '-' ? undefined : words[0]);
  const ids = values.ids === undefined ? null : parseIds(values.ids);
  if (ids !== null && (named ?? words[0]) !== undefined)
    throw new UsageError(`${name}: text and --ids can't be combined`);
  if (values.chat && ids !== null) throw new UsageError("--chat and --ids can't be combined");
  if (values.system !== undefined && name !== 'chat' && !values.chat)
    throw new UsageError('--system needs --chat');
  if (values.kv !== undefined && !['f16', 'q8_0', 'f32'].includes(values.kv))
    throw new UsageError(`--kv: '${values.kv}' isn't f16, q8_0 or f32`);

  const sampling: GenerateOptions = {};
  const put = <K extends keyof GenerateOptions>(key: K, value: GenerateOptions[K] | undefined) => {
    if (value !== undefined) sampling[key] = value;
  };
  put('maxTokens', whole('max-tokens', values['max-tokens']));
  put('temperature', real('temperature', values.temperature));
  put('topK', whole('top-k', values['top-k']));
  put('topP', real('top-p', values['top-p']));
  put('minP', real('min-p', values['min-p']));
  put('repetitionPenalty', real('repetition-penalty', values['repetition-penalty']));
  put('frequencyPenalty', real('frequency-penalty', values['frequency-penalty']));
  put('presencePenalty', real('presence-penalty', values['presence-penalty']));
  put('seed', whole('seed', values.seed));
  put('stop', values.stop);
  put('ignoreEos', values['ignore-eos']);

  const contextLength = whole('ctx', values.ctx);
  const threads = whole('threads', values.threads);
  return {
    name,
    model,
    ids,
    sampling,
    text: text ?? null,
    json: values.json ?? false,
    quiet: values.quiet ?? false,
    special: { addSpecial: !values['no-special'], parseSpecial: !values['no-parse'] },
    chat: values.chat ?? false,
    system: values.system ?? null,
    all: values.all ?? false,
    top: whole('top', values.top) ?? 10,
    profile: values.profile ?? false,
    ...(contextLength !== undefined && { contextLength }),
    ...(threads !== undefined && { threads }),
    ...(values.kv !== undefined && { kvType: values.kv as 'f16' | 'q8_0' | 'f32' }),
  };
}

function parse(argv: string[]) {
  try {
    return parseArgs({ args: argv, options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError((error as Error).message.split('. To specify')[0]!.split('\n')[0]!);
  }
}

function isCommand(name: string): name is CommandName {
  return (commands as readonly string[]).includes(name);
}

function whole(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text)))
    throw new UsageError(`--${flag}: '${text}' isn't an integer from 0 on`);
  return Number(text);
}

function real(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new UsageError(`--${flag}: '${text}' isn't a number`);
  return value;
}

function parseIds(text: string): number[] {
  return text
    .split(/[\s,]+/)
    .filter((id) => id !== '')
    .map((id) => whole('ids', id)!);
}
