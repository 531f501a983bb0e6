// SPDX-License-Identifier: Apache-2.0
// arguments.ts: argv -> a checked command. Every error in the command line is a UsageError (exit status 2).
import { parseArgs } from 'node:util';
import type { EmbedOptions, GenerateOptions } from '../index.js';
import { commands, isCommand, optionsOf, rowOf } from './commands.js';
import type { CommandName } from './commands.js';
import { nearest } from './nearest.js';
import { isOption, options } from './options.js';
import type { CommandOption, OptionName } from './options.js';

export class UsageError extends Error {
  /** The command whose help tells more; undefined: the general help. */
  readonly command: CommandName | undefined;
  constructor(message: string, command?: CommandName) {
    super(message);
    this.command = command;
  }
}

export interface Command {
  name: CommandName;
  /** Path, URL or hf: address of the GGUF. */
  model: string;
  /** rm: all models. */
  models: string[];
  /** The text after the model; null when it is absent and stdin is read. */
  text: string | null;
  ids: number[] | null;
  /** Keep the line end that ends stdin's text. */
  exact: boolean;
  json: boolean;
  quiet: boolean;
  contextLength: number | 'auto' | undefined;
  memoryBudget: number | undefined;
  threads: number | undefined;
  backend: 'auto' | 'cpu' | 'webgpu' | undefined;
  /** Flags of the package `webgpu`. */
  gpu: readonly string[] | undefined;
  kvType: 'f16' | 'q8_0' | 'f32' | undefined;
  /** An unknown pre-tokenizer is read as 'default'. */
  anyPre: boolean;
  /** A folder, 'none', or undefined for the package's default. */
  cache: string | undefined;
  token: string | undefined;
  sha256: string | undefined;
  connections: number | undefined;
  /** Options for converting text to ids. */
  special: { addSpecial: boolean; parseSpecial: boolean };
  /** Put the text into the model's chat template as the user's turn. */
  chat: boolean;
  /** Name of one of the file's chat templates; undefined: the main one. */
  chatTemplate: string | undefined;
  system: string | null;
  /** chat: keep questions for later conversations. */
  history: boolean;
  /** logits: one row per id, instead of one row for the last id. */
  all: boolean;
  /** logits: how many of the largest logits to print. */
  top: number;
  /** logits --json: all logits of each row. */
  full: boolean;
  /** generate: print where the time goes. */
  profile: boolean;
  dispatches: boolean;
  /** embed: how rows become one; undefined: the file's way. */
  pooling: EmbedOptions['pooling'];
  /** embed: leave vectors as long as they are. */
  raw: boolean;
  /** info: print the tensor table. */
  tensors: boolean;
  /** info: print all metadata. */
  metadata: boolean;
  /** bench: tokens before the measured ones. */
  depths: number[];
  /** bench: repetitions of each measurement. */
  repeat: number;
  sampling: GenerateOptions;
}

/** A request for a text instead of work: the help of a command, the general help, or the version. */
export type Request = { help: CommandName | undefined } | { version: true };

/** Parses argv (without node and script). */
export function parseCommand(argv: string[]): Command | Request {
  const { positionals, values } = split(argv);
  const [name, ...words] = positionals;
  if (name === 'help') return { help: words[0] === undefined ? undefined : asCommand(words[0]) };
  if (values.has('help')) return { help: name === undefined ? undefined : asCommand(name) };
  if (values.has('version')) return { version: true };
  if (name === undefined) throw new UsageError('no command is given');
  const command = asCommand(name);
  try {
    return check(command, words, values);
  } catch (error) {
    throw error instanceof UsageError ? new UsageError(error.message, command) : error;
  }
}

type Values = ReadonlyMap<OptionName, string | true | readonly string[]>;

