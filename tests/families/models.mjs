// SPDX-License-Identifier: Apache-2.0
// models.mjs: small models of random weights, one of each family and shape below. A model's bytes depend on
// its name alone and are the same in every engine: weights are sums of whole numbers, so no Math.log or
// Math.cos with a last bit of their own. `node tests/families/models.mjs DIRECTORY [NAME ...]` writes them
// for llama.cpp (tools/make_family_goldens.py), `... DIRECTORY --seeds` a seed of each for tools/fuzz.py.
import { writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { pathToFileURL } from 'node:url';
import { HYBRIDS } from './hybrids.mjs';
import { GEMMA3N } from './gemma3n.mjs';
import { GEMMA4 } from './gemma4.mjs';
import { LATENT } from './latent.mjs';
import { RWKV } from './rwkv.mjs';

/** ggml's numbers of the types, and the elements and bytes of a block. */
const TYPES = {
  ...{
    F32: [0, 1, 4],
    F16: [1, 1, 2],
    Q8_0: [8, 32, 34],
    Q4_K: [12, 256, 144],
    Q6_K: [14, 256, 210],
    MXFP4: [39, 32, 17],
  },
  ...{ IQ2_XXS: [16, 256, 66], IQ2_XS: [17, 256, 74], IQ3_XXS: [18, 256, 98], IQ1_S: [19, 256, 50] },
  ...{ IQ3_S: [21, 256, 110], IQ2_S: [22, 256, 82], IQ1_M: [29, 256, 56] },
  ...{ TQ1_0: [34, 256, 54], TQ2_0: [35, 256, 66], NVFP4: [40, 64, 36] },
};
/** Types whose blocks are random bits and a scale d: the deviation of their elements with d = 1 (MXFP4: with
 * the byte 128). */
const DEVIATIONS = {
  ...{ IQ2_XXS: 53, IQ2_XS: 56, IQ2_S: 57, IQ3_XXS: 142, IQ3_S: 140, IQ1_S: 7.2, IQ1_M: 7.2 },
  ...{ TQ1_0: 0.82, TQ2_0: 1.1, MXFP4: 5.8, NVFP4: 5.8 },
};
/** The matrices of NAME.iq and NAME.few have these types in turn. */
const RARE = {
  iq: ['IQ3_S', 'IQ2_XXS', 'IQ2_XS', 'IQ2_S', 'IQ3_XXS', 'IQ1_S', 'IQ1_M'],
  few: ['MXFP4', 'TQ1_0', 'TQ2_0', 'NVFP4'],
  nv: ['NVFP4'],
};
const N_VOCAB = 288;
const CONTEXT = 256;
const LOGIT_STD = 4;

/* Fields of a family:
 *   norm    rms, layer (weights and biases), weight (layer norms without biases), bare (no tensors)
 *   qk      head, row, each: norms of queries and keys; each: with weights of each head's own
 *   pre, post, ffnNorm  names of the norms before and after the two halves of a layer
 *   gate    true: gate, up, down; false: up, down; 'fused': one matrix holds gate and up
 *   fused   queries, keys and values are one matrix
 *   bias    parts of a layer that have a bias
 *   mix     a mixture: n experts, `used` of them for a token, ff of each (absent: the model's), shared (the
 *           shared one's ff) or shares (its ff is so many times another's), gated (it has a gate), bias (of
 *           the choice), dense (layers without), biases, fused (gate and up are one stack)
 *   keys    further metadata; a name that begins with '.' gets the architecture's name in front
 *   extra   further tensors: [name, shape, kind]
 *   mixer   a function of the layer and the shape: the tensors that a layer has in the place of attention
 *   both    the same for tensors beside attention
 *   ffn     false: no feed-forward
 *   scales  true: matrices have scales, and scales of inputs, which nothing reads
 *   mixKeys, seedKeys  metadata that differs with quantised matrices, and in a seed
 *   outNorm the last norm's name
 *   build   (shape) => { keys, tensors }, in the place of all others but `layers` and `kv` */
const BEFORE = { pre: true, post: false, ffnNorm: 'ffn_norm' };
const AFTER = { pre: false, post: true, ffnNorm: undefined };
const ALL = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_up', 'ffn_down'];
const list = (n, f) => Array.from({ length: n }, (_, i) => f(i));

export const FAMILIES = {
  llama: {},
  gemma: { tied: true },
  gemma2: {
    tied: true,
    post: true,
    layers: 4,
    keys: { '.attention.sliding_window': 24, '.attn_logit_softcapping': 5, '.final_logit_softcapping': 6 },
  },
  mistral3: {
    keys: {
      '.rope.scaling.type': 'yarn',
      '.rope.scaling.factor': 4.5,
      '.rope.scaling.original_context_length': 32,
      '.rope.scaling.yarn_beta_fast': 8.5,
      '.rope.scaling.yarn_log_multiplier': 0.75,
      '.attention.temperature_scale': 0.4,
    },
  },
  smollm3: { layers: 4, tied: true },
  phi3: {
    gate: 'fused',
    fused: true,
    keys: {
      '.rope.scaling.type': 'longrope',
      '.rope.scaling.attn_factor': 1.19,
      '.rope.scaling.original_context_length': 64,
    },
    extra: [
      ['rope_factors_long.weight', [8], 'factors'],
      ['rope_factors_short.weight', [8], 'factors'],
    ],
  },
  granite: {
    tied: true,
    keys: { '.embedding_scale': 3.5, '.residual_scale': 0.4, '.attention.scale': 0.2, '.logit_scale': 1.7 },
  },
  minicpm: { kv: 4, keys: { '.embedding_scale': 2.5, '.logit_scale': 1.25, '.attention.scale': 0.5 } },
  olmo2: {
    ...AFTER,
    qk: 'row',
    layers: 4,
    keys: {
      '.attention.sliding_window': 20,
      '.rope.scaling.type': 'yarn',
      '.rope.scaling.factor': 2.5,
      '.rope.scaling.original_context_length': 48,
      '.rope.scaling.attn_factor': 1.1,
      '.rope.freq_base_swa': 300,
    },
  },
  exaone4: { ...AFTER, qk: 'head', tied: true },
  ernie4_5: { tied: true, bias: ['attn_q', 'attn_k', 'attn_v', 'attn_output'] },
  'hunyuan-dense': { qk: 'head', tied: true, keys: { '.rope.scaling.alpha': 60.5 } },
  seed_oss: { ffnNorm: 'post_attention_norm', bias: ['attn_q', 'attn_k', 'attn_v'] },
  arcee: { gate: false },
  nanbeige: { layers: 2, keys: { '.num_loops': 3 } },
  apertus: {
    gate: false,
    qk: 'head',
    both: (i, { dim }) => ['q', 'k'].map((x) => [`attn_${x}_norm.bias`, [dim], 'bias', 1]),
    keys: {
      'xielu.alpha_n': list(3, (i) => 0.5 + i / 4),
      'xielu.alpha_p': list(3, (i) => 0.75 - i / 4),
      'xielu.beta': list(3, (i) => 0.5 + i / 8),
      'xielu.eps': list(3, () => -1e-6),
    },
  },
  internlm2: {},
  glm4: {
    post: true,
    gate: 'fused',
    bias: ['attn_q', 'attn_k', 'attn_v'],
    keys: { '.rope.dimension_count': 8 },
  },
  'glm4-sections': {
    arch: 'glm4',
    post: true,
    gate: 'fused',
    keys: { '.rope.dimension_count': 8, '.rope.dimension_sections': [2, 1, 1, 0] },
  },
  qwen2vl: {
    bias: ['attn_q', 'attn_k', 'attn_v'],
    outputBias: true,
    keys: { '.rope.dimension_sections': [2, 3, 3, 0] },
  },
  qwen3vl: { qk: 'head', keys: { '.rope.dimension_sections': [3, 2, 1, 0], '.n_deepstack_layers': 0 } },
  bitnet: { kv: 4, tied: true, sub: true, scales: true },
  'qwen3-scales': { arch: 'qwen3', qk: 'head', bias: ['attn_q', 'attn_k', 'attn_v'], scales: true },
  'llama-scales': { arch: 'llama', fused: true, scales: true, bias: ['attn_output'] },
  'qwen3moe-scales': { arch: 'qwen3moe', qk: 'head', mix: { n: 6, used: 2, ff: 32 }, scales: true },
  phi2: { norm: 'layer', ffnNorm: undefined, gate: false, kv: 4, bias: ALL, outputBias: true },
  gpt2: {
    norm: 'layer',
    gate: false,
    kv: 4,
    fused: true,
    bias: [...ALL, 'attn_qkv'],
    tied: true,
    extra: [['position_embd.weight', [0, CONTEXT], 'table']], // 0: the model's width
  },
  starcoder2: { norm: 'layer', gate: false, bias: ALL },
  gptneox: {
    norm: 'layer',
    gate: false,
    kv: 4,
    fused: true,
    bias: [...ALL, 'attn_qkv'],
    keys: { '.use_parallel_residual': true, '.rope.dimension_count': 8 },
  },
  'gptneox-serial': {
    arch: 'gptneox',
    norm: 'layer',
    gate: false,
    kv: 4,
    fused: true,
    bias: [...ALL, 'attn_qkv'],
    keys: { '.use_parallel_residual': false, '.rope.dimension_count': 4 },
  },
  falcon: { norm: 'layer', ffnNorm: undefined, gate: false, kv: 1, fused: true },
  'falcon-40b': { arch: 'falcon', norm: 'layer', ffnNorm: 'attn_norm_2', gate: false, fused: true },
  stablelm: { norm: 'layer', keys: { '.rope.dimension_count': 4 } },
  'stablelm-12b': {
    arch: 'stablelm',
    norm: 'layer',
    ffnNorm: undefined,
    qk: 'each',
    keys: { '.rope.dimension_count': 4 },
  },
  olmo: { norm: 'bare', ffnNorm: undefined, keys: { '.attention.clamp_kqv': 0.9 } },
  'command-r': { norm: 'weight', ffnNorm: undefined, tied: true, keys: { '.logit_scale': 0.6 } },
  cohere2: {
    norm: 'weight',
    ffnNorm: undefined,
    tied: true,
    layers: 4,
    keys: { '.attention.sliding_window': 16, '.logit_scale': 0.7, '.rope.freq_base_swa': 300 },
  },
  ...HYBRIDS,
  ...GEMMA3N,
  ...GEMMA4,
  ...LATENT,
  ...RWKV,
  qwen3moe: { qk: 'head', mix: { n: 8, used: 3, ff: 32 } },
  qwen2moe: {
    bias: ['attn_q', 'attn_k', 'attn_v'],
    mix: { n: 6, used: 2, ff: 32, shared: 64, gated: true },
  },
  olmoe: { qk: 'row', kv: 4, mix: { n: 8, used: 2 } },
  granitemoe: {
    tied: true,
    mix: { n: 5, used: 2 },
    keys: { '.embedding_scale': 3.5, '.residual_scale': 0.4, '.attention.scale': 0.2, '.logit_scale': 1.7 },
  },
  'granitemoe-shared': {
    arch: 'granitemoe',
    mix: { n: 4, used: 1, shared: 32 },
    keys: {
      '.embedding_scale': 2.5,
      '.residual_scale': 0.6,
      '.logit_scale': 1.2,
      '.rope.scaling.finetuned': false,
    },
  },
  mixtral: { arch: 'llama', mix: { n: 4, used: 2 } },
  'mistral3-moe': {
    arch: 'mistral3',
    mix: { n: 4, used: 2 },
    keys: { '.rope.scaling.original_context_length': 32, '.attention.temperature_scale': 0.4 },
  },
  bailingmoe2: {
    fused: true,
    qk: 'head',
    layers: 4,
    mix: { n: 8, used: 3, ff: 32, shared: 32, bias: true, dense: 1 },
    keys: {
      '.rope.dimension_count': 8,
      '.expert_shared_count': 1,
      '.expert_gating_func': 2,
      '.expert_weights_norm': true,
      '.expert_weights_scale': 1.5,
      '.expert_group_count': 4,
      '.expert_group_used_count': 2,
    },
  },
  smallthinker: {
    layers: 5,
    mix: { n: 5, used: 2, ff: 32 },
    keys: { '.expert_gating_func': 2, '.attention.sliding_window': 4096 },
  },
  'gpt-oss': {
    ffnNorm: 'post_attention_norm',
    layers: 4,
    bias: ['attn_q', 'attn_k', 'attn_v', 'attn_output'],
    mix: { n: 4, used: 2, ff: 32, biases: true },
    keys: {
      '.feed_forward_length': undefined,
      '.attention.sliding_window': 20,
      '.rope.scaling.type': 'yarn',
      '.rope.scaling.factor': 2.5,
      '.rope.scaling.original_context_length': 48,
    },
    extra: list(4, (i) => [`blk.${i}.attn_sinks.weight`, [4], 'bias']),
  },
};

// ---- numbers

/** A generator of whole numbers below 2^32 (xorshift128), seeded by a text. */
function generator(text) {
  const hash = createHash('sha256').update(text).digest();
  const s = [0, 4, 8, 12].map((at) => hash.readUInt32LE(at) | 1);
  return () => {
    let t = s[3];
    t ^= t << 11;
    t ^= t >>> 8;
    s.splice(0, 4, (t ^ s[0] ^ (s[0] >>> 19)) >>> 0, s[0], s[1], s[2]);
    return s[0];
  };
}

/** Sums of four numbers of 16 bits: mean 0, standard deviation 1. */
function normals(n, next, gain) {
  const out = new Float32Array(n);
  const unit = Math.sqrt(3 / 4) / 32768;
  for (let i = 0; i < n; i++) {
    const [a, b] = [next(), next()];
    out[i] = Math.fround(((a & 65535) + (a >>> 16) + (b & 65535) + (b >>> 16) - 4 * 32767.5) * unit * gain);
  }
  return out;
}

/** The f16 below a positive normal number, as 16 bits. */
function half(x) {
  const bits = new Uint32Array(new Float32Array([x]).buffer)[0];
  return ((bits >>> 23) - 112) * 1024 + ((bits >>> 13) & 1023);
}

/** The f16 of each number that are next to it towards 0; 0 below the smallest normal one. */
function halves(x) {
  const out = Buffer.alloc(2 * x.length);
  x.forEach((v, i) =>
    out.writeUInt16LE((Math.abs(v) < 2 ** -14 ? 0 : half(Math.abs(v))) | (v < 0 ? 0x8000 : 0), 2 * i),
  );
  return out;
}

/** Random blocks of a type whose elements have this standard deviation. */
function blocks(type, n, next, std) {
  const [, elements, size] = TYPES[type];
  const out = Buffer.alloc((n / elements) * size);
  for (let at = 0; at < out.length; at += size) {
    for (let i = 0; i < size; i++) out[at + i] = next() & 255;
    const near = () => 28 + (next() % 9); // scales of sub-blocks
    if (type in DEVIATIONS) {
      const d = std / DEVIATIONS[type];
      if (type === 'MXFP4') out[at] = 128 + Math.round(Math.log2(d));
      else if (type === 'NVFP4')
        // d of a power of two, and more by at most 15/8
        for (let j = 0; j < 4; j++) out[at + j] = (Math.round(Math.log2(d / 1.4)) + 8) * 8 + (next() & 7);
      else if (type === 'IQ1_M') {
        const bits = half(d);
        for (let j = 0; j < 4; j++)
          out[at + 49 + 2 * j] = (out[at + 49 + 2 * j] & 15) | (((bits >> (4 * j)) & 15) << 4);
      } else out.writeUInt16LE(half(d), at + (type.startsWith('TQ') ? size - 2 : 0));
    } else if (type === 'Q8_0') {
      out.writeUInt16LE(half(std / 73.9), at); // codes from -127 to 127
      for (let i = 2; i < size; i++) if (out[at + i] === 128) out[at + i] = 0;
    } else if (type === 'Q4_K') {
      out.writeUInt16LE(half(std / (32 * 4.61)), at); // code - 7.5 has the deviation 4.61
      out.writeUInt16LE(half((std * 7.5) / (32 * 4.61)), at + 2);
      const scales = list(8, near);
      for (let j = 0; j < 4; j++) {
        const [low, high] = [scales[j], scales[j + 4]];
        out[at + 4 + j] = out[at + 8 + j] = low | ((high >> 4) << 6);
        out[at + 12 + j] = (high & 15) | ((high & 15) << 4);
      }
    } else {
      for (let j = 0; j < 16; j++) out[at + 192 + j] = near();
      out.writeUInt16LE(half(std / (32 * 18.5)), at + 208);
    }
  }
  return out;
}

// ---- the file

const UTF8 = new TextEncoder();
const KINDS = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9 };

