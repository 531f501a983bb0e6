// SPDX-License-Identifier: Apache-2.0
// A file behind HTTP, read from any byte on. Requests are repeated with back-off after a failure that may
// pass. Every answer is compared with the first one, so bytes of two versions of a file never mix.
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { isNode } from '../platform.js';
import { SERVER, checkResponse, isEncoded, limited, request, wholeNumber } from './http.js';
import type { HttpFile } from './http.js';
import { reasonOf } from './stream.js';
import type { ByteStream } from './stream.js';

/** What an answer says of the file, as far as this page may see it. */
export interface Version {
  /** The file's length; undefined while it is unknown. */
  readonly totalBytes: number | undefined;
  readonly etag: string | undefined;
  readonly modified: string | undefined;
}

/** An answer whose headers fit. Its body begins at the byte that was asked for. */
export interface Answer {
  readonly version: Version;
  /** Whether the answer is a part of the file. */
  readonly isPart: boolean;
  /** Whether a body that breaks off can be continued: there are ranges, and a change would be seen. */
  readonly canContinue: boolean;
  /** The byte behind the answer's last; undefined if the answer doesn't say it. */
  readonly end: number | undefined;
  /** SHA-256 by the hub's header. */
  readonly sha256: string | undefined;
  readonly body: ReadableStreamDefaultReader<Uint8Array>;
}

/** Failures in a row, without a byte between them, after which a read gives up. */
const MOST_TRIES = 6;
/** Once bytes have come: together at least half a minute, in which a network may come back. */
const BEGUN_TRIES = 13;
/** Tries to reach a server that hasn't answered yet: the address may be wrong. */
const FIRST_TRIES = 3;
/** No try begins later than this after the last byte. */
const GIVE_UP_MS = 120_000;
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 8000;
/** A server that asks for a longer wait than this is asked no more. */
const LONGEST_RETRY_AFTER_MS = 60_000;
/** A body that delivers nothing for so long is asked for again. */
const STALL_MS = 30_000;
/** Where it can't be asked for again, this is an error. So long an answer's headers may take, too. */
const LAST_STALL_MS = 60_000;
const NETWORK = 'check the network, and load it again';

const isIo = (error: unknown): boolean => ChordError.isInstance(error) && error.code === 'io';

/** A failure that another request may not have. */
class Passing {
  readonly error: ChordError | NoRanges;
  readonly waitMs: number;
  /** Whether it may take long until it has passed. */
  readonly isOutage: boolean;
  constructor(error: ChordError | NoRanges, waitMs = 0, isOutage = true) {
    this.error = error;
    this.waitMs = waitMs;
    this.isOutage = isOutage;
  }
}

export class HttpReader {
  readonly #file: HttpFile;
  readonly #signal: AbortSignal;
  readonly #init: RequestInit;
  #hasBytes = false;
  /** The version that every answer must have; undefined until the first answer. */
  version: Version | undefined;

  /** `isStored`: the bytes are kept, so the browser's own cache needn't. */
  constructor(file: HttpFile, signal: AbortSignal, isStored: boolean) {
    this.#file = file;
    this.#signal = signal;
    // The browser's cache also lets only one range of a URL through at a time.
    this.#init = isStored ? { cache: 'no-store' } : {};
  }

  /**
   * Requests the bytes from `from` to `to` (not included); undefined: to the end, and from 0 on without a
   * Range header. Repeats the request. Throws `io`, `http`, `invalid-gguf`, and `integrity` for a version
   * other than `version`.
   */
  async open(from: number, to: number | undefined, signal = this.#signal): Promise<Answer> {
    const since = performance.now();
    for (let tries = 1; ; tries++) {
      try {
        return await this.#ask(from, to, signal);
      } catch (error) {
        if (error instanceof NoRanges && from === 0 && to === undefined)
          throw this.#error('http', `the server ${error.message} to a request for the whole file`, SERVER);
        // A server that has sent ranges of this version may fail to once.
        const isOdd = error instanceof NoRanges && this.version !== undefined;
        await this.#pause(isOdd ? new Passing(error) : error, tries, since, signal);
      }
    }
  }

