// SPDX-License-Identifier: Apache-2.0
// rwkv.mjs: the shapes of RWKV 7 for models.mjs. llama.cpp's kernel wants heads of 64.
const N_VOCAB = 288;
const RANKS = { decay: 32, iclr: 64, mix: 32, gate: 96 };

/* Fields: layers; arwkv: RMS norms, and a feed-forward with a gate; gate, norm: an arwkv may lack them. */
const build =
  ({ layers, arwkv = false, gate = true, norm = true }) =>
  ({ embd, ff }) => {
    const n = embd === 64 ? 128 : embd;
    const tensors = [['token_embd.weight', [n, N_VOCAB], 'embedding', 1]];
    const add = (name, size, kind = 'norm', gain = 1) => tensors.push([`${name}.weight`, size, kind, gain]);
    const matrix = (name, cols, rows, gain = 1) => add(name, [cols, rows], 'matrix', gain);
    const normOf = (name, hasBias = !arwkv) => {
      add(name, [n]);
      if (hasBias) tensors.push([`${name}.bias`, [n], 'bias', 0.1]);
    };
    if (!arwkv) normOf('token_embd_norm');
    for (let i = 0; i < layers; i++) {
      const [p, t] = [`blk.${i}.`, `blk.${i}.time_mix_`];
      normOf(`${p}attn_norm`);
      add(`${t}lerp_fused`, [n, 1, 1, gate ? 6 : 5], 'lerp');
      for (const name of ['receptance', 'key', 'value']) matrix(t + name, n, n);
      add(`${t}w0`, [n], 'step');
      for (const name of ['a0', 'v0']) add(t + name, [n], 'bias', 0.5);
      for (const [name, rank] of [
        ['w', RANKS.decay],
        ['a', RANKS.iclr],
        ['v', i === 0 ? RANKS.iclr : RANKS.mix],
        ...(gate ? [['g', RANKS.gate]] : []),
      ]) {
        matrix(`${t}${name}1`, n, rank);
        matrix(`${t}${name}2`, rank, n, 1.5);
      }
      add(`${t}k_k`, [n], 'norm', 0.85);
      add(`${t}k_a`, [n]);
      add(`${t}r_k`, [n], 'bias', 0.2);
      if (norm) normOf(`${t}ln`, true);
      matrix(`${t}output`, n, n, 1.5);
      normOf(arwkv ? `${p}ffn_norm` : `${p}attn_norm_2`);
      if (arwkv) {
        matrix(`${p}ffn_gate`, n, ff, 1.5);
        matrix(`${p}ffn_up`, n, ff);
        matrix(`${p}ffn_down`, ff, n, 1.5);
      } else {
        add(`${p}channel_mix_lerp_k`, [n, 1, 1], 'lerp');
        matrix(`${p}channel_mix_key`, n, ff);
        matrix(`${p}channel_mix_value`, ff, n, 1.5);
      }
    }
    normOf('output_norm');
    matrix('output', n, N_VOCAB, 4);
    const keys = {
      '.embedding_length': n,
      '.attention.head_count': 0,
      '.attention.head_count_kv': undefined,
      '.rope.dimension_count': undefined,
      '.rope.freq_base': undefined,
      '.wkv.head_size': n === 32 ? 16 : 64,
      '.attention.decay_lora_rank': RANKS.decay,
      '.attention.iclr_lora_rank': RANKS.iclr,
      '.attention.value_residual_mix_lora_rank': RANKS.mix,
      '.attention.gate_lora_rank': gate ? RANKS.gate : undefined,
      '.token_shift_count': arwkv ? 1 : 2,
    };
    return { keys, tensors };
  };

export const RWKV = {
  rwkv7: { layers: 3, norm: 'layer', build: build({ layers: 3 }) },
  arwkv7: { layers: 2, build: build({ layers: 2, arwkv: true, gate: false, norm: false }) },
  'arwkv7-gate': { arch: 'arwkv7', layers: 3, build: build({ layers: 3, arwkv: true }) },
};