class Writer {
  parts = [];
  bytes = 0;
  put(...parts) {
    for (const part of parts) {
      this.parts.push(part);
      this.bytes += part.length;
    }
  }
  u32(value) {
    const b = Buffer.alloc(4);
    b.writeUInt32LE(value);
    this.put(b);
  }
  u64(value) {
    const b = Buffer.alloc(8);
    b.writeBigUInt64LE(BigInt(value));
    this.put(b);
  }
  string(text) {
    const bytes = UTF8.encode(text);
    this.u64(bytes.length);
    this.put(bytes);
  }
  value(kind, value) {
    if (kind === 'string') return this.string(value);
    if (kind === 'bool') return this.put(Buffer.from([value ? 1 : 0]));
    const b = Buffer.alloc(4);
    if (kind === 'f32') b.writeFloatLE(value);
    else if (kind === 'i32') b.writeInt32LE(value);
    else b.writeUInt32LE(value);
    this.put(b);
  }
}

/** Keys whose numbers are floats even where they are whole. */
const isFloat = (key, value) =>
  typeof value === 'number' &&
  (!Number.isInteger(value) ||
    /scale$|scaling\.(factor|alpha|attn_factor)|softcapping|clamp|xielu|yarn_beta|log_multiplier|freq_base|epsilon/.test(
      key,
    ));