  /**
   * The bytes from `from` to `to`, in chunks, over as many requests as it takes. `first`: an answer that is
   * open already. Without ranges, or without a version by which a change would be seen, a body that breaks
   * off is an error.
   */
  async *bytes(
    from: number,
    to: number | undefined,
    first?: Answer,
    signal = this.#signal,
  ): AsyncGenerator<Uint8Array, void> {
    let at = from;
    let answer = first;
    let tries = 0;
    let since = performance.now();
    while (to === undefined || at < to) {
      let body: Answer['body'] | undefined;
      try {
        answer ??= await this.#ask(at, to, signal);
        body = answer.body;
        const { canContinue, end } = answer;
        for (;;) {
          const { done, value } = await this.#read(body, at, canContinue, signal);
          if (done) break;
          const chunk = value.subarray(0, Math.min(to ?? Infinity, end ?? Infinity) - at);
          if (chunk.byteLength === 0) continue;
          at += chunk.byteLength;
          tries = 0;
          this.#hasBytes = true;
          yield chunk;
          since = performance.now();
          if (at === to) return;
        }
        answer = undefined;
        const isWhole = end !== undefined && at >= end;
        if (to === undefined && (isWhole || end === undefined)) return;
        if (isWhole) continue;
        const error = this.#error('io', `the body ended at byte ${at}, not at ${end ?? to}`, NETWORK);
        throw canContinue ? new Passing(error) : error;
      } catch (error) {
        answer = undefined;
        const again =
          error instanceof NoRanges
            ? new Passing(this.#error('http', `the server sends no range at byte ${at}`, SERVER), 0, false)
            : error;
        await this.#pause(again, ++tries, since, signal);
      } finally {
        // Not awaited: the end of a connection may take long.
        body?.cancel().catch(() => {});
      }
    }
  }

  /** The whole file, in order, kept nowhere. */
  async stream(): Promise<ByteStream> {
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(this.#signal.reason);
    this.#signal.addEventListener('abort', onAbort);
    const answer = await this.open(0, undefined, this.#signal);
    const bytes = this.bytes(0, undefined, answer, stop.signal);
    return {
      name: this.#file.name,
      phase: 'download',
      totalBytes: answer.version.totalBytes,
      sha256: answer.sha256,
      read: async () => (await bytes.next()).value ?? undefined,
      close: async () => {
        this.#signal.removeEventListener('abort', onAbort);
        stop.abort();
        await answer.body.cancel().catch(() => {});
        await bytes.return().catch(() => {});
      },
    };
  }

  async #read(
    body: Answer['body'],
    at: number,
    canContinue: boolean,
    signal: AbortSignal,
  ): Promise<ReadableStreamReadResult<Uint8Array>> {
    const ms = canContinue ? STALL_MS : LAST_STALL_MS;
    signal.throwIfAborted();
    const limit = limited(signal, ms);
    // Node's fetch at times never ends a read of a body that was whole when it was aborted.
    const over = new Promise<never>((_, reject) => {
      limit.signal.onabort = () => reject(new Error(`no byte came for ${ms / 1000} s`));
    });
    try {
      return await Promise.race([body.read(), over]);
    } catch (cause) {
      signal.throwIfAborted();
      const error = this.#error('io', `the body stops at byte ${at}: ${reasonOf(cause)}`, NETWORK, cause);
      throw canContinue ? new Passing(error) : error;
    } finally {
      limit.unlink();
    }
  }

  /** Waits before the next try. Throws `error` if it doesn't pass, or after the last try. */
  async #pause(error: unknown, tries: number, since: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!(error instanceof Passing)) throw error;
    const isFirst = error.error instanceof NoRanges || (this.version === undefined && isIo(error.error));
    const isBegun = this.#hasBytes && error.isOutage;
    const most = isFirst ? FIRST_TRIES : isBegun ? BEGUN_TRIES : MOST_TRIES;
    const isLate = performance.now() - since > GIVE_UP_MS;
    if (tries >= most || isLate || error.waitMs > LONGEST_RETRY_AFTER_MS) throw error.error;
    const backOff = Math.min(FIRST_WAIT_MS * 2 ** tries, LONGEST_WAIT_MS) * (0.5 + Math.random() / 2);
    const { signal: over } = limited(signal, Math.max(backOff, error.waitMs));
    await new Promise((resolve) => (over.onabort = resolve));
    signal.throwIfAborted();
  }

  /** One request. Throws Passing for a failure that may pass. */
  async #ask(from: number, to: number | undefined, signal: AbortSignal): Promise<Answer> {
    const file = this.#file;
    const isRange = from > 0 || to !== undefined;
    const range = `bytes=${from}-${to === undefined ? '' : to - 1}`;
    let response: Response;
    const { signal: stop, timer, unlink } = limited(signal, LAST_STALL_MS);
    try {
      response = await request(file, stop, isRange ? [['range', range]] : [], this.#init);
    } catch (error) {
      unlink();
      signal.throwIfAborted();
      if (stop.aborted)
        throw new Passing(this.#error('io', `no answer came for ${LAST_STALL_MS / 1000} s`, NETWORK));
      throw isIo(error) ? new Passing(error as ChordError) : error;
    } finally {
      clearTimeout(timer);
    }
    try {
      const answer = this.#check(response, from, to, isRange);
      void answer.body.closed.then(unlink, unlink);
      return answer;
    } catch (error) {
      unlink();
      void response.body?.cancel().catch(() => {});
      const { status } = response;
      const canPass = [408, 425, 429].includes(status) || (status >= 500 && status !== 501 && status !== 505);
      throw canPass && ChordError.isInstance(error) ? new Passing(error, retryAfterMs(response)) : error;
    }
  }

  #check(response: Response, from: number, to: number | undefined, isRange: boolean): Answer {
    const { name } = this.#file;
    if (response.status === 416) {
      // An empty file, or a server that refuses every request.
      if (this.version === undefined || !isRange) throw new NoRanges('answers 416');
      throw this.#changed(`it has no byte ${from}`, from);
    }
    checkResponse(response, name);
    const lies = (what: string): never => {
      throw new Passing(this.#error('http', `the server ${what}, asked for byte ${from}`, SERVER), 0, false);
    };
    const { headers } = response;
    const isPart = response.status === 206;
    if (response.body === null) throw new ChordError('invalid-gguf', `${name} has no body`);
    const noRanges = new NoRanges(`answers ${response.status}`);
    if ((!isPart && from > 0) || (isPart && isEncoded(response))) throw noRanges;
    const length = isEncoded(response) ? undefined : wholeNumber(headers.get('content-length'));
    const part = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headers.get('content-range') ?? '');
    const version = versionOf(response);
    let end = isPart ? undefined : version.totalBytes;
    if (part !== null && isPart) {
      const [first, last, total] = part.slice(1).map(Number) as [number, number, number];
      end = last + 1;
      const isWrong = !isRange || first !== from || end <= first || end > total || end > (to ?? total);
      if (isWrong) lies(`sends ${part[0]}`);
      if (length !== undefined && length !== end - first) lies(`sends ${part[0]} in ${length} bytes`);
    } else if (isPart) throw noRanges;
    const change = this.version && changeOf(this.version, version);
    if (change) {
      const error = this.#changed(change, from);
      throw isSame(this.version!, version) ? new Passing(error) : error;
    }
    this.version ??= version;
    const hasRanges = isPart || headers.get('accept-ranges') === 'bytes';
    return {
      version,
      isPart,
      end,
      canContinue:
        hasRanges &&
        this.version.totalBytes !== undefined &&
        (version.etag ?? version.modified) !== undefined,
      sha256: /^(?:W\/)?"?([0-9a-f]{64})"?$/.exec(headers.get('x-linked-etag') ?? '')?.[1],
      body: response.body.getReader(),
    };
  }

  #error(code: ChordErrorCode, what: string, hint: string, cause?: unknown): ChordError {
    return new ChordError(code, `${this.#file.name}: ${what}`, { hint, cause });
  }

