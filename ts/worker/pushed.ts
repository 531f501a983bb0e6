// SPDX-License-Identifier: Apache-2.0
import { ChordError } from '../errors.js';
import type { ErrorRecord } from '../errors.js';
import type { ByteStream } from '../load/stream.js';
import type { RandomReader } from '../paging/reader.js';
import { CHUNKS, CHUNK_BYTES } from './protocol.js';
import type { Reply } from './protocol.js';

/** A source that the client reads and posts in chunks. Each `read` acknowledges the chunk read before. */
export class PushedStream implements ByteStream {
  readonly name: string;
  readonly phase: 'download' | 'read';
  readonly totalBytes: number | undefined;
  readonly #acknowledge: (chunk: Uint8Array) => void;
  readonly #chunks: Uint8Array[] = [];
  #reading: Uint8Array | undefined;
  #isAtEnd = false;
  #failure: unknown;
  #wake: () => void = () => {};

  constructor(
    source: { name: string; phase: 'download' | 'read'; totalBytes: number | undefined },
    acknowledge: (chunk: Uint8Array) => void,
  ) {
    this.name = source.name;
    this.phase = source.phase;
    this.totalBytes = source.totalBytes;
    this.#acknowledge = acknowledge;
  }

  /**
   * Adds a chunk. More than CHUNKS chunks under way, or one above CHUNK_BYTES, make the next `read` throw.
   */
  push(bytes: Uint8Array): void {
    const underWay = this.#chunks.length + (this.#reading === undefined ? 0 : 1);
    if (underWay >= CHUNKS || bytes.byteLength > CHUNK_BYTES)
      this.#failure ??= new ChordError(
        'invalid-argument',
        `a chunk of ${bytes.byteLength} bytes was pushed with ${underWay} chunks under way; the maximum is ${CHUNKS} chunks of ${CHUNK_BYTES} bytes`,
      );
    else if (this.#isAtEnd)
      this.#failure ??= new ChordError('invalid-argument', 'bytes were pushed after the end');
    else if (bytes.byteLength > 0) this.#chunks.push(bytes);
    this.#wake();
  }

  end(): void {
    this.#isAtEnd = true;
    this.#wake();
  }

  fail(error: ErrorRecord): void {
    this.#failure ??= ChordError.from(error);
    this.#wake();
  }

  /** Ends the stream when the load is aborted. A pending `read` rejects with `reason`. */
  stop(reason: unknown): void {
    this.#failure ??= reason;
    this.#wake();
  }

  async read(): Promise<Uint8Array | undefined> {
    if (this.#reading !== undefined) this.#acknowledge(this.#reading);
    this.#reading = undefined;
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure;
      const chunk = (this.#reading = this.#chunks.shift());
      if (chunk !== undefined || this.#isAtEnd) return chunk;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async close(): Promise<void> {
    this.#chunks.length = 0;
  }
}

/** Reads at any byte of sources that the client has, for a paged model. */
export class PushedReads {
  readonly #post: (reply: Reply) => void;
  readonly #waiting = new Map<number, (bytes: Uint8Array | ErrorRecord) => void>();
  #next = 0;

  constructor(post: (reply: Reply) => void) {
    this.#post = post;
  }

  /** The answer to a read. */
  take(read: number, bytes: Uint8Array | ErrorRecord): void {
    this.#waiting.get(read)?.(bytes);
  }

  /** Ends all reads with an error. */
  stop(error: ErrorRecord): void {
    for (const take of this.#waiting.values()) take(error);
  }

  /** A reader of file number `file` of the model. */
  of({ name, totalBytes = 0 }: { name: string; totalBytes: number | undefined }, file: number): RandomReader {
    return {
      name,
      size: totalBytes,
      read: async (from, target) => {
        const read = this.#next++;
        const answer = new Promise<Uint8Array | ErrorRecord>((resolve) => this.#waiting.set(read, resolve));
        this.#post({ type: 'read', call: read, file, from, bytes: target.byteLength });
        const bytes = await answer.finally(() => this.#waiting.delete(read));
        if (!(bytes instanceof Uint8Array)) throw ChordError.from(bytes);
        target.set(bytes.subarray(0, target.byteLength));
        return Math.min(bytes.byteLength, target.byteLength);
      },
      changed: () => undefined,
      close() {},
    };
  }
}
