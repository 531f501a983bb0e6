// SPDX-License-Identifier: Apache-2.0
// chat.ts: the command `chat`: a conversation line by line, typed or piped. Answers go to stdout.
import { ChordError } from '../index.js';
import type {
  ChatCompletionCreateParams,
  ChatCompletionMessageParam,
  GenerateOptions,
  GenerationStats,
  LanguageModel,
  Session,
} from '../index.js';
import type { Command } from './arguments.js';
import {
  cacheFile,
  Conversation,
  ConversationError,
  FileError,
  restoreCache,
  saveCache,
} from './conversation.js';
import { History, historyFile, isCommand } from './history.js';
import { Lines } from './lines.js';
import { nearest } from './nearest.js';
import { isTiny, systemOf, TINY_RETRY, TINY_SAMPLING } from './preset.js';
import {
  count,
  faint,
  note,
  onOneLine,
  perSecond,
  print,
  printJson,
  size,
  TextPrinter,
  wrapped,
} from './terminal.js';

/** A command of the conversation. `run` gets what follows its name, and may resolve to a question to ask. */
interface ChatCommand {
  readonly usage: string;
  readonly text: string;
  readonly run: (rest: string) => Promise<string | undefined> | string | undefined;
}
const QUOTES = '"""';
/** Below so many parameters a model is introduced as a small one. */
const SMALL = 2e9;
/** Runs until the input ends or the user ends it. Resolves to true if Ctrl-C ended it. */
export async function chat(model: LanguageModel, command: Command): Promise<boolean> {
  // Throws the template's error before the first question.
  const { chatTemplate } = command;
  const { info } = model;
  if (chatTemplate === undefined ? !info.chatTemplate : !info.chatTemplates.includes(chatTemplate))
    await model.applyChatTemplate([], { chatTemplate });
  const talk = new Talk(model, await model.createSession(), command);
  try {
    await talk.run();
  } finally {
    talk.lines.close();
  }
  return talk.lines.isInterrupted;
}

class Talk {
  readonly lines: Lines;
  readonly #model: LanguageModel;
  readonly #session: Session;
  readonly #command: Command;
  readonly #conversation: Conversation;
  readonly #historyFile: string | undefined;
  #isOver = false;
  #dropped = 0;
  /** How often the last question was asked again: with --seed each answer has a seed of its own. */
  #retries = 0;

