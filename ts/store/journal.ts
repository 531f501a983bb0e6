// SPDX-License-Identifier: Apache-2.0
// The record of one stored file: where it is from, and which of its bytes are there. A record names bytes
// after they were flushed, and it is written to two files in turn with a checksum. So after a crash the newer
// whole record is true.
import type { Version } from '../load/span.js';

export interface Journal extends Version {
  readonly url: string;
  readonly name: string;
  /** Name of the data's file. Every download from the beginning has a new one. */
  readonly data: string;
  /** Bytes of a piece: the unit that has a file of its own where files can't be written in place. */
  readonly pieceBytes: number;
  /** SHA-256 of the whole file, if it was checked. */
  readonly sha256: string | undefined;
  /** Bytes that are in the data's file: [from, to), in order, apart from each other. */
  readonly ranges: readonly (readonly [number, number])[];
  /** Pieces that are in a file of their own. */
  readonly parts: readonly number[];
  /** Whether every byte is there, and is checked if a hash was known. */
  readonly isComplete: boolean;
  /** The whole copy that this download will replace. It can be read until then. */
  readonly old?: Journal | undefined;
}

/** FNV-1a: a torn record isn't an attack. */
function checksum(text: string): string {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}

export function encodeJournal(journal: Journal, sequence: number): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify({ version: 1, sequence, ...journal });
  return new TextEncoder().encode(checksum(text) + text);
}

/** Returns undefined for bytes that aren't a whole record of this version. */
export function decodeJournal(
  bytes: Uint8Array | undefined,
): { readonly journal: Journal; readonly sequence: number } | undefined {
  const text = new TextDecoder().decode(bytes);
  if (checksum(text.slice(8)) !== text.slice(0, 8)) return undefined;
  // The checksum holds, so this package wrote the text.
  const { version, sequence, ...journal } = JSON.parse(text.slice(8)) as Journal & {
    version: number;
    sequence: number;
  };
  return version === 1 ? { journal, sequence } : undefined;
}

/** Number of bytes of the file that are stored. */
export function storedBytes({ ranges, parts, pieceBytes, totalBytes = Infinity }: Journal): number {
  let bytes = 0;
  for (const [from, to] of ranges) bytes += to - from;
  for (const part of parts) bytes += Math.min(pieceBytes, totalBytes - part * pieceBytes);
  return bytes;
}
