// SPDX-License-Identifier: Apache-2.0
/// <reference lib="esnext.disposable" preserve="true" />
import { asBytes, asOptions, isObject, reading, wrong } from '../check.js';
import type { ChatCompletions } from '../chat/completions.js';
import { ChordError, messageOf, quiet, show, toErrorRecord } from '../errors.js';
import { CHUNKS, CHUNK_BYTES } from '../worker/protocol.js';
import type { GenerationStats } from '../worker/protocol.js';
import { Calls } from './calls.js';
import type { OpenCall } from './connection.js';
import type { Generation } from './generation.js';
import type { LogitsCallOptions } from './model.js';
import type { GenerateOptions } from './options.js';

export interface SaveOptions {
  /** Aborts the call. */
  signal?: AbortSignal | undefined;
}
export interface SaveToOptions extends SaveOptions {
  /**
   * Receives the bytes, as they come, instead of the result: a file (also of the origin private file system)
   * or a stream. It is closed at the end, and aborted after an error.
   */
  to: FileSystemFileHandle | WritableStream<Uint8Array>;
}
export interface RestoreOptions {
  /** Aborts the call. The session stays as it was. */
  signal?: AbortSignal | undefined;
}

/**
 * A sequence of tokens of its own on a model: a conversation beside others. Made by `model.createSession()`.
 *
 * A session has its own keys and values in the model's memory, and keeps those of the longest common prefix
 * from call to call, as `model.generate` does. Calls of all sessions of a model queue in one order. `dispose`
 * frees a session's memory; the model's `dispose` ends its sessions.
 */
export class Session {
  /** @internal The build shortens other names. */
  static readonly name: string = 'Session';
  /** OpenAI's chat completions in this session: `session.chat.completions.create({ messages })`. */
  readonly chat: { readonly completions: ChatCompletions<GenerationStats> };
  readonly #calls: Calls;
  #disposed: Promise<void> | undefined;
  /** The same as `dispose()`, where the JavaScript engine has `Symbol.asyncDispose`. */
  declare readonly [Symbol.asyncDispose]: () => Promise<void>;

  /** `model.createSession` makes sessions. @internal */
  constructor(calls: Calls) {
    this.#calls = calls;
    this.chat = { completions: calls.completions() };
  }

  /**
   * The ids of the session's text as of the end of its last call: the prompt and the tokens that were read
   * (all of a run that had ended before a `break`, as its `stats` say), without the token that ended the
   * model's turn. `generate([...session.tokens, ...more])` continues the text, and evaluates only what is
   * new.
   */
  get tokens(): Int32Array {
    return this.#calls.tokens.slice();
  }

  /**
   * Starts a continuation of `prompt`, as `model.generate`. The prompt is the whole text: what it shares with
   * the session's `tokens` isn't evaluated again.
   */
  generate(prompt: string | ArrayLike<number>, options: GenerateOptions = {}): Generation {
    return this.#calls.generate(prompt, options);
  }

