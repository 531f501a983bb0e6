// SPDX-License-Identifier: Apache-2.0
// gemma4.mjs: the shapes of Gemma 4 for models.mjs. Head sizes, head counts and feed-forwards differ from
// layer to layer, layers share keys and values, and have embeddings of their own.
const list = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const N_VOCAB = 288;

/* Fields: local (a layer has a window), kv, ff (by layer), shared, ple, kIsV (layers without a window have no
 * attn_v), fused. */
const build =
  ({ local, kv, ff, shared = 0, ple = 0, kIsV, fused, partial, mix }) =>
  ({ embd, heads }) => {
    const layers = local.length;
    // The mixes need rows of whole blocks of 256 elements.
    const wide = embd / 64;
    const [dim, dimLocal, perLayer] = [32 * wide, 16 * wide, ple * wide];
    const tensors = [['token_embd.weight', [embd, N_VOCAB], 'embedding', 4 / Math.sqrt(embd)]];
    const add = (name, size, kind = 'norm', gain = 1) => tensors.push([`${name}.weight`, size, kind, gain]);
    const matrix = (name, cols, rows, gain = 1, n = 0) =>
      add(name, n > 0 ? [cols, rows, n] : [cols, rows], 'matrix', gain);
    add('rope_freqs', [dim / 2], 'still factors');
    if (ple > 0) {
      add('per_layer_token_embd', [perLayer * layers, N_VOCAB], 'embedding', 1 / Math.sqrt(perLayer));
      add('per_layer_model_proj', [embd, perLayer * layers], 'small matrix', 2);
      add('per_layer_proj_norm', [perLayer]);
    }
    local.forEach((isLocal, i) => {
      const p = `blk.${i}.`;
      const d = isLocal ? dimLocal : dim;
      const [nFf, nKv] = [ff[i] * wide, kv[i]];
      add(`${p}attn_norm`, [embd]);
      if (fused) matrix(`${p}attn_qkv`, embd, (heads + 2 * nKv) * d);
      else matrix(`${p}attn_q`, embd, heads * d);
      add(`${p}attn_q_norm`, [d], 'norm', 0.8);
      if (i < layers - shared) {
        if (!fused) matrix(`${p}attn_k`, embd, nKv * d);
        add(`${p}attn_k_norm`, [d], 'norm', 0.8);
        if (!fused && !(kIsV && !isLocal)) matrix(`${p}attn_v`, embd, nKv * d);
      }
      matrix(`${p}attn_output`, heads * d, embd);
      add(`${p}post_attention_norm`, [embd]);
      add(`${p}ffn_norm`, [embd]);
      matrix(`${p}ffn_gate`, embd, nFf, 1.5);
      matrix(`${p}ffn_up`, embd, nFf);
      matrix(`${p}ffn_down`, nFf, embd, 1.5);
      add(`${p}post_ffw_norm`, [embd]);
      if (mix) {
        const { n, ff: width } = mix;
        const nFfOne = width * (embd > 64 ? 8 : 1);
        add(`${p}ffn_gate_inp`, [embd, n], 'small matrix', 8);
        tensors.push([`${p}ffn_gate_inp.scale`, [embd], 'norm', Math.sqrt(embd)]);
        for (const name of ['pre_ffw_norm_2', 'post_ffw_norm_1', 'post_ffw_norm_2']) add(p + name, [embd]);
        if (i % 2) matrix(`${p}ffn_gate_up_exps`, embd, 2 * nFfOne, 1.3, n);
        else for (const name of ['gate', 'up']) matrix(`${p}ffn_${name}_exps`, embd, nFfOne, 1.3, n);
        matrix(`${p}ffn_down_exps`, nFfOne, embd, 1.5, n);
        tensors.push([`${p}ffn_down_exps.scale`, [n], 'scale', 1]);
      }
      if (ple > 0) {
        matrix(`${p}inp_gate`, embd, perLayer, 1.5);
        matrix(`${p}proj`, perLayer, embd);
        add(`${p}post_norm`, [embd]);
      }
      add(`${p}layer_output_scale`, [1], 'scale');
    });
    add('output_norm', [embd], 'signed norm');
    const keys = {
      '.feed_forward_length': ff.map((n) => n * wide),
      '.attention.head_count_kv': kv,
      '.attention.key_length': dim,
      '.attention.value_length': dim,
      '.attention.key_length_swa': dimLocal,
      '.attention.value_length_swa': dimLocal,
      '.rope.dimension_count': partial ? dim / 2 : dim,
      '.rope.dimension_count_swa': partial ? dimLocal / 2 : dimLocal,
      '.rope.freq_base': 1000000,
      '.rope.freq_base_swa': 20000,
      '.attention.sliding_window': 20,
      '.attention.sliding_window_pattern': local,
      '.embedding_length_per_layer_input': perLayer,
      ...(shared > 0 && { '.attention.shared_kv_layers': shared }),
      ...(mix && {
        '.expert_count': mix.n,
        '.expert_used_count': mix.used,
        '.expert_feed_forward_length': mix.ff * (embd > 64 ? 8 : 1),
      }),
      ...(ple > 0 && { '.final_logit_softcapping': 6 }),
    };
    return { keys, tensors };
  };

export const GEMMA4 = {
  // E2B: the second half reads the keys and values of the first.
  gemma4: {
    layers: 6,
    build: build({
      local: [true, true, false, true, true, false],
      kv: list(6, () => 1),
      ff: [64, 64, 64, 128, 128, 128],
      shared: 3,
      ple: 32,
    }),
  },
  // 12B and 31B: fewer heads of keys where there is no window, and these are values too.
  'gemma4-dense': {
    arch: 'gemma4',
    layers: 3,
    build: build({ local: [true, true, false], kv: [2, 2, 1], ff: [96, 96, 64], kIsV: true, partial: true }),
  },
  // 26B: a mixture beside each feed-forward.
  'gemma4-moe': {
    arch: 'gemma4',
    layers: 3,
    build: build({
      local: [true, true, false],
      kv: [2, 2, 1],
      ff: [64, 64, 64],
      kIsV: true,
      mix: { n: 6, used: 2, ff: 32 },
    }),
  },
};
