// SPDX-License-Identifier: Apache-2.0
// conversation.ts: a conversation's turns, and its file.
import { createWriteStream } from 'node:fs';
import { readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import type { ChatCompletionMessageParam, Session } from '../index.js';

export interface Turn {
  readonly role: 'user' | 'assistant';
  readonly content: string;
  /** What the assistant thought before. The template keeps it or drops it. */
  readonly reasoning_content?: string;
}

/** A failure that a conversation tells and survives. */
export class ConversationError extends Error {}
/** A conversation that wasn't saved or loaded. In a pipe the exit status tells it too. */
export class FileError extends ConversationError {}

export class Conversation {
  system: string | null = null;
  turns: Turn[] = [];

  /** The messages of a request that asks `question`. */
  messages(question?: string): ChatCompletionMessageParam[] {
    return [
      ...(this.system === null ? [] : [{ role: 'system' as const, content: this.system }]),
      ...this.turns,
      ...(question === undefined ? [] : [{ role: 'user' as const, content: question }]),
    ];
  }

  add(question: string, answer: string, reasoning = ''): void {
    this.turns.push(
      { role: 'user', content: question },
      { role: 'assistant', content: answer, ...(reasoning !== '' && { reasoning_content: reasoning }) },
    );
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

/** Where the keys and values of a conversation's file are: the next /load needn't compute them. */
export const cacheFile = (file: string): string => `${file}.kv`;

/** Resolves to the size in bytes. */
export async function saveCache(session: Session, file: string): Promise<number> {
  const part = `${file}.part`;
  try {
    await session.save({ to: Writable.toWeb(createWriteStream(part)) as WritableStream<Uint8Array> });
    await rename(part, file);
    return (await stat(file)).size;
  } catch (error) {
    await rm(part, { force: true });
    throw new FileError(`${file} can't be written: ${(error as Error).message}`);
  }
}

/** Resolves to why the file's keys and values can't be used; undefined if they are, or if there are none. */
export async function restoreCache(session: Session, file: string): Promise<string | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  if (bytes === undefined) return undefined;
  return session.restore(bytes).then(
    () => undefined,
    (error: Error) => error.message,
  );
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
    const fields = (one ?? {}) as { role?: unknown; content?: unknown; reasoning_content?: unknown };
    const { role, content, reasoning_content: reasoning } = fields;
    if (typeof content !== 'string') return undefined;
    if (role === 'system' && index === 0) system = content;
    else if (role === 'assistant' && typeof reasoning === 'string')
      turns.push({ role, content, reasoning_content: reasoning });
    else if (role === 'user' || role === 'assistant') turns.push({ role, content });
    else return undefined;
  }
  return { system, turns };
}