const kindOf = (key, value) =>
  typeof value === 'string'
    ? 'string'
    : typeof value === 'boolean'
      ? 'bool'
      : isFloat(key, value)
        ? 'f32'
        : 'u32';

function writeKey(w, key, value) {
  w.string(key);
  if (!Array.isArray(value)) {
    const kind = kindOf(key, value);
    w.u32(KINDS[kind]);
    w.value(kind, value);
    return;
  }
  const kind =
    typeof value[0] === 'boolean'
      ? 'bool'
      : typeof value[0] === 'string'
        ? 'string'
        : isFloat(key, value[0])
          ? 'f32'
          : 'i32';
  w.u32(KINDS.array);
  w.u32(KINDS[kind]);
  w.u64(value.length);
  for (const item of value) w.value(kind, item);
}

/** Byte-level BPE: the 256 bytes, some merges, three special tokens. */
function vocabulary() {
  const shown = [...list(94, (i) => 33 + i), ...list(12, (i) => 161 + i), ...list(82, (i) => 174 + i)];
  const hidden = list(256, (i) => i).filter((i) => !shown.includes(i));
  const letter = (byte) => String.fromCodePoint(shown.includes(byte) ? byte : 256 + hidden.indexOf(byte));
  const tokens = list(256, letter);
  const merges = ['Ġ t', 'h e', 'Ġt he', 'i n', 'e r', 'Ġ s', 'Ġ a', 'o u', 'n d', 'Ġa nd', 'r e', 'Ġ w'];
  tokens.push(...merges.map((pair) => pair.replace(' ', '')));
  while (tokens.length < N_VOCAB - 3) tokens.push(`<unused${tokens.length}>`);
  const unused = list(N_VOCAB - 3 - 256 - merges.length, () => 5);
  return {
    'tokenizer.ggml.model': 'gpt2',
    'tokenizer.ggml.pre': 'gpt-2',
    'tokenizer.ggml.tokens': [...tokens, '<|begin|>', '<|end|>', '<|unknown|>'],
    'tokenizer.ggml.token_type': [...list(256 + merges.length, () => 1), ...unused, 3, 3, 3],
    'tokenizer.ggml.merges': merges,
    'tokenizer.ggml.bos_token_id': N_VOCAB - 3,
    'tokenizer.ggml.eos_token_id': N_VOCAB - 2,
    'tokenizer.ggml.add_bos_token': false,
  };
}

