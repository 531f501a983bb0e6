// SPDX-License-Identifier: Apache-2.0
// encoders.mjs: small models of random weights for embeddings, one of each family and shape below, as
// models.mjs makes those that continue texts. `node tests/families/encoders.mjs DIRECTORY [NAME ...]` writes
// them for llama.cpp (tools/make_embedding_goldens.py), `... DIRECTORY --seeds` a seed of each encoder for
// tools/fuzz.py.
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { FAMILIES, modelOf, shapeOf } from './models.mjs';

const list = (n, f) => Array.from({ length: n }, (_, i) => f(i)).flat();
const MEAN = 1;
const CLS = 2;
const LAST = 3;
const RANK = 4;

/** A product with or without a bias. */
const linear = (name, cols, rows, gain, hasBias) => [
  [`${name}.weight`, [cols, rows], 'matrix', gain],
  ...(hasBias ? [[`${name}.bias`, [rows], 'bias', 0.1]] : []),
];
const norm = (name, n, hasBias, gain = 1) => [
  [`${name}.weight`, [n], 'norm', gain],
  ...(hasBias ? [[`${name}.bias`, [n], 'bias', 0.1]] : []),
];
const embeddings = ({ embd }) => [['token_embd.weight', [embd, 288], 'embedding', 1]];

const qkv = (p, { embd, heads, kv, dim }, hasBias, isFused) =>
  isFused
    ? linear(`${p}attn_qkv`, embd, (heads + 2 * kv) * dim, 1.6, hasBias)
    : [
        ...linear(`${p}attn_q`, embd, heads * dim, 2.5, hasBias),
        ...linear(`${p}attn_k`, embd, kv * dim, 1, hasBias),
        ...linear(`${p}attn_v`, embd, kv * dim, 1, hasBias),
      ];

const feedForward = (p, { embd, ff }, gate, bias) => [
  ...(gate === true ? linear(`${p}ffn_gate`, embd, ff, 1.5, false) : []),
  ...linear(`${p}ffn_up`, embd, gate === 'fused' ? 2 * ff : ff, 1.3, bias && gate !== true),
  ...linear(`${p}ffn_down`, ff, embd, 1.5, bias),
];

/** Experts without gates. */
const plainExperts = (p, { embd, ff }, n) => [
  [`${p}ffn_gate_inp.weight`, [embd, n], 'router', 3],
  [`${p}ffn_up_exps.weight`, [embd, ff, n], 'matrix', 1.3],
  [`${p}ffn_down_exps.weight`, [ff, embd, n], 'matrix', 2],
];

/** BERT and its kin. gate: true, false, or 'fused'; norms: jina-bert-v2's; fused: attn_qkv; mix: the number
 * of experts of every `every`-th layer. */
function bert(shape, { gate, norms, fused, bias = true, arch, mix, every }) {
  const { embd, ff, heads, dim, layers } = shape;
  return [
    ...embeddings(shape),
    ['token_types.weight', [embd, 2], 'bias', 0.5],
    ...(arch === 'bert' ? [['position_embd.weight', [embd, 256], 'bias', 0.5]] : []),
    ...norm('token_embd_norm', embd, true),
    ...list(layers, (i) => {
      const p = `blk.${i}.`;
      return [
        ...qkv(p, shape, bias, fused),
        ...(norms
          ? [...norm(`${p}attn_q_norm`, heads * dim, true), ...norm(`${p}attn_k_norm`, embd, true)]
          : []),
        ...linear(`${p}attn_output`, heads * dim, embd, 1, bias),
        ...norm(`${p}attn_output_norm`, embd, true),
        ...(norms ? norm(`${p}attn_norm_2`, embd, true) : []),
        ...(i % every === 1 ? plainExperts(p, shape, mix) : feedForward(p, shape, gate, bias)),
        ...norm(`${p}layer_output_norm`, embd, true),
      ];
    }),
  ];
}

function modernBert(shape) {
  const { embd, ff, heads, dim, layers } = shape;
  return [
    ...embeddings(shape),
    ...norm('token_embd_norm', embd, false),
    ...list(layers, (i) => {
      const p = `blk.${i}.`;
      return [
        ...(i ? norm(`${p}attn_norm`, embd, false) : []),
        ...qkv(p, shape, false, true),
        ...linear(`${p}attn_output`, heads * dim, embd, 1, false),
        ...norm(`${p}ffn_norm`, embd, false),
        ...linear(`${p}ffn_up`, embd, 2 * ff, 1.3, false),
        ...linear(`${p}ffn_down`, ff, embd, 1.5, false),
      ];
    }),
    ...norm('output_norm', embd, false),
  ];
}