  #changed(how: string, at: number): ChordError {
    return this.#error(
      'integrity',
      `the file has changed on its server: ${how} (at byte ${at})`,
      'load it again: the new file is then downloaded from its beginning',
    );
  }
}

/** The server doesn't deliver ranges of this file, or their place can't be seen: it is read as a whole. */
export class NoRanges extends Error {}

/** What an answer says of its file. */
export function versionOf(response: Response): Version {
  const { headers } = response;
  const total = /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1];
  // Across origins a page can't see the content encoding.
  const isPlain = response.status === 200 && !isEncoded(response) && (isNode || response.type !== 'cors');
  return {
    totalBytes: wholeNumber(total ?? (isPlain ? headers.get('content-length') : null)),
    etag: headers.get('etag') ?? undefined,
    modified: headers.get('last-modified') ?? undefined,
  };
}

/** Whether two answers name the same version. If they tell two lengths, one of them is wrong. */
export const isSame = (one: Version, other: Version): boolean =>
  one.etag !== undefined && strong(one.etag) === strong(other.etag);

/** How `now` differs from `before`; undefined if it doesn't. An ETag outweighs the date. */
export function changeOf(before: Version, now: Version): string | undefined {
  if (before.totalBytes !== undefined && now.totalBytes !== undefined && before.totalBytes !== now.totalBytes)
    return `its length was ${before.totalBytes} and is ${now.totalBytes}`;
  const [what, key] =
    before.etag !== undefined ? (['ETag', 'etag'] as const) : (['date', 'modified'] as const);
  if (before[key] === undefined || strong(before[key]) === strong(now[key])) return undefined;
  return `its ${what} was ${before[key]} and is ${now[key] ?? 'missing'}`;
}

/** A weak ETag as a strong one: servers behind one address may differ in that. */
const strong = (etag: string | undefined): string | undefined => etag?.replace(/^W\//, '');

function retryAfterMs({ headers }: Response): number {
  const text = headers.get('retry-after');
  if (text === null) return 0;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return ms > 0 ? ms : 0;
}
