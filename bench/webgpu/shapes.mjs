// SPDX-License-Identifier: Apache-2.0
// shapes.mjs: models of real shapes and random weights, as streams of GGUF bytes, so that a machine with a
// GPU needs no download. The weights have the size that keeps activations near 1; what such a model writes
// means nothing, but each byte is read and multiplied as a real model's.
//
//   await loadModel(streamOf(makeModel('1B', 'Q4_K_M')), { backend: 'webgpu' })

/**
 * n_embd, n_layer, n_head, n_kv, head_dim, n_ff, n_vocab, and whether the output matrix is the embedding. The
 * last three are Llama 3.2 and 3.1.
 */
export const SHAPES = {
  tiny: { embd: 256, layer: 2, head: 4, kv: 2, dim: 64, ff: 512, vocab: 1024, tied: true },
  '110M': { embd: 768, layer: 12, head: 12, kv: 4, dim: 64, ff: 2048, vocab: 49152, tied: true },
  '1B': { embd: 2048, layer: 16, head: 32, kv: 8, dim: 64, ff: 8192, vocab: 128256, tied: true },
  '3B': { embd: 3072, layer: 28, head: 24, kv: 8, dim: 128, ff: 8192, vocab: 128256, tied: true },
  '8B': { embd: 4096, layer: 32, head: 32, kv: 8, dim: 128, ff: 14336, vocab: 128256, tied: false },
};

/** Writes the bits of a small positive f16. */
function half(x) {
  const exponent = Math.floor(Math.log2(x));
  if (exponent < -14) return Math.round(x * 2 ** 24);
  return ((exponent + 15) << 10) | Math.min(1023, Math.round((x / 2 ** exponent - 1) * 1024));
}

/**
 * ggml's types: id, elements and bytes of a block, and what is fixed in a block of random bytes, so that a
 * weight has about the standard deviation s.
 */
const TYPES = {
  F32: { id: 0, elements: 1, bytes: 4 },
  Q4_0: { id: 2, elements: 32, bytes: 18, fix: (view, s) => view.setUint16(0, half(s / 4.6), true) },
  Q8_0: {
    id: 8,
    elements: 32,
    bytes: 34,
    fix(view, s) {
      view.setUint16(0, half(s / 73), true);
      // -128 is no code of the quantiser's
      for (let i = 2; i < 34; i++) if (view.getInt8(i) === -128) view.setInt8(i, 0);
    },
  },
  Q4_K: {
    id: 12,
    elements: 256,
    bytes: 144,
    // All scales and offsets are 32: d * 32 * (code - 7.5).
    fix(view, s) {
      view.setUint16(0, half(s / (32 * 4.6)), true);
      view.setUint16(2, half((s / (32 * 4.6)) * 7.5), true);
      for (let i = 4; i < 12; i++) view.setUint8(i, 160);
      for (let i = 12; i < 16; i++) view.setUint8(i, 0);
    },
  },
  Q6_K: {
    id: 14,
    elements: 256,
    bytes: 210,
    fix(view, s) {
      for (let i = 192; i < 208; i++) view.setInt8(i, 8);
      view.setUint16(208, half(s / (8 * 18.5)), true);
    },
  },
};

/** As llama-quantize mixes Q4_K_M: half of attn_v and ffn_down are Q6_K, and so is the output. */
function typeOf(quant, name, layer, n) {
  const isOutput = name === 'token_embd' || name === 'output';
  if (quant === 'Q8_0') return 'Q8_0';
  if (isOutput) return 'Q6_K';
  if (quant === 'Q4_0') return 'Q4_0';
  const more = layer < n / 8 || layer >= (7 * n) / 8 || (layer - Math.floor(n / 8)) % 3 === 2;
  return (name === 'attn_v' || name === 'ffn_down') && more ? 'Q6_K' : 'Q4_K';
}