function gemma(shape) {
  const { embd, ff, heads, dim, layers } = shape;
  return [
    ['token_embd.weight', [embd, 288], 'embedding', 0.1],
    ...list(layers, (i) => {
      const p = `blk.${i}.`;
      return [
        ...norm(`${p}attn_norm`, embd, false),
        ...qkv(p, shape, false, false),
        ...norm(`${p}attn_q_norm`, dim, false, 1.6),
        ...norm(`${p}attn_k_norm`, dim, false, 1.6),
        ...linear(`${p}attn_output`, heads * dim, embd, 1, false),
        ...norm(`${p}post_attention_norm`, embd, false),
        ...norm(`${p}ffn_norm`, embd, false),
        ...linear(`${p}ffn_gate`, embd, ff, 1.5, false),
        ...linear(`${p}ffn_up`, embd, ff, 1, false),
        ...linear(`${p}ffn_down`, ff, embd, 1.5, false),
        ...norm(`${p}post_ffw_norm`, embd, false),
      ];
    }),
    ...norm('output_norm', embd, false),
    ...linear('dense_2', embd, 2 * embd, 1, false),
    ...linear('dense_3', 2 * embd, embd, 1, false),
  ];
}

function t5(shape, { gate }) {
  const { embd, ff, heads, dim, layers } = shape;
  return [
    ...embeddings(shape),
    ...list(layers, (i) => {
      const p = `enc.blk.${i}.`;
      return [
        ...norm(`${p}attn_norm`, embd, false),
        ...linear(`${p}attn_q`, embd, heads * dim, 0.5, false),
        ...linear(`${p}attn_k`, embd, heads * dim, 0.5, false),
        ...linear(`${p}attn_v`, embd, heads * dim, 1, false),
        ...(i ? [] : [[`${p}attn_rel_b.weight`, [heads, 32], 'bias', 1.5]]),
        ...linear(`${p}attn_o`, heads * dim, embd, 1, false),
        ...norm(`${p}ffn_norm`, embd, false),
        ...(gate ? linear(`${p}ffn_gate`, embd, ff, 1.5, false) : []),
        ...linear(`${p}ffn_up`, embd, ff, 1, false),
        ...linear(`${p}ffn_down`, ff, embd, 1.5, false),
      ];
    }),
    ...norm('enc.output_norm', embd, false),
  ];
}

const classifier = ({ embd }, labels, hasNorm) => [
  ...linear('cls', embd, embd, 1, !hasNorm),
  ...(hasNorm ? norm('cls.norm', embd, false) : []),
  ...linear('cls.output', embd, labels, 1, true),
];
const TYPES = { 'tokenizer.ggml.token_type_count': 2, '.attention.causal': false };
const LABELS = { '.classifier.output_labels': ['no', 'maybe', 'yes'] };

