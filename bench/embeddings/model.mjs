// SPDX-License-Identifier: Apache-2.0
// model.mjs: an encoder of all-MiniLM-L6-v2's shape with random weights in Q8_0, and texts of ids for it. The
// vocabulary is small: a lookup costs nothing, however long the table is.
import { modelOf } from '../../tests/families/models.mjs';

const list = (n, f) => Array.from({ length: n }, (_, i) => f(i)).flat();
const [EMBD, FF, LAYERS, HEADS] = [384, 1536, 6, 12];

const linear = (name, cols, rows) => [
  [`${name}.weight`, [cols, rows], 'matrix', 1],
  [`${name}.bias`, [rows], 'bias', 0.1],
];
const norm = (name) => [
  [`${name}.weight`, [EMBD], 'norm', 1],
  [`${name}.bias`, [EMBD], 'bias', 0.1],
];

/** The model's bytes, a GGUF file. */
export const miniLm = () =>
  modelOf(
    'llama.seed', // the type of its matrices is Q8_0
    {
      'general.architecture': 'bert',
      '.context_length': 512,
      '.embedding_length': EMBD,
      '.block_count': LAYERS,
      '.feed_forward_length': FF,
      '.attention.head_count': HEADS,
      '.attention.head_count_kv': HEADS,
      '.attention.causal': false,
      '.attention.layer_norm_epsilon': 1e-12,
      '.pooling_type': 1,
      '.rope.dimension_count': undefined,
      '.rope.freq_base': undefined,
      '.attention.layer_norm_rms_epsilon': undefined,
      'tokenizer.ggml.token_type_count': 2,
    },
    [
      ['token_embd.weight', [EMBD, 288], 'embedding', 1],
      ['token_types.weight', [EMBD, 2], 'bias', 0.5],
      ['position_embd.weight', [EMBD, 512], 'bias', 0.5],
      ...norm('token_embd_norm'),
      ...list(LAYERS, (i) => [
        ...['attn_q', 'attn_k', 'attn_v', 'attn_output'].flatMap((name) =>
          linear(`blk.${i}.${name}`, EMBD, EMBD),
        ),
        ...norm(`blk.${i}.attn_output_norm`),
        ...linear(`blk.${i}.ffn_up`, EMBD, FF),
        ...linear(`blk.${i}.ffn_down`, FF, EMBD),
        ...norm(`blk.${i}.layer_output_norm`),
      ]),
    ],
  );

/** `n` short texts, as ids: 6 to 21 of each, 13.5 in the mean. The same in every run. */
export function texts(n) {
  let state = 1;
  const next = (below) => (state = (state * 48271) % 0x7fffffff) % below;
  return Array.from({ length: n }, () => Array.from({ length: 6 + next(16) }, () => 1 + next(280)));
}