  constructor(model: LanguageModel, session: Session, command: Command) {
    this.#model = model;
    this.#session = session;
    this.#command = command;
    this.#conversation = new Conversation();
    this.#historyFile = command.history ? historyFile() : undefined;
    const history = this.#historyFile === undefined ? undefined : new History(this.#historyFile);
    this.lines = new Lines(history, Object.keys(this.#commands));
  }

  async run(): Promise<void> {
    this.#conversation.system = await systemOf(this.#model, this.#command);
    if (this.lines.isTerminal) this.#greet();
    for (let line = await this.#next(); line !== undefined && !this.#isOver; line = await this.#next()) {
      if (line.trim() === '') continue;
      try {
        if (!isCommand(line)) this.#retries = 0;
        const question = isCommand(line) ? await this.#obey(line) : line;
        if (question !== undefined) await this.lines.interruptible((signal) => this.#ask(question, signal));
      } catch (error) {
        this.#tell(error);
      }
      if (this.#isOver) return;
    }
  }

  /** The next line; the lines between two """ are one. Undefined at the end. */
  async #next(): Promise<string | undefined> {
    const first = await this.lines.next('> ');
    if (!first?.startsWith(QUOTES)) return first;
    let text = first.slice(QUOTES.length);
    while (!text.trimEnd().endsWith(QUOTES)) {
      const line = await this.lines.next('… ');
      if (line === undefined) return this.lines.isInterrupted ? undefined : text;
      text += `\n${line}`;
    }
    return text.trimEnd().slice(0, -QUOTES.length).trim();
  }

  #greet(): void {
    const { parameters, quantization, memory, threads } = this.#model.info;
    const facts = [`${count(parameters)} parameters`, quantization, size(memory.weights)].filter(Boolean);
    const keys =
      'Ctrl-C stops an answer, and leaves at the empty prompt. ↑ brings earlier questions back. /help tells more.' +
      (parameters < SMALL ? ' A small model: it is quick, and it makes things up.' : '');
    note(
      this.#command,
      `${wrapped(onOneLine(`${this.#name()} (${facts.join(', ')}) on ${threads} ${threads === 1 ? 'thread' : 'threads'}.`))}\n` +
        `${faint(wrapped(keys))}\n\n`,
    );
  }

  /** The file's name tells a user more than the name that was written into the file. */
  #name(): string {
    const file = this.#command.model.split(/[?#]/)[0]!.split(/[\\/]/).at(-1)!;
    return file.replace(/\.gguf$/i, '') || this.#model.info.name || this.#model.info.architecture;
  }

  /** Runs a line that is a command of the conversation. */
  async #obey(line: string): Promise<string | undefined> {
    const [name = '', ...words] = line.trim().split(/\s+/);
    const rest = line.trim().slice(name.length).trim();
    const known = this.#commands[name] ?? this.#commands[this.#aliases[name] ?? ''];
    if (known === undefined) {
      const all = Object.keys(this.#commands);
      const meant = nearest(name, all);
      throw new ConversationError(
        `there is no ${name}${meant ? `; did you mean ${meant}?` : '.'} The commands are ${all.join(' ')}`,
      );
    }
    const needsWord = /^[A-Z]/.test(known.usage);
    if (needsWord && words.length === 0) throw new ConversationError(`${name} needs a name: ${name} FILE`);
    if (known.usage === '' && words.length > 0) throw new ConversationError(`${name} takes nothing after it`);
    return known.run(rest);
  }

  readonly #commands: { readonly [name: string]: ChatCommand } = {
    '/help': { usage: '', text: 'this list', run: () => this.#help() },
    '/retry': { usage: '', text: 'ask the last question again', run: () => this.#retry() },
    '/system': {
      usage: '[TEXT]',
      text: 'show the system turn, or set it; - takes it away',
      run: (rest) => this.#system(rest),
    },
    '/clear': {
      usage: '',
      text: 'start a new conversation; the system turn is kept',
      run: () => {
        this.#conversation.turns = [];
        return this.#say('A new conversation.');
      },
    },
    '/save': {
      usage: 'FILE',
      text: 'write the conversation to a file (JSON), and its KV cache beside it',
      run: (rest) => this.#save(rest),
    },
    '/load': {
      usage: 'FILE',
      text: 'go on with the conversation of a file',
      run: (rest) => this.#load(rest),
    },
    '/exit': {
      usage: '',
      text: 'leave, as Ctrl-D does',
      run: () => {
        this.#isOver = true;
        return undefined;
      },
    },
  };
  readonly #aliases: { readonly [name: string]: string } = {
    '/reset': '/clear',
    '/quit': '/exit',
    '/bye': '/exit',
    '/?': '/help',
  };

  #help(): undefined {
    const rows = Object.entries(this.#commands).map(
      ([name, { usage, text }]) => `${`${name} ${usage}`.padEnd(15)} ${text}\n`,
    );
    const kept =
      this.#historyFile === undefined
        ? "aren't kept after this conversation"
        : `are kept in ${this.#historyFile} (--no-history: they aren't)`;
    const keys =
      `${QUOTES}             begins and ends a question of several lines\n` +
      'Ctrl-C stops an answer; a second one, or one at the empty prompt, leaves.\n' +
      'A question that begins with / goes after a blank.\n' +
      (this.lines.isTerminal ? `Earlier questions (↑) ${kept}.\n` : '');
    process.stderr.write(wrapped(rows.join('') + keys));
  }

  #system(rest: string): undefined {
    if (rest !== '') this.#conversation.system = rest === '-' ? null : rest;
    const { system } = this.#conversation;
    return this.#say(system === null ? 'There is no system turn.' : `The system turn: ${system}`);
  }

  async #save(name: string): Promise<undefined> {
    const file = await this.#conversation.save(name, this.#model.info.name || this.#model.info.architecture);
    const isEmpty = this.#session.tokens.length === 0;
    const bytes = isEmpty ? 0 : await saveCache(this.#session, cacheFile(file));
    return this.#say(`Saved to ${file}${isEmpty ? '' : `; the KV cache (${size(bytes)}) beside it`}.`);
  }

