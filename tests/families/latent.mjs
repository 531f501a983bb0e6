// SPDX-License-Identifier: Apache-2.0
// latent.mjs: the families with multi-head latent attention, for models.mjs.

/** Attention of a layer. `rank` of keys and values is 256 with quantised matrices, so that some are K types.
 * absorbed: attn_k_b and attn_v_b in the place of attn_kv_b. */
const latent =
  ({ nope, rot, value, rank, queries, absorbed = false }) =>
  (_, { embd, heads }) => {
    const wide = embd === 256 ? 256 : rank;
    const n = heads * (nope + rot);
    return [
      ...(queries
        ? [
            ['attn_q_a.weight', [embd, queries], 'matrix', 1],
            ['attn_q_a_norm.weight', [queries], 'norm', 1],
            ['attn_q_b.weight', [queries, n], 'matrix', 1.4],
          ]
        : [['attn_q.weight', [embd, n], 'matrix', 2]]),
      ['attn_kv_a_mqa.weight', [embd, wide + rot], 'matrix', 1.2],
      ['attn_kv_a_norm.weight', [wide], 'norm', 1],
      ...(absorbed
        ? [
            // The rows are columns of the other form: their squares add up to what its rows have.
            ['attn_k_b.weight', [nope, wide, heads], 'matrix', Math.sqrt(nope / wide)],
            ['attn_v_b.weight', [wide, value, heads], 'matrix', 1],
          ]
        : [['attn_kv_b.weight', [wide, heads * (nope + value)], 'matrix', 1]]),
      ['attn_output.weight', [heads * value, embd], 'matrix', 1.5],
    ];
  };

/** Metadata of the form with keys of each head, and of the absorbed one. */
const headKeys = ({ nope, rot, value, rank, queries }) => ({
  ...(queries && { '.attention.q_lora_rank': queries }),
  '.attention.kv_lora_rank': rank,
  '.attention.key_length': nope + rot,
  '.attention.value_length': value,
  '.rope.dimension_count': rot,
});
const absorbedKeys = (sizes) => ({
  ...headKeys(sizes),
  '.attention.key_length': sizes.rank + sizes.rot,
  '.attention.value_length': sizes.rank,
  '.attention.key_length_mla': sizes.nope + sizes.rot,
  '.attention.value_length_mla': sizes.value,
});
const absorbed = (sizes) => ({
  kv: 1,
  mixer: latent({ ...sizes, absorbed: true }),
  keys: absorbedKeys(sizes),
  mixKeys: {
    '.attention.kv_lora_rank': 256,
    '.attention.key_length': 256 + sizes.rot,
    '.attention.value_length': 256,
  },
});
const expanded = (sizes) => ({
  kv: 4,
  mixer: latent(sizes),
  keys: headKeys(sizes),
  mixKeys: { '.attention.kv_lora_rank': 256 },
});

const V3 = absorbed({ nope: 32, rot: 12, value: 24, rank: 48, queries: 32 });
const OLD = expanded({ nope: 20, rot: 8, value: 40, rank: 32, queries: 64 });
const LITE = absorbed({ nope: 32, rot: 8, value: 16, rank: 32 });
const MINICPM3 = expanded({ nope: 24, rot: 16, value: 16, rank: 64, queries: 32 });

export const LATENT = {
  deepseek: {
    kv: 4,
    mix: { n: 6, used: 2, ff: 32, dense: 1, shares: 2 },
    keys: { '.expert_shared_count': 2, '.expert_weights_scale': 1.25 },
  },
  // The shape of V3: experts in groups, chosen by biased sigmoids; YaRN.
  deepseek2: {
    ...V3,
    layers: 4,
    mix: { n: 8, used: 3, ff: 32, bias: true, dense: 1, shares: 1 },
    keys: {
      ...V3.keys,
      '.expert_shared_count': 1,
      '.expert_gating_func': 2,
      '.expert_weights_norm': true,
      '.expert_weights_scale': 2.5,
      '.expert_group_count': 4,
      '.expert_group_used_count': 2,
      '.rope.scaling.type': 'yarn',
      '.rope.scaling.factor': 40,
      '.rope.scaling.original_context_length': 32,
      '.rope.scaling.yarn_log_multiplier': 0.0707,
    },
  },
  // Files of before attn_k_b; YaRN's magnitude is in cosine and sine too.
  'deepseek2-old': {
    ...OLD,
    arch: 'deepseek2',
    mix: { n: 6, used: 2, ff: 32, dense: 1, shares: 2 },
    keys: {
      ...OLD.keys,
      '.expert_shared_count': 2,
      '.expert_weights_scale': 1.5,
      '.rope.scaling.type': 'yarn',
      '.rope.scaling.factor': 4.5,
      '.rope.scaling.original_context_length': 48,
      '.rope.scaling.attn_factor': 1.1,
    },
  },
  // V2 Lite has no q_lora_rank, which llama.cpp tells by its 27 layers.
  'deepseek2-lite': {
    ...LITE,
    arch: 'deepseek2',
    layers: 27,
    mix: { n: 4, used: 2, ff: 32, dense: 25, shares: 2 },
    keys: {
      ...LITE.keys,
      '.expert_shared_count': 2,
      '.attention.temperature_scale': 0.4,
      '.attention.temperature_length': 16,
    },
  },
  minicpm3: {
    ...MINICPM3,
    tied: true,
    keys: {
      ...MINICPM3.keys,
      '.rope.scaling.type': 'longrope',
      '.rope.scaling.attn_factor': 1.19,
      '.rope.scaling.original_context_length': 64,
    },
    extra: [
      ['rope_factors_long.weight', [8], 'factors'],
      ['rope_factors_short.weight', [8], 'factors'],
    ],
  },
};