export function shapeOf(family, suffix) {
  const { layers = 3, kv = 2 } = family;
  const [embd, ff, heads] = suffix === 'seed' ? [32, 96, 4] : suffix ? [256, 256, 4] : [64, 96, 4];
  return { layers, embd, ff, heads, kv, dim: embd / heads };
}

/** The tensors of a mixture. The router's rows are large, so that few choices are close. */
function experts(out, p, mix, embd, isMixed) {
  const { n, gated, bias, biases, fused } = mix;
  const [ff, own] = [mix.ff ?? 96, mix.shared].map((width) => (width && isMixed ? 256 : width));
  const shared = mix.shares ? mix.shares * ff : own;
  out.push([`${p}ffn_gate_inp.weight`, [embd, n], 'router', 3]);
  if (bias) out.push([`${p}exp_probs_b.bias`, [n], 'bias', 0.2]);
  for (const [name, cols, rows, gain] of [
    ...(fused
      ? [['gate_up', embd, 2 * ff, 1.3]]
      : [
          ['gate', embd, ff, 1.5],
          ['up', embd, ff, 1],
        ]),
    ['down', ff, embd, 2],
  ]) {
    out.push([`${p}ffn_${name}_exps.weight`, [cols, rows, n], 'matrix', gain]);
    if (biases) out.push([`${p}ffn_${name}_exps.bias`, [rows, n], 'bias', 0.1]);
  }
  if (biases) out.push([`${p}ffn_gate_inp.bias`, [n], 'bias', 0.1]);
  if (gated) out.push([`${p}ffn_gate_inp_shexp.weight`, [embd], 'bias', 0.2]);
  if (!shared) return;
  out.push([`${p}ffn_gate_shexp.weight`, [embd, shared], 'matrix', 1.5]);
  out.push([`${p}ffn_up_shexp.weight`, [embd, shared], 'matrix', 1]);
  out.push([`${p}ffn_down_shexp.weight`, [shared, embd], 'matrix', 1.5]);
}