  /** The scores of all tokens as the next token, as `model.logits`. The ids are the whole text. */
  logits(ids: ArrayLike<number>, options: LogitsCallOptions = {}): Promise<Float32Array> {
    return quiet(this.#calls.logits(ids, options));
  }

  /**
   * A session with the same tokens, keys and values. The two share memory until one of them changes. Throws
   * `out-of-memory`.
   */
  clone(): Promise<Session> {
    return quiet(this.#clone());
  }

  async #clone(): Promise<Session> {
    const from = this.#calls;
    const call = from.open<'fork-session'>({ op: 'fork-session', session: from.session });
    const copy = new Calls(from.connection, from.loaded, await from.held(call.ended));
    copy.tokens = from.tokens; // as they came with the answer
    return new Session(copy);
  }

  /**
   * The session as bytes: its tokens, keys and values. `restore` of a session of the same model, with the
   * same `kvType`, then continues with the same bits as this session, on the same backend; on another one
   * nearly. The bytes carry a version, a fingerprint of the model and checksums.
   *
   * A save's size is that of the keys and values: `model.counters().kvPages` tells it. It travels in slices.
   *
   * @throws {ChordError} `invalid-argument`, `out-of-memory`; `device-lost` when the GPU is lost meanwhile:
   *   save again; the error of `to`, as its `cause` of an `io` error.
   */
  save(options?: SaveOptions): Promise<Uint8Array>;
  save(options: SaveToOptions): Promise<void>;
  save(options: SaveOptions | SaveToOptions = {}): Promise<Uint8Array | void> {
    return quiet(this.#save(options));
  }

  async #save(options: SaveOptions | SaveToOptions): Promise<Uint8Array | void> {
    const { to, signal } = asOptions('save', options, ['to', 'signal']);
    const sink = to === undefined ? undefined : quiet(writerOf(to));
    let bytes: Uint8Array | undefined;
    let written: Promise<unknown> = Promise.resolve();
    let failure: { readonly cause: unknown } | undefined;
    let at = 0;
    const write = async (part: Uint8Array, total: number): Promise<void> => {
      if (sink !== undefined) return (await sink).write(part);
      (bytes ??= new Uint8Array(total)).set(part, at);
      at += part.byteLength;
    };
    try {
      await this.#calls.run(signal, () => {
        const { session } = this.#calls;
        const call: OpenCall<number> = this.#calls.open<'save-session'>(
          { op: 'save-session', session },
          {
            onEvent(reply) {
              if (reply.type !== 'saved') return;
              written = written
                .then(() => write(reply.bytes, reply.total))
                .then(
                  () => call.post({ op: 'taken', count: 1 }),
                  (cause: unknown) => {
                    failure ??= { cause };
                    call.post({ op: 'cancel' });
                  },
                );
            },
          },
        );
        return call;
      });
      await written;
      if (failure !== undefined) throw failure;
      await (await sink)?.close();
      return bytes;
    } catch (error) {
      sink?.then((open) => open.abort(error)).catch(() => {}); // not awaited: it may never settle
      if (failure === undefined || ChordError.isInstance(failure.cause)) throw failure?.cause ?? error;
      throw new ChordError('io', `the save can't be written: ${messageOf(failure.cause)}`, failure);
    }
  }

  /**
   * Makes the session the one that was saved: its tokens, keys and values replace this session's. The bytes
   * are read in slices. After an error the session is as it was.
   *
   * @throws {ChordError} `invalid-argument` for bytes that are no save, or one of another model, `kvType` or
   *   version; `integrity` for a damaged or cut off save; `context-full` when it has more tokens than the
   *   context; `out-of-memory`; `io`.
   */
  restore(
    save: Uint8Array | ArrayBuffer | Blob | FileSystemFileHandle,
    options: RestoreOptions = {},
  ): Promise<void> {
    return quiet(this.#restore(save, options));
  }

  async #restore(save: unknown, options: RestoreOptions): Promise<void> {
    const { signal } = asOptions('restore', options, ['signal']);
    await this.#calls.run(signal, () => {
      let underWay = 0;
      let isOver = false;
      let wake = (): void => {};
      const { session } = this.#calls;
      const call = this.#calls.open<'restore-session'>(
        { op: 'restore-session', session },
        {
          onEvent: (reply) => {
            if (reply.type === 'taken') underWay -= 1;
            wake();
          },
        },
      );
      const push = async (): Promise<void> => {
        const read = await readerOf(save);
        for (let at = 0; !isOver; at += CHUNK_BYTES) {
          const bytes = await read(at);
          if (bytes.byteLength === 0) break;
          while (underWay >= CHUNKS && !isOver) await new Promise<void>((resolve) => (wake = resolve));
          underWay += 1;
          call.post({ op: 'chunk', file: 0, bytes }, [bytes.buffer]);
        }
        call.post({ op: 'end', file: 0 });
      };
      const stop = (): void => {
        isOver = true;
        wake();
      };
      call.ended.then(stop, stop);
      push().catch((error: unknown) => call.post({ op: 'fail', file: 0, error: toErrorRecord(error, 'io') }));
      return call;
    });
  }

  /**
   * Stops the session's calls, and frees its memory for the model's other sessions. A second call does
   * nothing. Afterwards every call rejects with `disposed`.
   */
  dispose(): Promise<void> {
    return (this.#disposed ??= quiet(this.#dispose()));
  }

  async #dispose(): Promise<void> {
    const calls = this.#calls;
    const call = calls.open<'close-session'>({ op: 'close-session', session: calls.session });
    calls.closed = new ChordError('disposed', 'the session was disposed of');
    calls.tokens = new Int32Array();
    await calls.held(call.ended).catch((error: unknown) => {
      // The model was disposed of, or its worker has died: the memory is free.
      if (!calls.connection.isClosed && !(ChordError.isInstance(error) && error.code === 'disposed'))
        throw error;
    });
  }
}

if (typeof Symbol.asyncDispose === 'symbol') {
  Object.defineProperty(Session.prototype, Symbol.asyncDispose, {
    value(this: Session) {
      return this.dispose();
    },
  });
}

interface Sink {
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
  abort(reason: unknown): Promise<void>;
}

async function writerOf(to: unknown): Promise<Sink> {
  try {
    const { createWritable, getWriter } = Object(to) as { createWritable?: unknown; getWriter?: unknown };
    if (typeof createWritable === 'function') return (await createWritable.call(to)).getWriter() as Sink;
    if (typeof getWriter !== 'function') throw new Error(`it is ${show(to)}`);
    return getWriter.call(to) as Sink;
  } catch (cause) {
    throw new ChordError('invalid-argument', `to can't be written: ${messageOf(cause)}`, {
      cause,
      hint: 'pass a FileSystemFileHandle or a WritableStream',
    });
  }
}

/** Returns a function that reads at most CHUNK_BYTES from an offset on, into a buffer of its own. */
async function readerOf(save: unknown): Promise<(at: number) => Promise<Uint8Array<ArrayBuffer>>> {
  const file = isObject(save) ? reading('the save', () => save['getFile']) : undefined;
  let source = save;
  try {
    if (typeof file === 'function') source = await (file.call(save) as Promise<unknown>);
  } catch (cause) {
    throw new ChordError('io', `the save can't be read: ${messageOf(cause)}`, { cause });
  }
  if (typeof Blob === 'function' && source instanceof Blob)
    return async (at) => new Uint8Array(await source.slice(at, at + CHUNK_BYTES).arrayBuffer());
  if (!isObject(source)) wrong('the save', source, 'bytes, a Blob or a FileSystemFileHandle');
  const bytes = source instanceof ArrayBuffer ? new Uint8Array(source) : asBytes('the save', source);
  return async (at) => bytes.slice(at, at + CHUNK_BYTES) as Uint8Array<ArrayBuffer>;
}
