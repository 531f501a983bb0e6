// SPDX-License-Identifier: Apache-2.0
// header.mjs: GGUF headers without data, of models of any size, for tests that need only the header.

const TYPE = { u16: 2, u32: 4, i32: 5, f32: 6, string: 8, array: 9 };

class Writer {
  #parts = [];

  raw(bytes) {
    this.#parts.push(Buffer.from(bytes));
    return this;
  }
  u32(value) {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return this.raw(bytes);
  }
  u64(value) {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return this.raw(bytes);
  }
  text(text) {
    const bytes = Buffer.from(text);
    return this.u64(bytes.length).raw(bytes);
  }
  pair(key, type, value) {
    this.text(key).u32(TYPE[type]);
    if (type === 'string') return this.text(value);
    const bytes = Buffer.alloc(type === 'u16' ? 2 : 4);
    if (type === 'f32') bytes.writeFloatLE(value);
    else if (type === 'u16') bytes.writeUInt16LE(value);
    else bytes.writeInt32LE(value);
    return this.raw(bytes);
  }
  texts(key, list) {
    this.text(key).u32(TYPE.array).u32(TYPE.string).u64(list.length);
    for (const text of list) this.text(text);
    return this;
  }
  get bytes() {
    return new Uint8Array(Buffer.concat(this.#parts));
  }
}

/**
 * Returns the header of a llama of these sizes with F16 matrices. `pairs` are additional [key, type, value].
 */
export function llamaHeader({ layers, width, ff, heads, vocabulary, context = 2048, pairs = [] }) {
  const shapes = [
    ['token_embd.weight', [width, vocabulary]],
    ['output.weight', [width, vocabulary]],
    ['output_norm.weight', [width]],
  ];
  for (let i = 0; i < layers; i++) {
    for (const name of ['attn_q', 'attn_k', 'attn_v', 'attn_output'])
      shapes.push([`blk.${i}.${name}.weight`, [width, width]]);
    for (const name of ['ffn_gate', 'ffn_up']) shapes.push([`blk.${i}.${name}.weight`, [width, ff]]);
    shapes.push([`blk.${i}.ffn_down.weight`, [ff, width]]);
    for (const name of ['attn_norm', 'ffn_norm']) shapes.push([`blk.${i}.${name}.weight`, [width]]);
  }
  const writer = new Writer()
    .raw('GGUF')
    .u32(3)
    .u64(shapes.length)
    .u64(9 + pairs.length);
  writer.pair('general.architecture', 'string', 'llama');
  writer.pair('llama.context_length', 'u32', context).pair('llama.embedding_length', 'u32', width);
  writer.pair('llama.block_count', 'u32', layers).pair('llama.feed_forward_length', 'u32', ff);
  writer
    .pair('llama.attention.head_count', 'u32', heads)
    .pair('llama.attention.layer_norm_rms_epsilon', 'f32', 1e-5);
  writer.pair('tokenizer.ggml.model', 'string', 'llama');
  writer.texts(
    'tokenizer.ggml.tokens',
    Array.from({ length: vocabulary }, (_, i) => `t${i}`),
  );
  for (const [key, type, value] of pairs) writer.pair(key, type, value);
  let offset = 0;
  for (const [name, ne] of shapes) {
    const isMatrix = ne.length > 1;
    writer.text(name).u32(ne.length);
    for (const n of ne) writer.u64(n);
    writer.u32(isMatrix ? 1 : 0).u64(offset);
    offset += ne.reduce((a, b) => a * b, isMatrix ? 2 : 4);
  }
  return writer.raw(new Uint8Array(32)).bytes; // at least the padding before the data
}