/** The matrices that may have a scale; output.weight may, if it is NVFP4. */
const SCALED =
  /\.(attn_(q|k|v|qkv|gate|output)|ffn_(gate|up|down)(_exps|_shexp)?|ssm_(in|out|alpha|beta))\.weight$/;

/** [name, shape with the row's length first, kind, gain]; kinds: matrix, norm, bias, embedding ... */
function tensorsOf(f, shape, isMixed) {
  const { embd, ff, heads, dim, layers } = shape;
  const out = [];
  const norm = (name, n, kind = 'norm') => {
    if (f.norm === 'bare') return;
    out.push([`${name}.weight`, [n], kind, 1]);
    if (f.norm === 'layer') out.push([`${name}.bias`, [n], 'bias', 0.1]);
  };
  const matrix = (p, name, cols, rows, gain) => {
    out.push([`${p}${name}.weight`, [cols, rows], 'matrix', gain]);
    if (f.bias?.includes(name)) out.push([`${p}${name}.bias`, [rows], 'bias', 0.1]);
  };
  const spread = LOGIT_STD / Math.sqrt(embd);
  out.push(['token_embd.weight', [embd, N_VOCAB], 'embedding', f.tied ? spread : 1]);
  for (let i = 0; i < layers; i++) {
    const p = `blk.${i}.`;
    if (f.pre !== false) norm(`${p}attn_norm`, embd);
    const kvs = f.keys?.['.attention.head_count_kv'];
    const kv = kvs?.[i] || shape.kv;
    const mixer = f.mixer?.(i, { ...shape, kv });
    if (f.both) out.push(...f.both(i, shape).map(([name, ...rest]) => [p + name, ...rest]));
    if (mixer) out.push(...mixer.map(([name, ...rest]) => [p + name, ...rest]));
    else if (f.fused) matrix(p, 'attn_qkv', embd, (heads + 2 * kv) * dim, 1.6);
    else
      for (const [name, rows, gain] of [
        ['q', heads * dim, 2.5],
        ['k', kv * dim, 1],
        ['v', kv * dim, 1],
      ])
        // prettier-ignore
        matrix(p, `attn_${name}`, embd, rows, gain);
    const wide = f.qk === 'row';
    const normSize = (n) => (f.qk === 'each' ? [dim, n] : [wide ? n * dim : dim]);
    if (f.qk && !mixer) {
      out.push([`${p}attn_q_norm.weight`, normSize(heads), 'norm', 1.6]);
      out.push([`${p}attn_k_norm.weight`, normSize(kv), 'norm', 1.6]);
    }
    if (f.sub) out.push([`${p}attn_sub_norm.weight`, [heads * dim], 'norm', 1]);
    if (!mixer) matrix(p, 'attn_output', heads * dim, embd, 1);
    if (f.post) norm(`${p}post_attention_norm`, embd);
    if (f.ffnNorm) norm(p + f.ffnNorm, embd);
    if (f.ffn === false) continue;
    if (f.mix && i >= (f.mix.dense ?? 0)) {
      experts(out, p, f.mix, embd, isMixed);
      continue;
    }
    if (f.gate === 'fused') matrix(p, 'ffn_up', embd, 2 * ff, 1.3);
    else {
      if (f.gate !== false) matrix(p, 'ffn_gate', embd, ff, 1.5);
      matrix(p, 'ffn_up', embd, ff, 1);
    }
    if (f.sub) out.push([`${p}ffn_sub_norm.weight`, [ff], 'norm', 1]);
    matrix(p, 'ffn_down', ff, embd, 1.5);
    if (f.post) norm(`${p}post_ffw_norm`, embd);
  }
  norm(f.outNorm ?? 'output_norm', embd, f.tied ? 'signed norm' : 'norm');
  if (!f.tied) out.push(['output.weight', [embd, N_VOCAB], 'matrix', LOGIT_STD]);
  if (f.outputBias) out.push(['output.bias', [N_VOCAB], 'bias', 0.1]);
  if (f.scales)
    for (const [name, size] of out.filter(([name]) => SCALED.test(name)))
      for (const suffix of ['scale', 'input_scale'])
        out.push([name.replace('weight', suffix), [size[2] ?? 1], 'scale']);
  for (const [name, size, kind] of f.extra ?? [])
    if (!name.startsWith('blk.') || Number(name.split('.')[1]) < layers)
      out.push([
        name,
        kind === 'factors' ? [(f.keys['.rope.dimension_count'] ?? dim) / 2] : size.map((n) => n || embd),
        kind,
        1,
      ]);
  return out;
}

