// SPDX-License-Identifier: Apache-2.0
// A file that is downloaded into the cache over several connections and read back in order meanwhile. So no
// early byte waits in memory. Bytes count as there after they were written, and the journal names them after
// they were flushed.
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { checkStart } from '../load/http.js';
import type { HttpFile } from '../load/http.js';
import { checkHash, createHash } from '../load/integrity.js';
import type { Hash } from '../load/integrity.js';
import { HttpReader, NoRanges } from '../load/span.js';
import type { Answer } from '../load/span.js';
import { SLICE } from '../load/stream.js';
import type { ByteStream } from '../load/stream.js';
import { storeError } from './errors.js';
import { wholePart } from './copy.js';
import type { Entry } from './entry.js';
import type { Lock, Piece, Place } from './folder.js';
import type { Journal } from './journal.js';

export interface StoreJob {
  readonly file: HttpFile;
  readonly connections: number;
  /** SHA-256 that the caller or the hub expects. */
  readonly sha256: string | undefined;
  /** Whether a store that fails ends the download. If not, the download goes on without the store. */
  readonly isRequired: boolean;
  readonly signal: AbortSignal;
}

/** Bytes that a connection asks for at once: less at first, until the length is known. */
const MOST_SPAN = 16 << 20;
/** Bytes of a piece where files are written in place, and where a piece is a file: a crash loses it there. */
const PIECE = 4 << 20;
const FILE_PIECE = 2 << 20;
/** A crash loses what came in this time. */
const COMMIT_MS = 500;
/** How long a body of unknown length may go on after its model is complete. */
const END_MS = 2000;

interface Span {
  readonly from: number;
  /** Undefined: to the end, which isn't known. */
  readonly to: number | undefined;
}

export class Download implements ByteStream {
  readonly phase = 'download';
  readonly aheadBytes = SLICE;
  readonly #job: StoreJob;
  readonly #entry: Entry;
  readonly #lock: Lock;
  readonly #remote: HttpReader;
  /** Ends everything. */
  readonly #over = new AbortController();
  /** Ends the connections to ranges. */
  readonly #stop = new AbortController();
  readonly #unlink: () => void;
  /** The journal of a whole copy that this download may replace. */
  readonly #whole: Journal | undefined;
  #place: Place | undefined;
  #piece: number;
  #total: number | undefined;
  /** Bytes of each piece that were written, from its beginning on. */
  #have: number[] = [];
  /** Pieces in files of their own: those that are whole, and those that are being written. */
  readonly #parts = new Set<number>();
  readonly #open = new Map<number, Piece>();
  readonly #claimed = new Set<number>();
  #connections: Promise<void> | undefined;
  #sha256: string | undefined;
  #hash: Hash | undefined;
  /** Whether the bytes that are there are worth keeping when the download ends early. */
  #canContinue = true;
  #failure: { readonly error: unknown } | undefined;
  /** Set when the store has failed. `bytes`: one stream that goes on at `from`; without it, a new request. */
  #lost:
    | { readonly error: unknown; readonly from: number; readonly bytes?: AsyncGenerator<Uint8Array, void> }
    | undefined;
  #isRequired: boolean;
  #isDropped = false;
  #isClosed = false;
  #wake: () => void = () => {};
  #letGo: (() => Promise<void>) | undefined;
  #committing: Promise<void> | undefined;
  #committedAt = 0;
  #loaded = 0;
  #report: (bytes: number) => void = () => {};
  readonly #bytes = this.#inOrder();

  private constructor(job: StoreJob, entry: Entry, lock: Lock) {
    this.#job = job;
    this.#entry = entry;
    this.#lock = lock;
    this.#sha256 = job.sha256;
    this.#isRequired = job.isRequired;
    this.#whole = entry.journal?.isComplete ? entry.journal : undefined;
    this.#piece = entry.folder.place === undefined ? FILE_PIECE : PIECE;
    const { signal } = job;
    const stop = (): void => this.#fail(signal.reason);
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    this.#unlink = () => signal.removeEventListener('abort', stop);
    this.#remote = new HttpReader(job.file, this.#over.signal, true);
  }

