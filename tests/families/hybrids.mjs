// SPDX-License-Identifier: Apache-2.0
// hybrids.mjs: the families some of whose layers are recurrent, for models.mjs.

/** A gated short convolution in the place of attention. */
const shortConv =
  (kernel, isAttention) =>
  (i, { embd }) =>
    isAttention(i)
      ? undefined
      : [
          ['shortconv.conv.weight', [kernel, embd], 'table', 1],
          ['shortconv.in_proj.weight', [embd, 3 * embd], 'matrix', 1.3],
          ['shortconv.out_proj.weight', [embd, embd], 'matrix', 1],
        ];

/** Qwen 3.5: gated delta nets, and attention whose matrix of queries has gates, `nextn` blocks last. */
const deltaNet =
  ({ kernel, dim, keys, values, isAttention, last = Infinity }) =>
  (i, { embd, heads, kv, dim: head }) => {
    const wide = (2 * keys + values) * dim;
    if (!isAttention(i) && i < last)
      return [
        ['attn_qkv.weight', [embd, wide], 'matrix', 1.3],
        ['attn_gate.weight', [embd, values * dim], 'matrix', 1.3],
        ['ssm_conv1d.weight', [kernel, wide], 'table', 1.4],
        ['ssm_dt.bias', [values], 'step', 1],
        ['ssm_a', [values], 'decay', 1],
        ['ssm_beta.weight', [embd, values], 'matrix', 1],
        ['ssm_alpha.weight', [embd, values], 'matrix', 1],
        ['ssm_norm.weight', [dim], 'norm', 1],
        ['ssm_out.weight', [values * dim, embd], 'matrix', 2],
      ];
    const attention = [
      ['attn_q.weight', [embd, 2 * heads * head], 'matrix', 1.5],
      ['attn_k.weight', [embd, kv * head], 'matrix', 1],
      ['attn_v.weight', [embd, kv * head], 'matrix', 1],
      ['attn_q_norm.weight', [head], 'norm', 1.6],
      ['attn_k_norm.weight', [head], 'norm', 1.6],
      ['attn_output.weight', [heads * head, embd], 'matrix', 2],
    ];
    if (i < last) return attention;
    return [
      ...attention,
      ['nextn.eh_proj.weight', [2 * embd, embd], 'matrix', 1],
      ['nextn.enorm.weight', [embd], 'norm', 1],
      ['nextn.hnorm.weight', [embd], 'norm', 1],
    ];
  };

/** Mamba 2. `hasNorm`: the grouped norm, which Falcon H1 mostly lacks. */
const mamba2 = ({ kernel, inner, state, heads, groups, hasNorm = true }, embd) => {
  const wide = inner + 2 * groups * state;
  return [
    ['ssm_in.weight', [embd, inner + wide + heads], 'matrix', 1.2],
    ['ssm_conv1d.weight', [kernel, wide], 'table', 1.3],
    ['ssm_conv1d.bias', [wide], 'bias', 0.1],
    ['ssm_dt.bias', [heads], 'step', 1],
    ['ssm_a', [1, heads], 'decay', 1],
    ['ssm_d', [1, heads], 'norm', 1],
    ...(hasNorm ? [['ssm_norm.weight', [inner / groups, groups], 'norm', 1]] : []),
    ['ssm_out.weight', [inner, embd], 'matrix', 1.5],
  ];
};
const ssmKeys = (kernel, inner, state, rank, group) => ({
  '.ssm.conv_kernel': kernel,
  '.ssm.inner_size': inner,
  '.ssm.state_size': state,
  '.ssm.time_step_rank': rank,
  '.ssm.group_count': group,
});
const kvOf = (layers, kv, isAttention) => Array.from({ length: layers }, (_, i) => (isAttention(i) ? kv : 0));
const third = (i) => i % 3 === 2;

/** PLaMo 2: Mamba 2 whose B, C and dt are normed, or attention; norms behind both halves of a layer. */
const plamo2 =
  ({ kernel, inner, state, heads: n, isAttention }) =>
  (i, { embd, heads, kv, dim }) =>
    isAttention(i)
      ? [
          ['attn_qkv.weight', [embd, (heads + 2 * kv) * dim], 'matrix', 1.6],
          ['attn_q_norm.weight', [dim, heads], 'norm', 1.6],
          ['attn_k_norm.weight', [dim, kv], 'norm', 1.6],
          ['attn_output.weight', [heads * dim, embd], 'matrix', 1],
        ]
      : [
          ['ssm_in.weight', [embd, 2 * inner], 'matrix', 1.2],
          ['ssm_conv1d.weight', [kernel, inner], 'table', 1.3],
          ['ssm_x.weight', [inner, 64 + 2 * state], 'matrix', 1],
          ['ssm_dt.weight', [64, n], 'matrix', 1],
          ['ssm_dt.bias', [n], 'step', 1],
          ['ssm_a', [n], 'decay', 1],
          ['ssm_d', [n], 'norm', 1],
          ['ssm_dt_norm', [64], 'norm', 1],
          ['ssm_b_norm', [state], 'norm', 1],
          ['ssm_c_norm', [state], 'norm', 1],
          ['ssm_out.weight', [inner, embd], 'matrix', 1.5],
        ];