/** `i`: the matrix's number in the file. */
function typeOf(name, kind, suffix, cols, i) {
  if (kind === 'half matrix' && suffix !== undefined && suffix !== 'seed') return 'F16';
  if (suffix === undefined || !/^(half )?matrix$|^embedding$/.test(kind)) return 'F32';
  if (suffix === 'seed') return cols % 32 > 0 ? 'F32' : 'Q8_0';
  if (suffix in RARE) return RARE[suffix][i % RARE[suffix].length];
  if (kind === 'embedding' || cols % 256 > 0) return 'Q8_0';
  return /attn_v|ffn_down|output\.weight|attn_qkv/.test(name) ? 'Q6_K' : 'Q4_K';
}

function dataOf(model, name, shape, kind, gain, type) {
  const next = generator(`${model}|${name}`);
  const n = shape.reduce((product, size) => product * size, 1);
  const std = /matrix|table|router/.test(kind) ? gain / Math.sqrt(shape[0]) : gain;
  if (type === 'F16') return halves(normals(n, next, std));
  if (type !== 'F32') return blocks(type, n, next, std);
  const x = normals(n, next, /matrix|table|router|bias|embedding/.test(kind) ? std : 0.1);
  if (kind.endsWith('norm'))
    x.forEach((v, i) => (x[i] = gain * (1 + v) * (kind === 'norm' || next() & 1 ? 1 : -1)));
  if (kind === 'still factors') x.forEach((_, i) => (x[i] = i < n / 4 ? 1 + i / 8 : 1e30));
  if (kind === 'factors') x.forEach((_, i) => (x[i] = 1 + i * (name.includes('long') ? 0.75 : 0.125)));
  if (kind === 'decay') x.forEach((v, i) => (x[i] = -0.5 - Math.abs(20 * v)));
  if (kind === 'step') x.forEach((v, i) => (x[i] = 10 * v - 2));
  if (kind === 'lerp') x.forEach((v, i) => (x[i] = 0.5 + 3 * v));
  if (kind === 'scale') x.forEach((v, i) => (x[i] = 1 + 2 * v));
  return Buffer.from(x.buffer);
}

