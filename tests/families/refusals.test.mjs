// SPDX-License-Identifier: Apache-2.0
// refusals.test.mjs: hyper-parameters that contradict themselves or the tensors are typed errors that name
// the key or the tensor.
import test from 'node:test';
import assert from 'node:assert/strict';
import { loadModel } from '../../dist/index.js';
import { modelOf } from './models.mjs';

/** [model, changed metadata, the error's code, a text of its message] */
const REFUSED = [
  ['lfm2', { '.shortconv.l_cache': undefined }, 'invalid-gguf', 'lfm2.shortconv.l_cache'],
  ['lfm2', { '.shortconv.l_cache': 1 }, 'invalid-gguf', 'lfm2.shortconv.l_cache'],
  ['lfm2', { '.shortconv.l_cache': 1 << 30 }, 'invalid-gguf', 'lfm2.shortconv.l_cache'],
  ['lfm2', { '.shortconv.l_cache': 4 }, 'invalid-gguf', 'shortconv.conv.weight'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 2] }, 'invalid-gguf', 'lfm2.attention.head_count_kv'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 3, 0, 0, 3] }, 'invalid-gguf', '3 KV heads'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 2, 0, 0, 1] }, 'unsupported-architecture', 'head_count_kv'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, 0, 0, 0, 0] }, 'invalid-gguf', 'attention.head_count_kv'],
  ['lfm2', { '.attention.head_count_kv': [2, 0, 2, 0, 0, 2] }, 'invalid-gguf', 'blk.0.attn_q'],
  ['lfm2', { '.attention.head_count_kv': [0, 0, -2, 0, 0, 2] }, 'invalid-gguf', 'head_count_kv'],
  ['lfm2', { '.attention.head_count': 0 }, 'invalid-gguf', 'attention.head_count'],
  ['lfm2', { '.feed_forward_length': [96, 96] }, 'invalid-gguf', 'lfm2.feed_forward_length'],
  ['lfm2', { '.embedding_length': 62, '.rope.dimension_count': 8 }, 'invalid-gguf', 'token_embd'],

  ['gemma4', { '.attention.sliding_window_pattern': undefined }, 'invalid-gguf', 'sliding_window_pattern'],
  ['gemma4', { '.attention.sliding_window_pattern': 3 }, 'invalid-gguf', 'sliding_window_pattern'],
  [
    'gemma4',
    { '.attention.sliding_window_pattern': [true, true, false] },
    'invalid-gguf',
    "'gemma4.attention.sliding_window_pattern' has 3 values instead of one for each of the 6 layers",
  ],
  ['gemma4', { '.attention.sliding_window_pattern': [1, 1, 0, 1, 2, 0] }, 'invalid-gguf', 'window_pattern'],
  ['gemma4', { '.attention.sliding_window': 0 }, 'invalid-gguf', 'gemma4.attention.sliding_window'],
  ['gemma4', { '.attention.shared_kv_layers': 6 }, 'invalid-gguf', 'gemma4.attention.shared_kv_layers'],
  ['gemma4', { '.attention.shared_kv_layers': 5 }, 'invalid-gguf', 'attention.shared_kv_layers'],
  ['gemma4', { '.attention.shared_kv_layers': 1 }, 'invalid-gguf', 'attention.shared_kv_layers'],
  ['gemma4', { '.attention.shared_kv_layers': undefined }, 'invalid-gguf', 'blk.3.attn_k.weight'],
  ['gemma4', { '.attention.key_length_swa': undefined }, 'invalid-gguf', 'gemma4.attention.key_length_swa'],
  ['gemma4', { '.attention.value_length_swa': 8 }, 'invalid-gguf', 'gemma4.attention.value_length_swa'],
  ['gemma4', { '.attention.value_length': 8 }, 'unsupported-architecture', 'attention.value_length'],
  ['gemma4', { '.attention.head_count': [4, 4, 4] }, 'invalid-gguf', 'gemma4.attention.head_count'],
  ['gemma4', { '.attention.head_count': [4, 4, 4, 4, 4, 0] }, 'invalid-gguf', 'attention.head_count'],
  ['gemma4', { '.attention.head_count_kv': [1, 1, 1, 1, 2, 1] }, 'invalid-gguf', 'head_count_kv'],
  ['gemma4', { '.attention.head_count_kv': [1, 3, 1, 1, 1, 1] }, 'invalid-gguf', 'head_count_kv'],
  ['gemma4', { '.feed_forward_length': [64, 64] }, 'invalid-gguf', 'gemma4.feed_forward_length'],
  ['gemma4', { '.feed_forward_length': [0, 64, 64, 64, 64, 64] }, 'invalid-gguf', 'feed_forward_length'],
  ['gemma4', { '.embedding_length_per_layer_input': undefined }, 'invalid-gguf', 'length_per_layer_input'],
  ['gemma4', { '.embedding_length_per_layer_input': 30 }, 'unsupported-architecture', 'per_layer_input'],
  ['gemma4', { '.embedding_length_per_layer_input': 36 }, 'invalid-gguf', 'per_layer_token_embd.weight'],
  ['gemma4', { '.embedding_length_per_layer_input': 1 << 30 }, 'invalid-gguf', 'length_per_layer_input'],
  ['gemma4', { '.embedding_length_per_layer_input': 0 }, 'invalid-gguf', 'per_layer_'],
  ['gemma4', { '.rope.dimension_count_swa': 64 }, 'invalid-gguf', 'gemma4.rope.dimension_count_swa'],
  ['gemma4', { '.rope.freq_base_swa': 0.5 }, 'invalid-gguf', 'gemma4.rope.freq_base_swa'],
  ['gemma4', { '.final_logit_softcapping': 1e39 }, 'invalid-gguf', 'gemma4.final_logit_softcapping'],

  ['gemma4-moe', { '.expert_used_count': 7 }, 'invalid-gguf', 'gemma4.expert_used_count'],
  ['gemma4-moe', { '.expert_used_count': undefined }, 'invalid-gguf', 'gemma4.expert_used_count'],
  ['gemma4-moe', { '.expert_count': 5 }, 'invalid-gguf', 'blk.0.ffn_'],
  ['gemma4-moe', { '.expert_count': 1 << 20 }, 'invalid-gguf', 'gemma4.expert_count'],
  ['gemma4-moe', { '.expert_count': 0 }, 'invalid-gguf', 'blk.0.'],
  ['gemma4-moe', { '.expert_feed_forward_length': 16 }, 'invalid-gguf', 'blk.0.ffn_gate_exps.weight'],
  ['gemma4-moe', { '.expert_group_count': 4, '.expert_group_used_count': 2 }, 'invalid-gguf', 'group_count'],

  ['llama', { '.attention.head_count': 0 }, 'invalid-gguf', 'llama.attention.head_count'],
  ['llama', { '.attention.head_count': 1 << 20 }, 'invalid-gguf', 'llama.attention.head_count'],
  ['llama', { '.attention.head_count': 64 }, 'invalid-gguf', 'llama.attention.key_length'],
  ['llama', { '.attention.head_count': [4, 2, 4] }, 'unsupported-architecture', 'llama.attention.head_count'],
  ['llama', { '.attention.head_count_kv': 0 }, 'invalid-gguf', 'llama.attention.head_count_kv'],
  ['llama', { '.attention.head_count_kv': 3 }, 'invalid-gguf', 'attention.head_count_kv'],
  ['llama', { '.attention.head_count_kv': 1e9 }, 'invalid-gguf', 'llama.attention.head_count_kv'],
  ['llama', { '.attention.key_length': 2048 }, 'invalid-gguf', 'llama.attention.key_length'],
  ['llama', { '.attention.value_length': 8 }, 'unsupported-architecture', 'attention.value_length'],
  ['llama', { '.block_count': 4 }, 'invalid-gguf', 'blk.3.'],
  ['llama', { '.block_count': 1 << 20 }, 'invalid-gguf', 'llama.block_count'],
  ['llama', { '.rope.freq_base': 0.5 }, 'invalid-gguf', 'llama.rope.freq_base'],
  ['llama', { '.rope.dimension_count': 0 }, 'invalid-gguf', 'llama.rope.dimension_count'],
  ['llama', { '.rope.dimension_count': 18 }, 'invalid-gguf', 'llama.rope.dimension_count'],
  ['llama', { '.attention.layer_norm_rms_epsilon': 0 }, 'invalid-gguf', 'layer_norm_rms_epsilon'],
  [
    'gemma2',
    { '.attention.sliding_window_pattern': [true, false] },
    'invalid-gguf',
    'sliding_window_pattern',
  ],
  ['gemma2', { '.attention.sliding_window_pattern': [1, 0, 1, 0, 1] }, 'invalid-gguf', 'window_pattern'],
  ['gemma2', { '.attention.sliding_window_pattern': ['a'] }, 'invalid-gguf', 'sliding_window_pattern'],
  ['gemma2', { '.attn_logit_softcapping': 1e39 }, 'invalid-gguf', 'gemma2.attn_logit_softcapping'],
  ['cohere2', { '.attention.sliding_window': undefined }, 'invalid-gguf', 'attention.sliding_window'],
  ['cohere2', { '.attention.sliding_window_pattern': 1 << 20 }, 'invalid-gguf', 'sliding_window_pattern'],
  ['qwen3vl', { '.rope.dimension_sections': undefined }, 'invalid-gguf', 'qwen3vl.rope.dimension_sections'],
  ['qwen3vl', { '.rope.dimension_sections': [3, 2] }, 'invalid-gguf', 'qwen3vl.rope.dimension_sections'],
  ['qwen3vl', { '.rope.dimension_sections': [3, -2, 1, 0] }, 'invalid-gguf', 'rope.dimension_sections'],
  ['qwen3vl', { '.rope.dimension_sections': [0, 0, 0, 0] }, 'invalid-gguf', 'rope.dimension_sections'],
  ['qwen3vl', { '.rope.dimension_sections': [4, 3, 2, 0] }, 'invalid-gguf', 'rope.dimension_sections'],
  ['apertus', { 'xielu.alpha_n': undefined }, 'invalid-gguf', 'xielu.alpha_n'],
  ['apertus', { 'xielu.alpha_p': [0.5, 0.5] }, 'invalid-gguf', 'xielu.alpha_p'],
  ['apertus', { 'xielu.beta': [0.5, 0.5, 0.5, 0.5] }, 'invalid-gguf', 'xielu.beta'],
  ['apertus', { 'xielu.eps': [0.5, 1e39, 0.5] }, 'invalid-gguf', 'xielu.eps'],
  ['apertus', { 'xielu.eps': 'none' }, 'invalid-gguf', 'xielu.eps'],
  ['mistral3', { '.rope.scaling.yarn_beta_fast': 0 }, 'invalid-gguf', 'rope.scaling.yarn_beta_fast'],
  ['mistral3', { '.rope.scaling.original_context_length': 0 }, 'invalid-gguf', 'original_context_length'],
  ['mistral3', { '.rope.scaling.factor': 1e-30 }, 'invalid-gguf', 'mistral3.rope.scaling.factor'],
  ['mistral3', { '.rope.scaling.type': 'su' }, 'unsupported-architecture', 'rope.scaling.type'],
  ['mistral3', { '.attention.temperature_scale': 1e39 }, 'invalid-gguf', 'attention.temperature_scale'],
  ['phi3', { '.rope.dimension_count': 8 }, 'invalid-gguf', 'rope_factors_short.weight'],
  ['olmo', { '.attention.clamp_kqv': 1e39 }, 'invalid-gguf', 'olmo.attention.clamp_kqv'],
  ['granite', { '.residual_scale': 'one' }, 'invalid-gguf', 'granite.residual_scale'],
  ['hunyuan-dense', { '.rope.scaling.alpha': 1e39 }, 'invalid-gguf', 'hunyuan-dense.rope.scaling.alpha'],
  ['gptneox', { '.use_parallel_residual': undefined }, 'invalid-gguf', 'gptneox.use_parallel_residual'],
  ['gptneox', { '.attention.head_count_kv': 2 }, 'invalid-gguf', 'attn_qkv'],
  ['nanbeige', { '.num_loops': 0 }, 'invalid-gguf', 'nanbeige.num_loops'],
  ['nanbeige', { '.num_loops': 17 }, 'invalid-gguf', 'nanbeige.num_loops'],
];

for (const [name, changes, code, text] of REFUSED)
  test(`${name} with ${JSON.stringify(changes, (_, v) => v ?? null)} is ${code} and names ${text}`, async () => {
    const load = loadModel(modelOf(name, changes), { backend: 'cpu', cache: 'none' });
    await assert.rejects(load, (error) => {
      assert.equal(error.code, code, error.message);
      assert.ok(error.message.includes(text), error.message);
      return true;
    });
  });
