// SPDX-License-Identifier: Apache-2.0
// commands.ts: the commands, each once: what it takes, its options, its help and its examples.
import { loadingOptions, samplingOptions } from './options.js';
import type { OptionName } from './options.js';

export interface CommandRow {
  /** What follows the command's name. */
  readonly usage: string;
  /** One line in the list of commands. */
  readonly summary: string;
  /** More about it, in the command's own help. */
  readonly about: string;
  /** How many words after the command: MODEL, and a text. */
  readonly least: number;
  readonly most: number;
  /** The command's own options. An option without effect is an error. */
  readonly own: readonly OptionName[];
  readonly sampling: boolean;
  readonly loading: boolean;
  readonly examples: readonly string[];
}

const MODEL = `MODEL is a path, a URL, or a model of Hugging Face: hf:owner/repo:Q4_K_M or hf:owner/repo/file.gguf.`;
const TEXT = `Without TEXT, or with -, the text is read from stdin. One line end at its end is dropped,
so that 'echo hello | ...' means the text "hello"; --exact keeps it.`;
const TINY = `A model below 300 million parameters gets the system turn "You are a helpful assistant.", unless
--system gives another; --system '' leaves it out.`;

export const commands = {
  chat: {
    usage: 'MODEL',
    summary: 'talk to a model',
    about: `${MODEL}
Each line is a question, typed or piped.

In a terminal: Ctrl-C stops an answer; at the empty prompt it leaves, as Ctrl-D does. The arrow keys edit the
line and bring earlier questions back. They are kept from one conversation to the next in
~/.local/state/wasm-chord/history ($XDG_STATE_HOME; on Windows %LOCALAPPDATA%), unless --no-history is given
or WASM_CHORD_HISTORY is empty; WASM_CHORD_HISTORY can name another file. /help lists the commands of a
conversation.

${TINY} In a terminal it gets temperature 0 and a
frequency penalty of 0.2 too.`,
    least: 1,
    most: 1,
    own: ['system', 'chat-template', 'no-history'],
    sampling: true,
    loading: true,
    examples: [
      'wasm-chord chat model.gguf',
      'wasm-chord chat model.gguf --system "Answer in one sentence." --temperature 0.2',
      'printf "Hi\\nAnd then?\\n" | wasm-chord chat model.gguf --quiet',
    ],
  },
  generate: {
    usage: 'MODEL [PROMPT]',
    summary: 'continue a prompt',
    about: `${MODEL}
${TEXT.replaceAll('TEXT', 'PROMPT').replace('the text is', 'the prompt is')}

The text goes to stdout while it is written, the figures to stderr. Ctrl-C stops it. With --json, each token
is a line { token, text }, and the last line is { stats }.

${TINY.replace('A model', 'With --chat, a model').replace(', unless\n--system', ',\nunless --system')}`,
    least: 1,
    most: 2,
    own: [
      'prompt',
      'exact',
      'ids',
      'no-special',
      'no-parse',
      'chat',
      'system',
      'chat-template',
      'ignore-eos',
      'profile',
    ],
    sampling: true,
    loading: true,
    examples: [
      'wasm-chord generate model.gguf "Once upon a time" --temperature 0',
      'wasm-chord generate model.gguf --chat "Name three rivers of Europe." --seed 7',
      'wasm-chord generate model.gguf --chat --quiet < question.txt > answer.txt',
    ],
  },
  info: {
    usage: 'MODEL',
    summary: 'what the file holds and how it runs here',
    about: `${MODEL}
Reads the header alone. Of a file that can't run it prints what the header has, and why it can't; the
status is 1.
With --json: one object, with the keys of model.info. --dispatches loads the model and adds what a token
takes on the GPU, which is then the backend unless another is named.`,
    least: 1,
    most: 1,
    own: ['dispatches', 'tensors', 'metadata'],
    sampling: false,
    loading: true,
    examples: ['wasm-chord info model.gguf', 'wasm-chord info model.gguf --json | jq .parameters'],
  },
  tokenize: {
    usage: 'MODEL [TEXT]',
    summary: 'text to token ids',
    about: `${MODEL}
${TEXT}

Prints one line per token: its id and its text. With --json: { ids, pieces }.`,
    least: 1,
    most: 2,
    own: ['text', 'exact', 'no-special', 'no-parse'],
    sampling: false,
    loading: true,
    examples: [
      'wasm-chord tokenize model.gguf "Hello world"',
      'echo "Hello world" | wasm-chord tokenize model.gguf --json',
      'wasm-chord tokenize model.gguf --exact < file.txt | wc -l',
    ],
  },
  embed: {
    usage: 'MODEL [TEXT]',
    summary: 'texts to vectors',
    about: `${MODEL}
Without TEXT, or with -, each line of stdin is a text.

Prints one line per text: its numbers, with a blank between them. With --json: { embeddings }.`,
    least: 1,
    most: 2,
    own: ['text', 'pooling', 'raw'],
    sampling: false,
    loading: true,
    examples: ['wasm-chord embed model.gguf "Hello world"', 'wasm-chord embed model.gguf --json < lines.txt'],
  },
  logits: {
    usage: 'MODEL [TEXT]',
    summary: 'the scores of the next token',
    about: `${MODEL}
${TEXT}

Prints the largest logits after the text's last token. With --json: one line per row,
{ position, top: [{ token, logit, text }] }, or with --full { position, logits }.`,
    least: 1,
    most: 2,
    own: ['text', 'exact', 'ids', 'no-special', 'no-parse', 'all', 'top', 'full'],
    sampling: false,
    loading: true,
    examples: [
      'wasm-chord logits model.gguf "The capital of France is" --top 3',
      'wasm-chord logits model.gguf --ids 1,2,3 --all --json',
    ],
  },
  estimate: {
    usage: 'MODEL',
    summary: 'memory that a model needs, from its header alone',
    about: `${MODEL}
Nothing but the header is read or downloaded. Prints the memory by use, whether the model fits on this machine
and why, the largest context that fits, and how it would run. With --json: one object. The exit status is 0
also where the model doesn't fit: the field 'fits' says it.`,
    least: 1,
    most: 1,
    own: [],
    sampling: false,
    loading: true,
    examples: [
      'wasm-chord estimate model.gguf',
      'wasm-chord estimate model.gguf --ctx 2048 --kv q8_0 --json',
    ],
  },
  bench: {
    usage: 'MODEL',
    summary: 'how fast a model runs here',
    about: `${MODEL}
Measures this package alone, on this machine: loading, reading a prompt (prefill) and writing (decode) with
few and many tokens before, the memory, and how soon an abort takes effect. With --json: one object.`,
    least: 1,
    most: 1,
    own: ['depths', 'repeat'],
    sampling: false,
    loading: true,
    examples: ['wasm-chord bench model.gguf', 'wasm-chord bench model.gguf --threads 1 --depths 0 --json'],
  },
  pull: {
    usage: 'MODEL',
    summary: 'download a model into the cache',
    about: `MODEL is a URL or a model of Hugging Face: hf:owner/repo:Q4_K_M or hf:owner/repo/file.gguf.
HF_ENDPOINT names a mirror, and WASM_CHORD_CACHE another folder for all commands. A download that was
stopped goes on where it was. The other commands download too, into the same cache; they take what is there.
With --json: one object.`,
    least: 1,
    most: 1,
    own: ['cache', 'token', 'sha256', 'connections'],
    sampling: false,
    loading: false,
    examples: [
      'wasm-chord pull hf:owner/repo:Q4_K_M',
      'wasm-chord pull https://example.org/model.gguf --cache /data/models',
    ],
  },
  list: {
    usage: '',
    summary: 'the models in the cache',
    about: `One line per model, the one used last first: name, size (or how much of it is there), day of the last use,
source. With --json: one object per model, one a line; 'file' is the name.`,
    least: 0,
    most: 0,
    own: ['cache'],
    sampling: false,
    loading: false,
    examples: ['wasm-chord list', 'wasm-chord list --json | jq -r .source'],
  },
  rm: {
    usage: 'MODEL...',
    summary: 'delete models from the cache',
    about: `MODEL is what was pulled or loaded, or a name or source that 'wasm-chord list' shows. With --json: one object
per deleted model, one a line.`,
    least: 1,
    most: 1000,
    own: ['cache'],
    sampling: false,
    loading: false,
    examples: ['wasm-chord rm https://example.org/model.gguf', 'wasm-chord rm model.gguf other.gguf'],
  },
} as const satisfies { readonly [name: string]: CommandRow };

export type CommandName = keyof typeof commands;
export const isCommand = (name: string): name is CommandName => Object.hasOwn(commands, name);
export const rowOf = (name: CommandName): CommandRow => commands[name];

/** All options that a command takes. */
export function optionsOf({ own, sampling, loading }: CommandRow): OptionName[] {
  return [
    ...own,
    ...(sampling ? samplingOptions : []),
    ...(loading ? loadingOptions : []),
    'json',
    'quiet',
    'help',
  ];
}
