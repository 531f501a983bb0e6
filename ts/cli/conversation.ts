// SPDX-License-Identifier: Apache-2.0
// conversation.ts: a conversation's turns, and its file.
import { readFile, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import type { ChatCompletionMessageParam } from '../index.js';

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
}

/** A failure that a conversation tells and survives. */
export class ConversationError extends Error {}
/** A conversation that wasn't saved or loaded. In a pipe the exit status tells it too. */
export class FileError extends ConversationError {}

export class Conversation {
  system: string | null;
  turns: Turn[] = [];

  constructor(system: string | null) {
    this.system = system;
  }

  /** The messages of a request that asks `question`. */
  messages(question?: string): ChatCompletionMessageParam[] {
    return [
      ...(this.system === null ? [] : [{ role: 'system' as const, content: this.system }]),
      ...this.turns,
      ...(question === undefined ? [] : [{ role: 'user' as const, content: question }]),
    ];
  }

  add(question: string, answer: string): void {
    this.turns.push({ role: 'user', content: question }, { role: 'assistant', content: answer });
  }

  /** Takes the last question and its answer away, and returns the question. */
  takeLast(): string | undefined {
    let at = this.turns.length - 1;
    while (at >= 0 && this.turns[at]!.role !== 'user') at--;
    return at < 0 ? undefined : this.turns.splice(at)[0]!.content;
  }

  /** Writes the conversation. A file that is no conversation is never overwritten. Resolves to its path. */
  async save(name: string, model: string): Promise<string> {
    const file = fileOf(name);
    const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw new FileError(`${file} can't be written: ${error.message}`);
    });
    if (before !== undefined && before !== '' && parse(before) === undefined)
      throw new FileError(`${file} exists and isn't a conversation: choose another name`);
    const text = `${JSON.stringify({ model, messages: this.messages() }, null, 2)}\n`;
    await writeFile(file, text).catch((error: Error) => {
      throw new FileError(`${file} can't be written: ${error.message}`);
    });
    return file;
  }

  /** Takes a file's conversation in place of this one. Resolves to its path. */
  async load(name: string): Promise<string> {
    const file = fileOf(name);
    const text = await readFile(file, 'utf8').catch((error: Error) => {
      throw new FileError(`${file} can't be read: ${error.message}`);
    });
    const found = parse(text);
    if (found === undefined)
      throw new FileError(`${file} isn't a conversation: { "messages": [{ "role", "content" }] }`);
    this.system = found.system;
    this.turns = found.turns;
    return file;
  }
}

const fileOf = (name: string): string => path.resolve(name.replace(/^~(?=\/|\\|$)/, () => homedir()));

/** Messages in OpenAI's form, alone or in an object; undefined for anything else. */
function parse(text: string): { system: string | null; turns: Turn[] } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const list: unknown = Array.isArray(value) ? value : (value as { messages?: unknown } | null)?.messages;
  if (!Array.isArray(list)) return undefined;
  let system: string | null = null;
  const turns: Turn[] = [];
  for (const [index, one] of (list as unknown[]).entries()) {
    const { role, content } = (one ?? {}) as { role?: unknown; content?: unknown };
    if (typeof content !== 'string') return undefined;
    if (role === 'system' && index === 0) system = content;
    else if (role === 'user' || role === 'assistant') turns.push({ role, content });
    else return undefined;
  }
  return { system, turns };
}
