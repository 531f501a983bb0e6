// SPDX-License-Identifier: Apache-2.0
// gemma3n.mjs: the shapes of Gemma 3n for models.mjs. llama.cpp has as constants: four streams, a rank of 64,
// 256 elements of a layer's embedding, ten sparse layers, 20 layers with keys and values of their own.
const N_VOCAB = 288;

/* Fields: layers, pattern (which layers have a window, or a period), fused, further keys. */
const build =
  ({ layers, pattern, fused, keys }) =>
  ({ embd, heads, kv }) => {
    const isSeed = embd === 32;
    const [dim, perLayer] = [embd / heads, isSeed ? 4 : 256];
    const ff = isSeed ? 32 : 2 * embd;
    const tensors = [['token_embd.weight', [embd, N_VOCAB], 'embedding', 4 / Math.sqrt(embd)]];
    const add = (name, size, kind = 'norm', gain = 1) => tensors.push([`${name}.weight`, size, kind, gain]);
    const matrix = (name, cols, rows, gain = 1) => add(name, [cols, rows], 'matrix', gain);
    // llama.cpp never quantises these.
    const small = (name, size, gain = 1) => add(name, size, 'half matrix', gain);
    small('altup_proj', [embd, embd, 3], 2);
    small('altup_unembd_proj', [embd, embd, 3], 0.7);
    add('per_layer_token_embd', [perLayer * layers, N_VOCAB], 'embedding', 1 / Math.sqrt(perLayer));
    small('per_layer_model_proj', [embd, perLayer * layers], 2);
    add('per_layer_proj_norm', [perLayer]);
    for (let i = 0; i < layers; i++) {
      const p = `blk.${i}.`;
      for (const name of ['attn_norm', 'ffn_norm']) add(p + name, [embd]);
      // Small enough that errors don't grow from layer to layer.
      for (const name of ['post_attention_norm', 'post_ffw_norm', 'laurel_post_norm', 'post_norm'])
        add(p + name, [embd], 'norm', 0.4);
      if (fused) matrix(`${p}attn_qkv`, embd, (heads + 2 * kv) * dim);
      else
        for (const [name, n] of [
          ['q', heads],
          ['k', kv],
          ['v', kv],
        ])
          matrix(`${p}attn_${name}`, embd, n * dim);
      for (const name of ['attn_q_norm', 'attn_k_norm']) add(p + name, [dim], 'norm', 0.8);
      matrix(`${p}attn_output`, heads * dim, embd);
      matrix(`${p}ffn_gate`, embd, ff, 1.5);
      matrix(`${p}ffn_up`, embd, ff);
      matrix(`${p}ffn_down`, ff, embd, 1.5);
      matrix(`${p}inp_gate`, embd, perLayer, 1.5);
      matrix(`${p}proj`, perLayer, embd);
      // The router's inputs are divided by n_embd.
      add(`${p}altup_router_norm`, [embd], 'norm', embd / 2);
      small(`${p}altup_router`, [embd, 4]);
      small(`${p}altup_predict_coef`, [4, 16], 0.15);
      small(`${p}altup_correct_coef`, [4, 4], 0.3);
      add(`${p}altup_correct_scale`, [embd], 'scale');
      small(`${p}laurel_l`, [embd, 64]);
      small(`${p}laurel_r`, [64, embd]);
    }
    add('output_norm', [embd], 'signed norm');
    return {
      tensors,
      keys: {
        '.feed_forward_length': ff,
        '.attention.key_length': dim,
        '.attention.value_length': dim,
        '.attention.sliding_window': 20,
        ...(pattern && { '.attention.sliding_window_pattern': pattern }),
        '.embedding_length_per_layer_input': perLayer,
        ...keys,
      },
    };
  };

export const GEMMA3N = {
  // As E2B: of the last layers, two with a window read one cache, and one reads that of all positions.
  gemma3n: {
    layers: 25,
    build: build({
      layers: 25,
      pattern: Array.from({ length: 25 }, (_, i) => i % 5 < 4),
      keys: {
        '.altup.active_idx': 0,
        '.altup.num_inputs': 4,
        '.attention.shared_kv_layers': 5,
        '.rope.freq_base': 1000000,
        '.rope.freq_base_swa': 20000,
      },
    }),
  },
  // No layer shares; the pattern is a period.
  'gemma3n-own': { arch: 'gemma3n', layers: 6, build: build({ layers: 6, pattern: 3, fused: true }) },
};
