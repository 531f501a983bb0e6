// SPDX-License-Identifier: Apache-2.0
// spread.mjs: writes a GGUF file with gaps between its tensors, as a sparse file: many GiB that take the
// disk of a fixture.
import { open, readFile } from 'node:fs/promises';

const widths = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 };

/** The places of the tensors' offsets in a header, by ascending offset, and where the data begins. */
function offsetsOf(bytes) {
  const number = (at) => Number(bytes.readBigUInt64LE(at));
  let at = 24;
  const skip = (type) => {
    if (type === 8) at += 8 + number(at);
    else if (type === 9) {
      const [inner, count] = [bytes.readUInt32LE(at), number(at + 4)];
      at += 12;
      for (let i = 0; i < count; i++) skip(inner);
    } else at += widths[type];
  };
  for (let pairs = number(16); pairs > 0; pairs--) {
    at += 8 + number(at) + 4;
    skip(bytes.readUInt32LE(at - 4));
  }
  const places = [];
  for (let tensors = number(8); tensors > 0; tensors--) {
    at += 8 + number(at);
    at += 4 + 8 * bytes.readUInt32LE(at) + 4;
    places.push(at);
    at += 8;
  }
  places.sort((a, b) => number(a) - number(b));
  return { places, data: Math.ceil(at / 32) * 32 };
}

/**
 * Writes the file `from` to `to`. Before the middle and before the last tensor is a gap of `gap` bytes, which
 * takes no disk. Resolves to the length.
 */
export async function spread(from, to, gap) {
  const bytes = await readFile(from);
  const { places, data } = offsetsOf(bytes);
  const parts = [];
  let shift = 0;
  for (const [i, place] of places.entries()) {
    const offset = Number(bytes.readBigUInt64LE(place));
    if (i > 0 && (i === places.length >> 1 || i === places.length - 1)) shift += gap;
    parts.push([data + offset, shift]);
    bytes.writeBigUInt64LE(BigInt(offset + shift), place);
  }
  const file = await open(to, 'w');
  await file.write(bytes, 0, data, 0);
  for (const [i, [at, moved]] of parts.entries()) {
    const end = parts[i + 1]?.[0] ?? bytes.length;
    await file.write(bytes, at, end - at, at + moved);
  }
  await file.close();
  return bytes.length + shift;
}
