// SPDX-License-Identifier: Apache-2.0
// heap-at.mjs: a module whose heap begins at another address, in Node and in pages.

/**
 * `module` with another value of its global __heap_base, from which on a model's memory is given out. What
 * lies before is never touched, so it takes no memory of the machine.
 */
export function withHeapAt(module, address) {
  const sections = [];
  for (let at = 8; at < module.length;) {
    const [bytes, begin] = leb(module, at + 1);
    sections.push({ id: module[at], body: module.subarray(begin, begin + bytes) });
    at = begin + bytes;
  }
  const index = exportIndex(sections.find(({ id }) => id === 7).body, '__heap_base');
  const globals = sections.find(({ id }) => id === 6);
  let [count, at] = leb(globals.body, 0);
  const parts = [globals.body.subarray(0, at)];
  for (let i = 0; i < count; i++) {
    const begin = at;
    at += 3; // type, mutability, i64.const
    while (globals.body[at++] & 0x80);
    at += 1; // end
    const isIt = i === index;
    parts.push(isIt ? [0x7e, 0, 0x42, ...signed(BigInt(address)), 0x0b] : globals.body.subarray(begin, at));
  }
  globals.body = joined(parts);
  return joined([
    module.subarray(0, 8),
    ...sections.flatMap(({ id, body }) => [[id, ...unsigned(body.length)], body]),
  ]);
}

function exportIndex(body, wanted) {
  let [count, at] = leb(body, 0);
  for (; count > 0; count--) {
    const [length, begin] = leb(body, at);
    const name = String.fromCharCode(...body.subarray(begin, begin + length));
    const [index, next] = leb(body, begin + length + 1);
    if (name === wanted && body[begin + length] === 3) return index;
    at = next;
  }
  throw new Error(`no export ${wanted}`);
}

function leb(bytes, at) {
  for (let value = 0, factor = 1; ; factor *= 128) {
    const byte = bytes[at++];
    value += (byte & 0x7f) * factor;
    if (byte < 0x80) return [value, at];
  }
}

function unsigned(value) {
  const bytes = [];
  for (; value > 127; value >>>= 7) bytes.push((value & 0x7f) | 0x80);
  return [...bytes, value];
}

function signed(value) {
  const bytes = [];
  for (; value > 63n; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80);
  return [...bytes, Number(value)];
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