  /** Downloads an entry whose lock is held, and releases the lock in the end. Continues what is there. */
  static async open(job: StoreJob, entry: Entry, lock: Lock): Promise<Download> {
    const download = new Download(job, entry, lock);
    try {
      // Without it each save opens its file.
      download.#letGo = await entry.folder.keep?.(entry.slots).catch(() => undefined);
      if (!(await download.#continue())) await download.#begin();
      if (download.#sha256 !== undefined) download.#hash = await createHash();
      return download;
    } catch (error) {
      await download.close();
      throw error;
    }
  }

  require(): void {
    this.#isRequired = true;
    if (this.#lost !== undefined) throw storeError(this.#lost.error, this.#entry.folder);
  }

  get name(): string {
    return this.#job.file.name;
  }

  get totalBytes(): number | undefined {
    return this.#total;
  }

  /** A body of unknown length may never end: `close` waits for it, but not long. */
  get mustEnd(): boolean {
    return this.#total !== undefined || this.#hash !== undefined;
  }

  watch(report: (bytes: number) => void): void {
    this.#report = report;
    report(this.#loaded);
  }

  // ---- opening ----------------------------------------------------------------------------------------

  /**
   * Continues from the bytes that are there, if the server has the same file still. Resolves to false if it
   * must be begun anew.
   */
  async #continue(): Promise<boolean> {
    const { journal, folder } = this.#entry;
    if (journal?.totalBytes === undefined || (journal.etag ?? journal.modified) === undefined) return false;
    if (journal.isComplete) return false; // it isn't what is wanted
    const { ranges, parts, pieceBytes, totalBytes, data } = journal;
    const names = new Set(await folder.names());
    // The data may be gone, for example after the folder was copied.
    const end = ranges.at(-1)?.[1] ?? 0;
    if (parts.some((part) => !names.has(`${data}.${part}`)) || (end > 0 && !names.has(`${data}.gguf`)))
      return false;
    // Pieces don't continue a file that was written in place. The other way round, they do.
    if (end > 0 && folder.place === undefined) return false;
    this.#piece = pieceBytes;
    this.#total = totalBytes;
    this.#place = await folder.place?.(`${data}.gguf`);
    if (end > 0 && (await this.#place!.read(end - 1, new Uint8Array(1))) !== 1) return this.#forget();
    for (const [from, to] of ranges)
      for (let piece = Math.ceil(from / this.#piece); piece * this.#piece < to; piece++)
        this.#have[piece] = Math.min(to - piece * this.#piece, this.#size(piece));
    for (const part of parts) {
      this.#parts.add(part);
      this.#have[part] = this.#size(part);
    }
    this.#remote.version = journal;
    const span = this.#claim();
    if (span !== undefined) {
      try {
        const answer = await this.#remote.open(span.from, span.to);
        this.#sha256 ??= answer.sha256;
        this.#connect(span, answer, this.#job.connections);
      } catch (error) {
        const isChanged = ChordError.isInstance(error) && error.code === 'integrity';
        if (isChanged || error instanceof NoRanges) return this.#forget();
        throw error;
      }
    }
    this.#loaded += this.#have.reduce((sum, bytes) => sum + bytes, 0);
    return true;
  }

  async #forget(): Promise<false> {
    await this.#place?.close();
    this.#place = this.#total = this.#remote.version = undefined;
    this.#have = [];
    this.#parts.clear();
    this.#claimed.clear();
    return false;
  }

  /** Downloads from the beginning. */
  async #begin(): Promise<void> {
    const { file, connections } = this.#job;
    let answer = await this.#firstRange();
    // Without a version no change would be seen, and without a length there is no end.
    if (answer !== undefined && !answer.canContinue && answer.end !== answer.version.totalBytes) {
      void answer.body.cancel().catch(() => {});
      answer = undefined;
    }
    if (answer === undefined) {
      this.#remote.version = undefined;
      answer = await this.#remote.open(0, undefined);
    }
    this.#sha256 ??= answer.sha256;
    this.#canContinue = answer.canContinue;
    this.#total = answer.version.totalBytes;
    try {
      const { free } = await this.#entry.folder.space();
      if (this.#total !== undefined && free !== undefined && this.#total > free)
        throw new DOMException(`${free} bytes are free`, 'QuotaExceededError');
      await this.#entry.begin({ ...answer.version, url: file.url, name: file.name, pieceBytes: this.#piece });
      this.#place = await this.#entry.folder.place?.(`${this.#entry.journal!.data}.gguf`);
    } catch (error) {
      if (this.#entry.journal === undefined) await this.#entry.drop().catch(() => {});
      return this.#lose(error, 0, this.#remote.bytes(0, answer.isPart ? this.#total : undefined, answer));
    }
    this.#claimed.add(0);
    if (answer.isPart) this.#connect({ from: 0, to: this.#size(0) }, answer, connections);
    else this.#connect({ from: 0, to: undefined }, answer, 1);
  }

  /** Undefined: the file can only be had as a whole. */
  async #firstRange(): Promise<Answer | undefined> {
    try {
      return await this.#remote.open(0, this.#piece);
    } catch (error) {
      // A server may refuse the Range header of another origin. A page can't tell that from no connection.
      const isRefused = 'location' in globalThis && ChordError.isInstance(error) && error.code === 'io';
      if (isRefused || error instanceof NoRanges) return undefined;
      throw error;
    }
  }

  // ---- connections ------------------------------------------------------------------------------------

  #size(piece: number): number {
    return this.#total === undefined ? this.#piece : Math.min(this.#piece, this.#total - piece * this.#piece);
  }

  /** The next bytes in file order that no connection has: what the reader needs first. */
  #claim(): Span | undefined {
    const total = this.#total!;
    const isFree = (piece: number): boolean =>
      piece * this.#piece < total &&
      !this.#claimed.has(piece) &&
      (this.#have[piece] ?? 0) < this.#size(piece);
    let first = 0;
    while (first * this.#piece < total && !isFree(first)) first++;
    if (first * this.#piece >= total) return undefined;
    // Small enough that every connection has work until the end.
    const left = (total - first * this.#piece) / this.#piece;
    const most = Math.min(MOST_SPAN / this.#piece, Math.max(1, Math.floor(left / this.#job.connections)));
    let last = first;
    this.#claimed.add(first);
    while (last + 1 - first < most && isFree(last + 1) && !this.#have[last + 1]) this.#claimed.add(++last);
    return {
      from: first * this.#piece + (this.#have[first] ?? 0),
      to: last * this.#piece + this.#size(last),
    };
  }

  #connect(span: Span, answer: Answer, connections: number): void {
    const runs = Array.from({ length: connections }, (_, i) =>
      (i === 0 ? this.#run(span, answer) : this.#run(this.#claim())).catch((error) => {
        if (this.#lost === undefined) this.#fail(error);
      }),
    );
    this.#connections = Promise.all(runs)
      .then(() => this.#end())
      .catch((error) => this.#fail(error));
  }

  async #run(first: Span | undefined, answer?: Answer): Promise<void> {
    let opened = answer;
    for (let span = first; span !== undefined; span = span.to === undefined ? undefined : this.#claim()) {
      // A single stream isn't stopped when the store fails: the reader takes it over.
      const { signal } = span.to === undefined ? this.#over : this.#stop;
      const bytes = this.#remote.bytes(span.from, span.to, opened, signal);
      opened = undefined;
      let at = span.from;
      for (;;) {
        const { done, value } = await bytes.next();
        if (done) break;
        try {
          if (at === 0) checkStart(value, this.name);
        } catch (error) {
          this.#isDropped = true;
          throw error;
        }
        try {
          await this.#write(at, value);
        } catch (error) {
          return this.#lose(error, at, span.to === undefined ? withFirst(value, bytes) : undefined);
        }
        at += value.byteLength;
        this.#report((this.#loaded += value.byteLength));
      }
      if (span.to === undefined) await this.#setTotal(at);
    }
  }

  async #write(from: number, chunk: Uint8Array): Promise<void> {
    const { folder, journal } = this.#entry;
    for (let at = from, left = chunk; left.byteLength > 0;) {
      const piece = Math.floor(at / this.#piece);
      const end = at - piece * this.#piece + Math.min(left.byteLength, (piece + 1) * this.#piece - at);
      const bytes = left.subarray(0, end - (at - piece * this.#piece));
      if (this.#place !== undefined) await this.#place.write(at, bytes);
      else {
        const file = this.#open.get(piece) ?? (await folder.piece!(`${journal!.data}.${piece}`));
        this.#open.set(piece, file);
        await file.write(bytes);
        if (end === this.#size(piece)) await this.#closePiece(piece, file);
      }
      this.#have[piece] = end;
      at += bytes.byteLength;
      left = left.subarray(bytes.byteLength);
      this.#wake();
    }
    if (performance.now() - this.#committedAt >= COMMIT_MS) await this.#commit();
  }

  async #closePiece(piece: number, file: Piece): Promise<void> {
    await file.close();
    this.#open.delete(piece);
    this.#parts.add(piece);
  }

  /** One stream has ended. */
  async #setTotal(total: number): Promise<void> {
    for (const [piece, file] of this.#open) await this.#closePiece(piece, file);
    this.#total = total;
    this.#have.length = Math.ceil(total / this.#piece);
    this.#wake();
  }

  /** Every connection has ended without an error. */
  async #end(): Promise<void> {
    if (this.#lost !== undefined || this.#failure !== undefined) return;
    try {
      await this.#commit(this.#sha256 === undefined);
    } catch (error) {
      if (this.#isRequired) throw storeError(error, this.#entry.folder);
      this.#isDropped = true;
    }
  }

  /** Writes the journal: what was written before the flush. One at a time. */
  async #commit(isComplete = false): Promise<void> {
    while (this.#committing !== undefined) {
      if (!isComplete) return this.#committing;
      await this.#committing;
    }
    if (this.#entry.journal?.isComplete) return;
    const commit = async (): Promise<void> => {
      const ranges: [number, number][] = [];
      this.#have.forEach((bytes, piece) => {
        if (this.#parts.has(piece) || this.#place === undefined) return;
        const [from, to] = [piece * this.#piece, piece * this.#piece + bytes];
        const last = ranges.at(-1);
        if (last?.[1] === from) last[1] = to;
        else ranges.push([from, to]);
      });
      const parts = [...this.#parts];
      await this.#place?.flush();
      const sha256 = isComplete ? this.#sha256 : undefined;
      await this.#entry.commit({
        ...this.#entry.journal!,
        totalBytes: this.#total,
        ranges,
        parts,
        isComplete,
        sha256,
      });
      this.#committedAt = performance.now();
    };
    this.#committing = commit().finally(() => (this.#committing = undefined));
    return this.#committing;
  }

  // ---- failures ---------------------------------------------------------------------------------------

  /** The store has failed. The download fails too, or the reader goes on without the store. */
  #lose(error: unknown, from: number, bytes?: AsyncGenerator<Uint8Array, void>): void {
    if (this.#isRequired) return this.#fail(storeError(error, this.#entry.folder));
    this.#isDropped = true;
    this.#lost ??= { from, ...(bytes && { bytes }), error };
    this.#stop.abort();
    this.#wake();
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.#over.abort(error);
    this.#stop.abort(error);
    this.#wake();
  }

  // ---- reading ----------------------------------------------------------------------------------------

  async read(): Promise<Uint8Array | undefined> {
    try {
      return (await this.#bytes.next()).value ?? undefined;
    } catch (error) {
      // What the store gave back was damaged: the next download begins anew.
      if (this.#failure === undefined && this.#lost === undefined) this.drop('integrity');
      throw error;
    }
  }

  async *#inOrder(): AsyncGenerator<Uint8Array, void> {
    const buffer = new Uint8Array(SLICE);
    let at = 0;
    let isDamaged = false;
    const take = (bytes: Uint8Array): Uint8Array => {
      this.#hash?.update(bytes);
      at += bytes.byteLength;
      return bytes;
    };
    while (at !== this.#total) {
      if (this.#failure !== undefined) throw this.#failure.error;
      const piece = Math.floor(at / this.#piece);
      const ready = piece * this.#piece + (this.#have[piece] ?? 0) - at;
      if (this.#parts.has(piece) && at === piece * this.#piece) {
        const name = `${this.#entry.journal!.data}.${piece}`;
        for await (const bytes of wholePart(this.#entry.folder, name, this.#size(piece))) yield take(bytes);
      } else if (this.#place !== undefined && ready > 0 && !isDamaged) {
        const read = await this.#place.read(at, buffer.subarray(0, Math.min(ready, SLICE)));
        if (read > 0) yield take(buffer.subarray(0, read));
        else {
          isDamaged = true;
          if (this.#lost === undefined) this.#lose(new Error('bytes are missing'), at);
        }
      } else if (this.#lost !== undefined) {
        for await (const bytes of this.#behind(at)) {
          yield take(bytes);
          this.#report((this.#loaded = Math.max(this.#loaded, at)));
        }
        break;
      } else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    await this.#verify(at);
  }

  /** The bytes from `at` on, after the store has failed. */
  #behind(at: number): AsyncGenerator<Uint8Array, void> {
    const { from, bytes, error } = this.#lost!;
    if (bytes === undefined) return this.#remote.bytes(at, this.#total);
    if (at < from) throw storeError(error, this.#entry.folder); // the stream is past the reader
    return without(at - from, bytes);
  }

  async #verify(bytes: number): Promise<void> {
    const got = this.#hash?.hex();
    if (got !== this.#sha256) this.drop('integrity');
    if (got !== undefined) checkHash(got, this.#sha256!, this.name);
    if (!this.#isDropped) await this.#commit(true).catch((error) => this.#lose(error, bytes));
  }

  /** A file that another build may read is kept if it is whole. */
  drop(code: ChordErrorCode): void {
    this.#isDropped ||= !code.startsWith('unsupported') || !this.#isWhole();
  }

  /** Keeps what came, flushed and named by the journal. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#total === undefined && this.#failure === undefined && !this.#isDropped)
      await Promise.race([this.#connections, new Promise((resolve) => setTimeout(resolve, END_MS))]);
    this.#unlink();
    this.#fail(new ChordError('aborted', 'the download was closed'));
    await this.#connections;
    await this.#bytes.return().catch(() => {});
    await this.#lost?.bytes?.return().catch(() => {});
    for (const piece of this.#open.values()) await piece.abort();
    await this.#committing?.catch(() => {});
    // If that fails, the journal of before holds.
    if (this.#connections !== undefined && !this.#isDropped)
      await this.#commit(this.#sha256 === undefined && this.#isWhole()).catch(() => {});
    await this.#place?.close();
    await this.#letGo?.();
    const { journal } = this.#entry;
    if (journal && journal !== this.#whole)
      await this.#entry.end(!this.#isDropped && (this.#canContinue || journal.isComplete)).catch(() => {});
    await this.#lock.release();
  }

  #isWhole(): boolean {
    const total = this.#total ?? Infinity;
    for (let piece = 0; piece * this.#piece < total; piece++)
      if (this.#have[piece] !== this.#size(piece)) return false;
    return true;
  }
}

async function* withFirst(
  first: Uint8Array,
  rest: AsyncGenerator<Uint8Array, void>,
): AsyncGenerator<Uint8Array, void> {
  yield first;
  yield* rest;
}

/** The bytes behind the first `skip`. */
async function* without(
  skip: number,
  rest: AsyncGenerator<Uint8Array, void>,
): AsyncGenerator<Uint8Array, void> {
  let left = skip;
  for await (const bytes of rest) {
    if (bytes.byteLength > left) yield bytes.subarray(left);
    left = Math.max(0, left - bytes.byteLength);
  }
}