export const HYBRIDS = {
  lfm2: {
    layers: 6,
    tied: true,
    qk: 'head',
    outNorm: 'token_embd_norm',
    mixer: shortConv(3, third),
    keys: { '.shortconv.l_cache': 3, '.attention.head_count_kv': kvOf(6, 2, third) },
  },
  // LFM3's kind: attention layers with a window.
  'lfm2-window': {
    arch: 'lfm2',
    layers: 4,
    qk: 'head',
    outNorm: 'token_embd_norm',
    mixer: shortConv(5, (i) => i === 1 || i === 2),
    keys: {
      '.shortconv.l_cache': 5,
      '.attention.head_count_kv': [0, 2, 1, 0],
      '.attention.sliding_window': 20,
      '.rope.freq_base': 300,
    },
  },
  lfm2moe: {
    layers: 6,
    tied: true,
    qk: 'head',
    outNorm: 'token_embd_norm',
    mixer: shortConv(3, third),
    mix: { n: 8, used: 3, ff: 32, bias: true, dense: 2 },
    keys: {
      '.shortconv.l_cache': 3,
      '.attention.head_count_kv': kvOf(6, 2, third),
      '.expert_gating_func': 2,
      '.rope.freq_base': 1000,
    },
  },
  // A mixture in every layer, by a softmax; the key of windows isn't read.
  'lfm2moe-all': {
    arch: 'lfm2moe',
    layers: 3,
    kv: 4,
    qk: 'head',
    outNorm: 'token_embd_norm',
    mixer: shortConv(4, (i) => i === 1),
    mix: { n: 5, used: 2, ff: 48, bias: true },
    keys: {
      '.feed_forward_length': undefined,
      '.shortconv.l_cache': 4,
      '.attention.head_count_kv': [0, 4, 0],
      '.attention.sliding_window': 20,
      '.expert_gating_func': 1,
    },
  },
  qwen35: {
    layers: 6,
    tied: true,
    ffnNorm: 'post_attention_norm',
    mixer: deltaNet({ kernel: 4, dim: 32, keys: 4, values: 8, isAttention: (i) => i === 3, last: 5 }),
    keys: {
      ...ssmKeys(4, 256, 32, 8, 4),
      '.nextn_predict_layers': 1,
      '.rope.dimension_count': 8,
      '.rope.dimension_sections': [2, 1, 1, 0],
      '.rope.freq_base': 1000,
      '.attention.layer_norm_rms_epsilon': 1e-6,
    },
  },
  'qwen35-array': {
    arch: 'qwen35',
    layers: 4,
    kv: 1,
    ffnNorm: 'post_attention_norm',
    mixer: deltaNet({ kernel: 3, dim: 16, keys: 16, values: 16, isAttention: (i) => i === 0 }),
    keys: {
      ...ssmKeys(3, 256, 16, 16, 16),
      '.attention.recurrent_layers': [0, 1, 1, 1],
      '.rope.dimension_count': 12,
      '.rope.dimension_sections': [2, 2, 2, 0],
    },
    seedKeys: { '.rope.dimension_count': 8 },
  },
  qwen35moe: {
    layers: 5,
    ffnNorm: 'post_attention_norm',
    mixer: deltaNet({ kernel: 4, dim: 16, keys: 4, values: 8, isAttention: (i) => i === 3, last: 4 }),
    mix: { n: 8, used: 3, ff: 32, shared: 64, gated: true },
    keys: {
      ...ssmKeys(4, 128, 16, 8, 4),
      '.nextn_predict_layers': 1,
      '.rope.dimension_count': 8,
      '.rope.dimension_sections': [2, 1, 1, 0],
      '.attention.layer_norm_rms_epsilon': 1e-6,
    },
  },
  'qwen35moe-scales': {
    arch: 'qwen35moe',
    layers: 2,
    ffnNorm: 'post_attention_norm',
    mixer: deltaNet({ kernel: 4, dim: 16, keys: 4, values: 4, isAttention: (i) => i === 1 }),
    mix: { n: 6, used: 2, ff: 32, shared: 32, gated: true },
    scales: true,
    keys: {
      ...ssmKeys(4, 64, 16, 4, 4),
      '.full_attention_interval': 2,
      '.rope.dimension_count': 8,
      '.rope.dimension_sections': [2, 1, 1, 0],
    },
  },
  // Gate and up are one stack; no plain feed-forward's size.
  'qwen35moe-fused': {
    arch: 'qwen35moe',
    layers: 2,
    kv: 1,
    tied: true,
    ffnNorm: 'post_attention_norm',
    mixer: deltaNet({ kernel: 3, dim: 32, keys: 8, values: 8, isAttention: (i) => i === 1 }),
    mix: { n: 4, used: 2, ff: 48, shared: 32, gated: true, fused: true },
    keys: {
      ...ssmKeys(3, 256, 32, 8, 8),
      '.feed_forward_length': undefined,
      '.full_attention_interval': 2,
      '.rope.dimension_count': 8,
      '.rope.dimension_sections': [1, 2, 1, 0],
    },
  },
  mamba2: {
    layers: 3,
    tied: true,
    ffnNorm: undefined,
    ffn: false,
    mixer: (i, { embd }) => mamba2({ kernel: 4, inner: 256, state: 16, heads: 8, groups: 2 }, embd),
    keys: {
      ...ssmKeys(4, 256, 16, 8, 2),
      '.attention.head_count': 0,
      '.attention.head_count_kv': 0,
      '.feed_forward_length': 0,
    },
  },
  granitehybrid: {
    layers: 4,
    tied: true,
    mixer: (i, { embd }) =>
      i === 2 ? undefined : mamba2({ kernel: 4, inner: 2 * embd, state: 32, heads: 4, groups: 1 }, embd),
    keys: {
      ...ssmKeys(4, 128, 32, 4, 1),
      '.attention.head_count_kv': [0, 0, 2, 0],
      '.rope.scaling.finetuned': false,
      '.embedding_scale': 0.5,
      '.residual_scale': 0.8,
      '.logit_scale': 4,
      '.attention.scale': 0.25,
    },
    mixKeys: { '.ssm.inner_size': 512 },
    seedKeys: { '.ssm.inner_size': 64 },
  },
  'granitehybrid-rope': {
    arch: 'granitehybrid',
    layers: 3,
    mixer: (i, { embd }) =>
      i === 1 ? undefined : mamba2({ kernel: 3, inner: 2 * embd, state: 8, heads: 8, groups: 4 }, embd),
    keys: { ...ssmKeys(3, 128, 8, 8, 4), '.attention.head_count_kv': [0, 2, 0] },
    mixKeys: { '.ssm.inner_size': 512 },
    seedKeys: { '.ssm.inner_size': 64 },
  },
  'granitehybrid-moe': {
    arch: 'granitehybrid',
    layers: 4,
    tied: true,
    mixer: (i, { embd }) =>
      i % 2 ? undefined : mamba2({ kernel: 4, inner: 2 * embd, state: 16, heads: 4, groups: 1 }, embd),
    mix: { n: 6, used: 2, shared: 32 },
    keys: {
      ...ssmKeys(4, 128, 16, 4, 1),
      '.attention.head_count_kv': [0, 1, 0, 4],
      '.rope.scaling.finetuned': false,
      '.embedding_scale': 0.5,
      '.residual_scale': 0.8,
      '.logit_scale': 4,
    },
    mixKeys: { '.ssm.inner_size': 512 },
    seedKeys: { '.ssm.inner_size': 64 },
  },
  plamo2: {
    layers: 4,
    tied: true,
    gate: 'fused',
    mixer: plamo2({ kernel: 4, inner: 256, state: 16, heads: 8, isAttention: (i) => i % 2 === 1 }),
    both: (i, { embd }) => [
      ['post_attention_norm', [embd], 'norm', 1],
      ['post_ffw_norm', [embd], 'norm', 1],
    ],
    keys: { ...ssmKeys(4, 256, 16, 8, 0), '.attention.head_count_kv': [0, 4, 0, 2] },
  },
  'falcon-h1': {
    layers: 3,
    tied: true,
    ffnNorm: undefined,
    both: (i, { embd }) => [
      ...mamba2({ kernel: 4, inner: 256, state: 32, heads: 4, groups: 1, hasNorm: i === 1 }, embd),
      ['ffn_norm', [embd], 'norm', 1],
    ],
    keys: { ...ssmKeys(4, 256, 32, 4, 1), '.rope.freq_base': 100000000000 },
  },
};
