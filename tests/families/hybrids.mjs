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
const kvOf = (layers, kv, isAttention) => Array.from({ length: layers }, (_, i) => (isAttention(i) ? kv : 0));
const third = (i) => i % 3 === 2;

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
      '.attention.head_count_kv': [0, 2, 2, 0],
      '.attention.sliding_window': 20,
      '.rope.freq_base': 300,
    },
  },
};
