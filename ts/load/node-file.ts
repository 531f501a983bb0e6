// SPDX-License-Identifier: Apache-2.0
// A regular file in Node as a stream. While a chunk is used, the next one is read.
import { SLICE } from './stream.js';
import type { ByteStream } from './stream.js';

type FileHandle = import('node:fs/promises').FileHandle;
interface Read {
  readonly from: number;
  readonly bytes: Promise<Uint8Array>;
}

/**
 * The stream owns `file`, of `totalBytes`. `fail` makes the error of a failed read. Two buffers take turns: a
 * chunk is valid until the next call.
 */
export function streamOfFile(
  file: FileHandle,
  name: string,
  totalBytes: number,
  fail: (cause: unknown) => never,
): ByteStream {
  const buffers = [new Uint8Array(SLICE), new Uint8Array(SLICE)] as const;
  let turn = 0;
  let at = 0;
  let ahead: Read | undefined;
  let isClosed = false;
  const start = (from: number): Read => {
    const buffer = buffers[(turn ^= 1)]!;
    const bytes = file.read(buffer, 0, SLICE, from).then(({ bytesRead }) => buffer.subarray(0, bytesRead));
    bytes.catch(() => {}); // the next call throws it
    return { from, bytes };
  };
  return {
    name,
    phase: 'read',
    totalBytes,
    aheadBytes: SLICE,
    async read() {
      // After a skip the read ahead is of no use, and must end before its buffer's next turn.
      if (ahead !== undefined && ahead.from !== at) await ahead.bytes.catch(() => {});
      const chunk = await (ahead?.from === at ? ahead : start(at)).bytes.catch(fail);
      ahead = undefined;
      if (chunk.byteLength === 0) return undefined;
      at += chunk.byteLength;
      ahead = start(at);
      return chunk;
    },
    skip: (to) => void (at = to),
    async close() {
      if (!isClosed) await file.close();
      isClosed = true;
    },
  };
}