  async #load(name: string): Promise<undefined> {
    const file = await this.#conversation.load(name);
    const { turns } = this.#conversation;
    const n = turns.filter(({ role }) => role === 'user').length;
    const why = await restoreCache(this.#session, cacheFile(file));
    const last = turns.at(-1);
    return this.#say(
      `${n} ${n === 1 ? 'question' : 'questions'} from ${file}${why ? `; its KV cache isn't used (${why})` : ''}.` +
        (last ? ` The last words: ${last.content.slice(-300)}` : ''),
    );
  }

  #retry(): string {
    const question = this.#conversation.takeLast();
    if (question === undefined) throw new ConversationError('there is no question to ask again');
    this.#retries++;
    return question;
  }

  #say(text: string): undefined {
    note(this.#command, `${faint(wrapped(onOneLine(text)))}\n`);
  }

  /** Asks a question and prints the answer and its figures. */
  async #ask(question: string, signal: AbortSignal): Promise<void> {
    const { text, reasoning } = await this.#answer(this.#conversation.messages(question), signal);
    // An answer that was stopped before its first word is dropped with its question.
    if (text !== '') this.#conversation.add(question, text, reasoning);
  }

  /** Resolves to the answer's text, which may be partial, and to the reasoning before it. */
  async #answer(
    messages: ChatCompletionMessageParam[],
    signal: AbortSignal,
  ): Promise<{ text: string; reasoning: string }> {
    const { json, sampling, chatTemplate: chat_template } = this.#command;
    const preset =
      this.lines.isTerminal && isTiny(this.#model) ? (this.#retries > 0 ? TINY_RETRY : TINY_SAMPLING) : {};
    const request = requestOf({
      ...(sampling.temperature === undefined && preset),
      ...sampling,
      ...(sampling.seed !== undefined && { seed: sampling.seed + this.#retries }),
    });
    const stream = await this.#session.chat.completions.create(
      {
        ...request,
        messages,
        stream: true,
        overflow: 'drop-oldest',
        ...(chat_template !== undefined && { chat_template }),
      },
      { signal },
    );
    const printer = new TextPrinter();
    let text = '';
    let reasoning = '';
    try {
      for await (const { choices } of stream) {
        const { content = '', reasoning_content: thought = '' } = choices[0]?.delta ?? {};
        text += content;
        reasoning += thought;
        if (!json) await printer.write(content, thought);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    const { stats, droppedMessages } = stream;
    if (json)
      await printJson({
        text,
        ...(reasoning !== '' && { reasoning }),
        stats,
        ...(droppedMessages > 0 && { droppedMessages }),
      });
    else await print('\n');
    if (droppedMessages > this.#dropped)
      this.#say(
        `The context is full: the first ${droppedMessages} messages were left out of what the model reads.`,
      );
    this.#dropped = droppedMessages;
    if (!json && stats)
      note(this.#command, `\n${faint((this.lines.isTerminal ? brief : figures)(stats))}\n\n`);
    return { text, reasoning };
  }

  /** In a terminal a conversation survives an error that names its cause; in a pipe an error ends it. */
  #tell(error: unknown): void {
    if (error instanceof ConversationError) {
      if (error instanceof FileError && !this.lines.isTerminal) process.exitCode = 1;
      process.stderr.write(`${wrapped(onOneLine(error.message))}\n`);
      return;
    }
    if (!this.lines.isTerminal || !ChordError.isInstance(error)) throw error;
    process.stderr.write(
      `${onOneLine(`${error.code}: ${error.message}`)}\n${error.code === 'context-full' ? '/clear starts a new conversation\n' : ''}\n`,
    );
  }
}

const figures = ({ promptTokens, cachedTokens, promptMs, ...rest }: GenerationStats): string =>
  `${promptTokens} prompt tokens, ${cachedTokens} kept and ${promptTokens - cachedTokens} read in ${promptMs.toFixed(0)} ms; ` +
  `${rest.tokens} written at ${perSecond(rest.tokensPerSecond)} (${rest.finishReason})`;

const ends = { stop: '', length: '; cut at the greatest length', abort: '; stopped' } as const;
const brief = ({ tokens, tokensPerSecond, finishReason }: GenerationStats): string =>
  `${tokens} ${tokens === 1 ? 'token' : 'tokens'}${tokensPerSecond > 0 ? `, ${tokensPerSecond.toFixed(0)} per second` : ''}${ends[finishReason]}`;

function requestOf(sampling: GenerateOptions): Omit<ChatCompletionCreateParams, 'messages' | 'stream'> {
  const {
    maxTokens,
    temperature,
    topP,
    frequencyPenalty,
    presencePenalty,
    seed,
    stop,
    topK,
    minP,
    repetitionPenalty,
  } = sampling;
  return {
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    frequency_penalty: frequencyPenalty,
    presence_penalty: presencePenalty,
    seed,
    stop,
    extra_body: { top_k: topK, min_p: minP, repetition_penalty: repetitionPenalty },
  };
}