/** Splits argv into words and options. An unknown option names the nearest that the command has. */
function split(argv: string[]): { positionals: string[]; values: Values } {
  const { tokens, positionals } = parseArgs({
    args: argv,
    options,
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const command = positionals.find(isCommand);
  const values = new Map<OptionName, string | true | readonly string[]>();
  for (const token of tokens) {
    if (token.kind !== 'option') continue;
    const { name, rawName, value, inlineValue } = token;
    if (!isOption(name)) throw new UsageError(unknownOption(rawName, name, command), command);
    const option: CommandOption = options[name];
    if (option.type === 'boolean') {
      if (value !== undefined) throw new UsageError(`${rawName} takes no value`, command);
      values.set(name, true);
    } else {
      // A value may begin with a minus, as in -0.5; two of them begin the next option.
      if (value === undefined || (!inlineValue && value.startsWith('--')))
        throw new UsageError(`${rawName} needs a value: ${rawName} ${option.value ?? ''}`, command);
      const before = values.get(name);
      values.set(name, option.multiple ? [...((before as readonly string[]) ?? []), value] : value);
    }
  }
  return { positionals, values };
}

function unknownOption(rawName: string, name: string, command: CommandName | undefined): string {
  if (!rawName.startsWith('--'))
    return `there is no option ${rawName}; a text that begins with - goes after --`;
  const known = command === undefined ? Object.keys(options) : optionsOf(rowOf(command));
  const meant = nearest(name, known) ?? nearest(name, Object.keys(options));
  return `there is no option ${rawName}${meant ? `; did you mean --${meant}?` : ''}`;
}

function asCommand(name: string): CommandName {
  if (isCommand(name)) return name;
  const meant = nearest(name, Object.keys(commands));
  throw new UsageError(
    `there is no command '${name}'${meant ? `; did you mean '${meant}'?` : `; the commands are ${Object.keys(commands).join(', ')}`}`,
  );
}

const POOLINGS = ['mean', 'cls', 'last', 'rank', 'none'] as const;

function poolingOf(text: string | undefined): EmbedOptions['pooling'] {
  const found = POOLINGS.find((pooling) => pooling === text);
  if (text !== undefined && found === undefined)
    throw new UsageError(`--pooling: '${text}' isn't ${POOLINGS.join(', ')}`);
  return found;
}

function check(name: CommandName, words: string[], values: Values): Command {
  const row = rowOf(name);
  for (const option of values.keys())
    if (!optionsOf(row).includes(option)) throw new UsageError(`${name} has no option --${option}`);
  const has = (option: OptionName): boolean => values.has(option);
  const value = (option: OptionName): string | undefined => values.get(option) as string | undefined;

  const named = value('text') ?? value('prompt');
  if (words.length < row.least) throw new UsageError(`${name}: no model is given`);
  const excess = words[named === undefined ? row.most : row.least];
  if (excess !== undefined) throw new UsageError(`${name}: the argument '${excess}' is one too many`);
  const [model = '', word] = words;
  const ids = has('ids') ? numbers('ids', value('ids')!) : null;
  if (ids !== null && (named ?? word) !== undefined)
    throw new UsageError(`${name}: text and --ids can't be combined`);
  if (has('chat') && ids !== null) throw new UsageError("--chat and --ids can't be combined");
  for (const option of ['system', 'chat-template'] as const)
    if (has(option) && name !== 'chat' && !has('chat')) throw new UsageError(`--${option} needs --chat`);
  if (has('full') && !has('json')) throw new UsageError('--full needs --json');
  if (has('full') && has('top')) throw new UsageError("--full and --top can't be combined");
  const kvType = value('kv');
  if (kvType !== undefined && kvType !== 'f16' && kvType !== 'q8_0' && kvType !== 'f32')
    throw new UsageError(`--kv: '${kvType}' isn't f16, q8_0 or f32`);
  const backend = value('backend') ?? (has('dispatches') ? 'webgpu' : undefined);
  if (backend !== undefined && backend !== 'auto' && backend !== 'cpu' && backend !== 'webgpu')
    throw new UsageError(`--backend: '${backend}' isn't auto, cpu or webgpu`);
  if (has('gpu') && backend !== 'webgpu') throw new UsageError('--gpu needs --backend webgpu');
  if (has('cache') && has('no-cache')) throw new UsageError("--cache and --no-cache can't be combined");
  const repeat = whole('repeat', value('repeat')) ?? 3;
  if (repeat < 1) throw new UsageError('--repeat: at least 1 is needed');
  return {
    name,
    model,
    models: words,
    ids,
    sampling: samplingOf(values),
    text: named ?? (word === '-' || word === undefined ? null : word),
    exact: has('exact'),
    json: has('json'),
    quiet: has('quiet'),
    special: { addSpecial: !has('no-special'), parseSpecial: !has('no-parse') },
    chat: has('chat'),
    chatTemplate: value('chat-template'),
    system: value('system') ?? null,
    history: !has('no-history'),
    all: has('all'),
    top: whole('top', value('top')) ?? 10,
    full: has('full'),
    profile: has('profile'),
    dispatches: has('dispatches'),
    pooling: poolingOf(value('pooling')),
    raw: has('raw'),
    tensors: has('tensors'),
    metadata: has('metadata'),
    depths: numbers('depths', value('depths') ?? '0,512,2048'),
    repeat,
    contextLength: value('ctx') === 'auto' ? 'auto' : whole('ctx', value('ctx')),
    memoryBudget: bytes('memory', value('memory')),
    threads: whole('threads', value('threads')),
    backend,
    gpu: values.get('gpu') as readonly string[] | undefined,
    kvType,
    anyPre: has('any-pre'),
    cache: has('no-cache') ? 'none' : value('cache'),
    token: value('token'),
    sha256: value('sha256'),
    connections: whole('connections', value('connections')),
  };
}

function samplingOf(values: Values): GenerateOptions {
  const value = (option: OptionName): string | undefined => values.get(option) as string | undefined;
  const given: GenerateOptions = {
    maxTokens: whole('max-tokens', value('max-tokens')),
    temperature: real('temperature', value('temperature')),
    topK: whole('top-k', value('top-k')),
    topP: real('top-p', value('top-p')),
    minP: real('min-p', value('min-p')),
    repetitionPenalty: real('repetition-penalty', value('repetition-penalty')),
    frequencyPenalty: real('frequency-penalty', value('frequency-penalty')),
    presencePenalty: real('presence-penalty', value('presence-penalty')),
    seed: whole('seed', value('seed')),
    stop: values.get('stop') as readonly string[] | undefined,
    ignoreEos: values.has('ignore-eos') || undefined,
  };
  return Object.fromEntries(Object.entries(given).filter(([, one]) => one !== undefined));
}

function whole(flag: OptionName, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(Number(text)))
    throw new UsageError(`--${flag}: '${text}' isn't an integer from 0 on`);
  return Number(text);
}

function real(flag: OptionName, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new UsageError(`--${flag}: '${text}' isn't a number`);
  return value;
}

/** 800MB, 2GiB, 1.5 GB, or a number of bytes. */
function bytes(flag: OptionName, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const match = /^(\d+(?:\.\d+)?) ?(?:([kmgt])(i?)b?|b?)$/i.exec(text);
  const power = 'kmgt'.indexOf((match?.[2] ?? '').toLowerCase() || '-') + 1;
  const n = Math.floor(Number(match?.[1]) * (match?.[3] ? 1024 : 1000) ** power);
  if (!Number.isSafeInteger(n))
    throw new UsageError(`--${flag}: '${text}' isn't a size such as 800MB or 2GiB`);
  return n;
}

function numbers(flag: OptionName, text: string): number[] {
  return text
    .split(/[\s,]+/)
    .filter((one) => one !== '')
    .map((one) => whole(flag, one)!);
}