/** The tensors of a llama in the order of the file: name, [row length, rows], type. */
function tensorsOf(shape, quant) {
  const { embd, layer: n, head, kv, dim, ff, vocab, tied } = shape;
  const list = [['token_embd.weight', [embd, vocab], typeOf(quant, 'token_embd', -1, n)]];
  for (let l = 0; l < n; l++) {
    const matrix = (name, nIn, nOut) =>
      list.push([`blk.${l}.${name}.weight`, [nIn, nOut], typeOf(quant, name, l, n)]);
    list.push([`blk.${l}.attn_norm.weight`, [embd], 'F32']);
    matrix('attn_q', embd, head * dim);
    matrix('attn_k', embd, kv * dim);
    matrix('attn_v', embd, kv * dim);
    matrix('attn_output', head * dim, embd);
    list.push([`blk.${l}.ffn_norm.weight`, [embd], 'F32']);
    matrix('ffn_gate', embd, ff);
    matrix('ffn_up', embd, ff);
    matrix('ffn_down', ff, embd);
  }
  list.push(['output_norm.weight', [embd], 'F32']);
  if (!tied) list.push(['output.weight', [embd, vocab], typeOf(quant, 'output', -1, n)]);
  let offset = 0;
  return list.map(([name, ne, type]) => {
    const { elements, bytes: block } = TYPES[type];
    if (ne[0] % elements)
      throw new Error(`${name}: rows of ${ne[0]} elements aren't whole blocks of ${type}`);
    const bytes = (ne.reduce((a, b) => a * b) / elements) * block;
    const at = offset;
    offset = Math.ceil((offset + bytes) / 32) * 32;
    return { name, ne, type, bytes, offset: at };
  });
}