const mixKeys = ({ n, used, ff, shared, dense }, isMixed) => ({
  '.expert_count': n,
  '.expert_used_count': used,
  ...(ff && { '.expert_feed_forward_length': isMixed ? 256 : ff }),
  ...(shared && { '.expert_shared_feed_forward_length': isMixed ? 256 : shared }),
  ...(dense && { '.leading_dense_block_count': dense }),
});

/** The bytes of a model: NAME; NAME.mix, NAME.iq, NAME.few and NAME.nv have quantised matrices, NAME.seed is
 * as small as a seed of a fuzzer must be. `changes` takes the place of metadata, `list` of the family's
 * tensors. */
export function modelOf(name, changes = {}, list = undefined) {
  const [stem, suffix] = name.split('.');
  const isMixed = suffix !== undefined && suffix !== 'seed';
  let matrices = 0;
  const family = { ...BEFORE, ...FAMILIES[stem] };
  const arch = changes['general.architecture'] ?? family.arch ?? stem;
  const shape = shapeOf(family, suffix);
  const built = family.build?.(shape);
  const epsilon = (family.norm ?? 'rms') === 'rms' ? 'layer_norm_rms_epsilon' : 'layer_norm_epsilon';
  const keys = {
    'general.architecture': arch,
    'general.name': 'random weights', // llama.cpp treats names with phi-3 in them in its own way
    '.context_length': CONTEXT,
    '.embedding_length': shape.embd,
    '.block_count': shape.layers,
    '.feed_forward_length': shape.ff,
    '.attention.head_count': shape.heads,
    '.attention.head_count_kv': shape.kv,
    '.rope.dimension_count': shape.dim,
    '.rope.freq_base': 10000,
    [`.attention.${epsilon}`]: 1e-5,
    ...(family.mix && mixKeys(family.mix, isMixed)),
    ...(built ?? family).keys,
    ...(isMixed ? family.mixKeys : undefined),
    ...(suffix === 'seed' ? family.seedKeys : undefined),
    ...vocabulary(),
    ...changes,
  };
  for (const key of Object.keys(keys)) if (keys[key] === undefined) delete keys[key];
  const own = list ?? built?.tensors ?? tensorsOf(family, shape, isMixed);
  if (suffix === 'nv') own.push(['output.scale', [1], 'scale'], ['output.input_scale', [1], 'scale']);
  const tensors = own.map(([tensor, size, kind, gain]) => {
    const type = typeOf(tensor, kind, suffix, size[0], matrices);
    matrices += size.length > 1 ? 1 : 0;
    return { tensor, size, type, data: dataOf(name, tensor, size, kind, gain, type) };
  });
  const w = new Writer();
  w.put(UTF8.encode('GGUF'));
  w.u32(3);
  w.u64(tensors.length);
  w.u64(Object.keys(keys).length);
  for (const [key, value] of Object.entries(keys)) writeKey(w, key.startsWith('.') ? arch + key : key, value);
  const padded = (n) => Math.ceil(n / 32) * 32;
  let offset = 0;
  for (const { tensor, size, type, data } of tensors) {
    w.string(tensor);
    w.u32(size.length);
    for (const n of size) w.u64(n);
    w.u32(TYPES[type][0]);
    w.u64(offset);
    offset += padded(data.length);
  }
  w.put(Buffer.alloc(padded(w.bytes) - w.bytes));
  for (const { data } of tensors) w.put(data, Buffer.alloc(padded(data.length) - data.length));
  return new Uint8Array(Buffer.concat(w.parts));
}

