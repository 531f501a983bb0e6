// SPDX-License-Identifier: Apache-2.0
// The hash of a file as its bytes come.
import { ChordError } from '../errors.js';
import { importNode, isNode } from '../platform.js';
import { Sha256 } from './sha256.js';
import type { ByteStream } from './stream.js';

export interface Hash {
  update(bytes: Uint8Array): unknown;
  /** Lower-case hex. */
  hex(): string;
}

/** SHA-256; in Node by its own module, which is faster. */
export async function createHash(): Promise<Hash> {
  if (!isNode) return new Sha256();
  const crypto = (await importNode('crypto')) as typeof import('node:crypto');
  const hash = crypto.createHash('sha256');
  return { update: (bytes) => hash.update(bytes), hex: () => hash.digest('hex') };
}

/** Throws `integrity` unless the hash `got` is `expected`. */
export function checkHash(got: string, expected: string, name: string): void {
  if (got === expected) return;
  throw new ChordError('integrity', `${name} has the SHA-256 ${got}, not ${expected}`, {
    hint: 'the file is damaged, or it is not the file that the hash belongs to',
  });
}

/** The same bytes; at their end, `integrity` unless they have the hash `expected`. */
export async function verified(stream: ByteStream, expected: string): Promise<ByteStream> {
  const hash = await createHash();
  return {
    name: stream.name,
    phase: stream.phase,
    totalBytes: stream.totalBytes,
    ...(stream.aheadBytes !== undefined && { aheadBytes: stream.aheadBytes }),
    mustEnd: true,
    drop: (code) => stream.drop?.(code),
    async read() {
      const chunk = await stream.read();
      if (chunk !== undefined) {
        hash.update(chunk);
        return chunk;
      }
      const got = hash.hex();
      if (got !== expected) stream.drop?.('integrity', got);
      checkHash(got, expected, stream.name);
      return undefined;
    },
    close: () => stream.close(),
  };
}