/** Little-endian writer that grows. */
class Writer {
  #bytes = new Uint8Array(1 << 20);
  #view = new DataView(this.#bytes.buffer);
  length = 0;
  #room(n) {
    if (this.length + n <= this.#bytes.length) return;
    const grown = new Uint8Array(2 * (this.length + n));
    grown.set(this.#bytes);
    [this.#bytes, this.#view] = [grown, new DataView(grown.buffer)];
  }
  u32(x) {
    this.#room(4);
    this.#view.setUint32(this.length, x, true);
    this.length += 4;
  }
  f32(x) {
    this.#room(4);
    this.#view.setFloat32(this.length, x, true);
    this.length += 4;
  }
  u64(x) {
    this.u32(x % 2 ** 32);
    this.u32(Math.floor(x / 2 ** 32));
  }
  text(text) {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.length);
    this.length += bytes.length;
  }
  take() {
    return this.#bytes.subarray(0, this.length);
  }
}

function headerOf(shape, tensors, name, context) {
  const w = new Writer();
  const { embd, layer, head, kv, dim, ff, vocab } = shape;
  const keys = [];
  const u32 = (key, x) => keys.push(() => (w.text(key), w.u32(4), w.u32(x)));
  const f32 = (key, x) => keys.push(() => (w.text(key), w.u32(6), w.f32(x)));
  const text = (key, x) => keys.push(() => (w.text(key), w.u32(8), w.text(x)));
  const list = (key, type, write) =>
    keys.push(() => {
      w.text(key);
      w.u32(9);
      w.u32(type);
      w.u64(vocab);
      for (let i = 0; i < vocab; i++) write(i);
    });
  text('general.architecture', 'llama');
  text('general.name', name);
  u32('llama.context_length', context);
  u32('llama.embedding_length', embd);
  u32('llama.block_count', layer);
  u32('llama.feed_forward_length', ff);
  u32('llama.attention.head_count', head);
  u32('llama.attention.head_count_kv', kv);
  u32('llama.attention.key_length', dim);
  u32('llama.attention.value_length', dim);
  u32('llama.rope.dimension_count', dim);
  u32('llama.vocab_size', vocab);
  f32('llama.attention.layer_norm_rms_epsilon', 1e-5);
  f32('llama.rope.freq_base', 500000);
  text('tokenizer.ggml.model', 'llama');
  const hex = (i) => i.toString(16).toUpperCase().padStart(2, '0');
  const token = (i) =>
    i === 0 ? '<unk>' : i === 1 ? '<s>' : i === 2 ? '</s>' : i < 259 ? `<0x${hex(i - 3)}>` : `\u2581w${i}`;
  list('tokenizer.ggml.tokens', 8, (i) => w.text(token(i)));
  list('tokenizer.ggml.scores', 6, (i) => w.f32(-i));
  list('tokenizer.ggml.token_type', 5, (i) => w.u32(i === 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1));
  u32('tokenizer.ggml.bos_token_id', 1);
  u32('tokenizer.ggml.eos_token_id', 2);
  w.u32(0x46554747);
  w.u32(3);
  w.u64(tensors.length);
  w.u64(keys.length);
  for (const key of keys) key();
  for (const { name: tensor, ne, type, offset } of tensors) {
    w.text(tensor);
    w.u32(ne.length);
    for (const n of ne) w.u64(n);
    w.u32(TYPES[type].id);
    w.u64(offset);
  }
  return w;
}

/** Random blocks of a type, made once and written again and again: 64 Ki elements or more. */
function blocksOf(type, deviation) {
  const { elements, bytes, fix } = TYPES[type];
  const count = Math.max(1, 65536 / elements);
  const all = new Uint8Array(count * bytes);
  let state = 0x9e3779b9;
  for (let i = 0; i < all.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    all[i] = state;
  }
  for (let i = 0; i < count; i++) fix?.(new DataView(all.buffer, i * bytes, bytes), deviation);
  return all;
}

/**
 * { bytes: total, name, parameters, multiplied: weights that each token of a prompt is multiplied with,
 * kvBytes: bytes of keys and values a position, attention: multiply-adds a pair of positions, tensors,
 * stream(): AsyncGenerator<Uint8Array> }. Nothing larger than 4 MiB is held.
 */
export function makeModel(shapeName, quant, { context = 8192, shape = SHAPES[shapeName] } = {}) {
  if (!shape) throw new Error(`no shape ${shapeName}; known are ${Object.keys(SHAPES).join(', ')}`);
  const tensors = tensorsOf(shape, quant);
  const name = `random ${shapeName} ${quant}`;
  const header = headerOf(shape, tensors, name, context);
  const begin = Math.ceil(header.length / 32) * 32;
  const last = tensors.at(-1);
  const CHUNK = 4 << 20;
  async function* stream() {
    const head = new Uint8Array(begin);
    head.set(header.take());
    for (let at = 0; at < begin; at += CHUNK) yield head.slice(at, at + CHUNK);
    let at = 0;
    for (const { ne, type, bytes, offset } of tensors) {
      if (offset > at) yield new Uint8Array(offset - at);
      at = offset + bytes;
      if (type === 'F32') {
        yield new Uint8Array(new Float32Array(bytes / 4).fill(1).buffer);
        continue;
      }
      const blocks = blocksOf(type, 1 / Math.sqrt(ne[0]));
      const times = Math.max(1, Math.floor(CHUNK / blocks.length));
      for (let left = bytes; left > 0;) {
        const n = Math.min(left, times * blocks.length);
        const chunk = new Uint8Array(n);
        for (let i = 0; i < n; i += blocks.length)
          chunk.set(blocks.subarray(0, Math.min(blocks.length, n - i)), i);
        yield chunk;
        left -= n;
      }
    }
  }
  return {
    name,
    tensors,
    bytes: begin + last.offset + last.bytes,
    parameters: tensors.reduce((sum, { ne }) => sum + ne.reduce((a, b) => a * b), 0),
    multiplied: tensors
      .filter(({ name: tensor, ne }) => tensor.startsWith('blk.') && ne.length > 1)
      .reduce((sum, { ne }) => sum + ne[0] * ne[1], 0),
    kvBytes: shape.layer * shape.kv * shape.dim * 2 * 2, // f16
    attention: shape.layer * shape.head * shape.dim * 2,
    stream,
  };
}

/** A model's bytes as a ReadableStream, for loadModel. */
export function streamOf(model) {
  const chunks = model.stream();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
  });
}
