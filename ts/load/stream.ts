// SPDX-License-Identifier: Apache-2.0
// The one shape of an open source, ByteStream, and what every kind of source needs to make one.
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';

/** Bytes in order, read on request. */
export interface ByteStream {
  /** For messages and progress: URL, path or file name, or the kind of source. */
  readonly name: string;
  readonly phase: 'download' | 'read';
  /** The file's length, if it can be trusted. */
  readonly totalBytes: number | undefined;
  /** Maximum bytes read ahead of requests. The loader counts them as held. */
  readonly aheadBytes?: number;
  /** Whether a reader must come to the end: the rest of a download, or a hash, depends on it. */
  readonly mustEnd?: boolean;
  /** Calls `report` with the bytes that have arrived in all, which may be ahead of those that were read. */
  watch?(report: (bytes: number) => void): void;
  /** The whole file's SHA-256 by its server. */
  readonly sha256?: string | undefined;
  /**
   * Says that a reader refused the bytes with an error of `code`, for `integrity` with the hash that they
   * have. What is stored of them and worth nothing is removed at `close`.
   */
  drop?(code: ChordErrorCode, sha256?: string): void;
  /**
   * Says that a model will read the stored copy. Throws `quota` or `io` if storing has failed; `read` throws
   * it if storing fails later.
   */
  require?(): void;
  /** The next bytes, valid until the next call; undefined at the end. Throws `io`, `http`. */
  read(): Promise<Uint8Array | undefined>;
  /** Bytes from any place on, also after `close`; absent where they come once and in order. Throws `io`. */
  at?(from: number, bytes: number): Promise<Uint8Array>;
  /** Goes on at byte `to`, which is behind what was read. Absent where every byte must be read. */
  skip?(to: number): void;
  /** Closes the source. A read in progress may be dropped. A second call does nothing. */
  close(): Promise<void>;
}

/** Size of slices of bytes and Blobs: large beside the cost of a message, small beside any model. */
export const SLICE = 1 << 20;

export function readableStream(
  body: ReadableStream<Uint8Array>,
  name: string,
  phase: 'download' | 'read',
  totalBytes: number | undefined,
  hint?: string,
): ByteStream {
  if (body.locked) throw new ChordError('invalid-argument', `${name} is locked by another reader`);
  const reader = body.getReader();
  let loaded = 0;
  return {
    name,
    phase,
    totalBytes,
    async read() {
      for (;;) {
        const { done, value } = await reader.read().catch((cause: unknown) => {
          throw new ChordError('io', `${name} broke off after ${loaded} bytes: ${reasonOf(cause)}`, {
            cause,
            hint,
          });
        });
        if (done) return undefined;
        const bytes = toBytes(value);
        if (bytes === undefined)
          throw new ChordError('invalid-argument', `${name} returned ${describe(value)}, not bytes`);
        loaded += bytes.byteLength;
        if (bytes.byteLength > 0) return bytes;
      }
    },
    async close() {
      await reader.cancel().catch(() => {});
    },
  };
}

export function toBytes(source: unknown): Uint8Array | undefined {
  const isBuffer =
    source instanceof ArrayBuffer ||
    (typeof SharedArrayBuffer === 'function' && source instanceof SharedArrayBuffer);
  try {
    if (ArrayBuffer.isView(source))
      return new Uint8Array(source.buffer, source.byteOffset, source.byteLength);
    return isBuffer ? new Uint8Array(source) : undefined;
  } catch (cause) {
    throw isDetached(cause);
  }
}

export function isDetached(cause: unknown): ChordError {
  return new ChordError('invalid-argument', 'the ArrayBuffer of the model source is detached', {
    cause,
    hint: 'it was transferred to another thread; pass a buffer that is still here',
  });
}

export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value !== 'object') return `a ${typeof value}`;
  try {
    return `an object of class ${value.constructor?.name ?? 'Object'}`;
  } catch {
    // The constructor can't be read.
    return 'an object';
  }
}

/**
 * The reason of a failure. fetch says little ("fetch failed"); its cause says more. A caller's source may
 * throw anything.
 */
export function reasonOf(error: unknown): string {
  try {
    const { message, cause } = (error ?? {}) as {
      message?: string;
      cause?: { message?: string; code?: string };
    };
    const inner = cause?.message || cause?.code;
    return inner ? `${message}: ${inner}` : String(message ?? error ?? 'no reason was given');
  } catch {
    return "a reason that can't be read";
  }
}