/* pooling: the pooling of the file, and of the golden. decoder: the family of models.mjs. */
export const ENCODERS = {
  bert: { build: bert, pooling: MEAN, keys: TYPES },
  'bert-cls': { arch: 'bert', build: bert, pooling: CLS, keys: TYPES, fused: true },
  'bert-rank': {
    arch: 'bert',
    build: (shape, f) => [...bert(shape, f), ...classifier(shape, 3, false)],
    pooling: RANK,
    keys: { ...TYPES, ...LABELS },
  },
  'nomic-bert': { build: bert, pooling: MEAN, gate: true, bias: false, fused: true, keys: TYPES },
  'nomic-bert-moe': {
    build: bert,
    pooling: MEAN,
    layers: 4,
    mix: 6,
    every: 2,
    keys: { ...TYPES, '.moe_every_n_layers': 2, '.expert_count': 6, '.expert_used_count': 2 },
  },
  // Each third layer has a mixture, one expert a token.
  'nomic-bert-moe-fused': {
    arch: 'nomic-bert-moe',
    build: bert,
    pooling: CLS,
    layers: 5,
    bias: false,
    fused: true,
    mix: 4,
    every: 3,
    keys: { ...TYPES, '.moe_every_n_layers': 3, '.expert_count': 4, '.expert_used_count': 1 },
  },
  'jina-bert-v2': { build: bert, pooling: MEAN, gate: 'fused', keys: TYPES },
  'jina-bert-v2-code': {
    arch: 'jina-bert-v2',
    build: bert,
    pooling: LAST,
    gate: true,
    norms: true,
    heads: 6,
    keys: TYPES,
  },
  'jina-bert-v3': {
    build: bert,
    pooling: MEAN,
    fused: true,
    keys: { ...TYPES, '.rope.freq_base': 20000 },
  },
  'modern-bert': {
    build: modernBert,
    pooling: CLS,
    layers: 5,
    keys: {
      '.attention.causal': false,
      '.attention.sliding_window': 17,
      '.rope.freq_base': 160000,
      '.rope.freq_base_swa': 5000,
    },
  },
  'modern-bert-rank': {
    arch: 'modern-bert',
    build: (shape) => [...modernBert(shape), ...classifier(shape, 1, true)],
    pooling: RANK,
    layers: 4,
    keys: { '.attention.causal': false, '.attention.sliding_window': 32, '.hidden_activation': 'silu' },
  },
  'gemma-embedding': {
    build: gemma,
    pooling: MEAN,
    layers: 7,
    kv: 1,
    norm: 'rms',
    keys: {
      '.attention.causal': false,
      '.attention.sliding_window': 22,
      '.rope.freq_base': 1e6,
      '.dense_2_feat_in': (shape) => shape.embd,
      '.dense_2_feat_out': (shape) => 2 * shape.embd,
      '.dense_3_feat_in': (shape) => 2 * shape.embd,
      '.dense_3_feat_out': (shape) => shape.embd,
    },
  },
  t5encoder: {
    build: t5,
    pooling: MEAN,
    norm: 'rms',
    keys: { '.attention.relative_buckets_count': 32 },
  },
  'flan-t5encoder': {
    arch: 't5encoder',
    build: t5,
    pooling: MEAN,
    norm: 'rms',
    gate: true,
    keys: { '.attention.relative_buckets_count': 32, '.attention.causal': false },
  },
  'qwen3-embedding': { decoder: 'qwen3vl', arch: 'qwen3', pooling: LAST },
  'gemma2-embedding': { decoder: 'gemma2', pooling: MEAN },
};

/** The bytes of a model: NAME, NAME.mix with quantised matrices, or NAME.seed. `changes` takes the place of
 * metadata. */
export function encoderOf(name, changes = {}) {
  const [stem, suffix] = name.split('.');
  const isMixed = suffix === 'mix';
  const f = ENCODERS[stem];
  if (f.decoder !== undefined) {
    const arch = f.arch && { 'general.architecture': f.arch };
    return modelOf(isMixed ? `${f.decoder}.mix` : f.decoder, { ...arch, '.pooling_type': f.pooling });
  }
  const arch = f.arch ?? stem;
  const shape = { ...shapeOf({ layers: 3, kv: f.heads ?? 4, ...f }, suffix) };
  if (f.heads !== undefined && suffix === undefined)
    Object.assign(shape, { heads: f.heads, kv: f.heads, embd: 96, dim: 16 });
  if (f.heads !== undefined && suffix !== undefined) Object.assign(shape, { kv: 4 });
  const keys = {
    'general.architecture': arch,
    '.embedding_length': shape.embd,
    '.block_count': shape.layers,
    '.attention.head_count': shape.heads,
    '.attention.head_count_kv': shape.kv,
    '.attention.key_length': shape.dim,
    '.attention.value_length': shape.dim,
    '.rope.dimension_count': undefined,
    '.attention.layer_norm_rms_epsilon': f.norm === 'rms' ? 1e-6 : undefined,
    '.attention.layer_norm_epsilon': f.norm === 'rms' ? undefined : 1e-6,
    '.pooling_type': f.pooling,
    ...f.keys,
    ...changes,
  };
  for (const [key, value] of Object.entries(keys)) if (typeof value === 'function') keys[key] = value(shape);
  return modelOf(name, keys, f.build(shape, { ...f, arch }));
}

export const ENCODER_NAMES = Object.keys(ENCODERS).flatMap((name) => [name, `${name}.mix`]);
export const isDecoder = (name) => ENCODERS[name.split('.')[0]].decoder in FAMILIES;

/** An input of tests/fuzz/engine_fuzz.c: four knobs, and a model. */
const seedOf = (name) => Buffer.concat([Buffer.from([4, 1, 2, 1]), encoderOf(`${name}.seed`)]);

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [, , folder, ...names] = process.argv;
  if (names[0] === '--seeds')
    for (const name of Object.keys(ENCODERS).filter((one) => !isDecoder(one)))
      writeFileSync(`${folder}/${name}`, seedOf(name));
  else
    for (const name of names.length > 0 ? names : ENCODER_NAMES)
      writeFileSync(`${folder}/${name}.gguf`, encoderOf(name));
}