/** All names: each family in F32, and with quantised matrices; rare types in two families. */
export const NAMES = [
  ...Object.keys(FAMILIES).flatMap((name) => [name, `${name}.mix`]),
  ...['llama.iq', 'llama.few', 'exaone4.iq', 'exaone4.few', 'qwen3-scales.nv'],
];

/** An input of tests/fuzz/engine_fuzz.c: four knobs, and a model. One of three has layers that are paged; of
 * the others, mixtures have experts that are. */
function seedOf(name, i) {
  const changes = FAMILIES[name].keys?.['.rope.dimension_sections'] && {
    '.rope.dimension_sections': [2, 1, 1, 0], // heads have four pairs
  };
  const memory = i % 3 === 0 ? 222 : FAMILIES[name].mix ? 240 : 4;
  return Buffer.concat([Buffer.from([memory, 1, 2, 1]), modelOf(`${name}.seed`, changes)]);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , folder, ...names] = process.argv;
  if (names[0] === '--seeds')
    Object.keys(FAMILIES).forEach((name, i) => {
      const seed = seedOf(name, i);
      if (seed.length < 400_000) writeFileSync(`${folder}/${name}`, seed); // not the one with 27 layers
    });
  else
    for (const name of names.length > 0 ? names : NAMES)
      writeFileSync(`${folder}/${name}.gguf`, modelOf(name));
}
