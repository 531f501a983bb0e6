# SPDX-License-Identifier: Apache-2.0
"""Shapes of make_large.py that a row of numbers doesn't describe: hybrids, mixtures, layers that differ. A
shape is a function that returns its metadata, without the architecture's name, and its tensors in the file's
order: (name, shape with the rows first, kind, gain), as make_fixtures.tensors() gives them. Numbers are those
of the models' own configurations, where nothing else is said."""
import math

LOGIT_STD = 4


def named(p, *tensors):
    return [(p + name + '.weight', *rest) for name, *rest in tensors]


def norm(name, n, gain=1):
    return name, (n,), 'norm', gain


def matrix(name, rows, cols, gain=1, n=0):
    return name, (n, rows, cols) if n else (rows, cols), 'matrix', gain


def attention(embd, q, kv, dim, gate=1):
    return (matrix('attn_q', gate * q * dim, embd, 2.5), matrix('attn_k', kv * dim, embd),
            matrix('attn_v', kv * dim, embd), norm('attn_q_norm', dim, 1.6), norm('attn_k_norm', dim, 1.6),
            matrix('attn_output', embd, q * dim))


def feed_forward(embd, ff):
    return (matrix('ffn_gate', ff, embd, 1.5), matrix('ffn_up', ff, embd), matrix('ffn_down', embd, ff, 1.5))


def embedding(f):
    return 'token_embd.weight', (f['n_vocab'], f['n_embd']), 'std', LOGIT_STD / math.sqrt(f['n_embd'])


def qwen35(f):
    """Qwen 3.5: three gated delta nets, then attention with an output gate; as wide as each other."""
    embd, heads, dim, wide = f['n_embd'], 16, 128, 3 * 16 * 128
    tensors = [embedding(f)]
    for i in range(f['n_layer']):
        p = 'blk.%d.' % i
        tensors += named(p, norm('attn_norm', embd))
        if i % 4 == 3:
            tensors += named(p, *attention(embd, f['n_head'], f['n_kv'], f['head_dim'], gate=2))
        else:
            tensors += named(p, matrix('attn_qkv', wide, embd, 1.3),
                             matrix('attn_gate', heads * dim, embd, 1.3), ('ssm_conv1d', (wide, 4), 'table', 1.4),
                             matrix('ssm_beta', heads, embd), matrix('ssm_alpha', heads, embd), norm('ssm_norm', dim),
                             matrix('ssm_out', embd, heads * dim, 2))
            tensors += [(p + 'ssm_dt.bias', (heads,), 'std', 1), (p + 'ssm_a', (heads,), 'decay', 1)]
        tensors += named(p, norm('post_attention_norm', embd), *feed_forward(embd, f['n_ff']))
    tensors += [('output_norm.weight', (embd,), 'signed norm', 1)]
    keys = {'ssm.conv_kernel': 4, 'ssm.inner_size': heads * dim, 'ssm.state_size': dim,
            'ssm.time_step_rank': heads, 'ssm.group_count': heads, 'rope.dimension_count': 64,
            'rope.dimension_sections': [11, 11, 10, 0]}
    return keys, tensors


def lfm2(f):
    """LFM2: gated short convolutions, and attention in six of sixteen layers."""
    embd, attends = f['n_embd'], (2, 5, 8, 10, 12, 14)
    tensors = [embedding(f)]
    for i in range(f['n_layer']):
        p = 'blk.%d.' % i
        tensors += named(p, norm('attn_norm', embd))
        if i in attends:
            tensors += named(p, *attention(embd, f['n_head'], f['n_kv'], f['head_dim']))
        else:
            tensors += named(p, ('shortconv.conv', (embd, 3), 'table', 1),
                             matrix('shortconv.in_proj', 3 * embd, embd, 1.3),
                             matrix('shortconv.out_proj', embd, embd))
        tensors += named(p, norm('ffn_norm', embd), *feed_forward(embd, f['n_ff']))
    tensors += [('token_embd_norm.weight', (embd,), 'signed norm', 1)]
    return {'shortconv.l_cache': 3,
            'attention.head_count_kv': [f['n_kv'] if i in attends else 0 for i in range(f['n_layer'])]}, tensors


def gemma4(f):
    """Gemma 4 E2B: each fifth layer sees all; the last 20 read the keys and values of the layers before; a
    table of 256 numbers for each token and layer."""
    embd, n, shared, per_layer = f['n_embd'], f['n_layer'], 20, 256
    is_local = [i % 5 != 4 for i in range(n)]
    ff = [f['n_ff'] * (2 if i >= n - shared else 1) for i in range(n)]
    tensors = [embedding(f), ('rope_freqs.weight', (256,), 'still factors', 1),
               ('per_layer_token_embd.weight', (f['n_vocab'], per_layer * n), 'std', 1 / math.sqrt(per_layer)),
               ('per_layer_model_proj.weight', (per_layer * n, embd), 'matrix', 2),
               ('per_layer_proj_norm.weight', (per_layer,), 'norm', 1)]
    for i in range(n):
        p, dim = 'blk.%d.' % i, 256 if is_local[i] else 512
        tensors += named(p, norm('attn_norm', embd), matrix('attn_q', f['n_head'] * dim, embd),
                         norm('attn_q_norm', dim, 0.8))
        if i < n - shared:
            tensors += named(p, matrix('attn_k', dim, embd), norm('attn_k_norm', dim, 0.8),
                             matrix('attn_v', dim, embd))
        tensors += named(p, matrix('attn_output', embd, f['n_head'] * dim), norm('post_attention_norm', embd),
                         norm('ffn_norm', embd), *feed_forward(embd, ff[i]), norm('post_ffw_norm', embd),
                         matrix('inp_gate', per_layer, embd, 1.5), matrix('proj', embd, per_layer),
                         norm('post_norm', embd))
        tensors += [(p + 'layer_output_scale.weight', (1,), 'norm', 1)]
    tensors += [('output_norm.weight', (embd,), 'signed norm', 1)]
    return {'feed_forward_length': ff, 'attention.key_length': 512, 'attention.value_length': 512,
            'attention.key_length_swa': 256, 'attention.value_length_swa': 256, 'rope.dimension_count': 512,
            'rope.dimension_count_swa': 256, 'rope.freq_base_swa': 1e4, 'attention.sliding_window': 512,
            'attention.sliding_window_pattern': is_local, 'embedding_length_per_layer_input': per_layer,
            'attention.shared_kv_layers': shared, 'final_logit_softcapping': 30.0}, tensors


def qwen3moe(f):
    """Qwen 3 30B-A3B, with fewer layers: 128 experts, of which a token uses 8."""
    embd, n, ff = f['n_embd'], 128, 768
    tensors = [embedding(f)]
    for i in range(f['n_layer']):
        tensors += named('blk.%d.' % i, norm('attn_norm', embd),
                         *attention(embd, f['n_head'], f['n_kv'], f['head_dim']), norm('ffn_norm', embd),
                         ('ffn_gate_inp', (n, embd), 'router', 3), matrix('ffn_gate_exps', ff, embd, 1.5, n),
                         matrix('ffn_up_exps', ff, embd, 1, n), matrix('ffn_down_exps', embd, ff, 2, n))
    tensors += [('output_norm.weight', (embd,), 'norm', 1),
                ('output.weight', (f['n_vocab'], embd), 'std', LOGIT_STD / math.sqrt(embd))]
    return {'expert_count': n, 'expert_used_count': 8, 'expert_feed_forward_length': ff}, tensors


SHAPES = {
    'qwen3.5-0.8b': dict(arch='qwen35', make=qwen35, n_embd=1024, n_layer=24, n_head=8, n_kv=2, head_dim=256,
                         n_ff=3584, n_vocab=248320, n_ctx=262144, base=1e7, eps=1e-6, tied=True),
    'lfm2-1.2b': dict(arch='lfm2', make=lfm2, n_embd=2048, n_layer=16, n_head=32, n_kv=8, n_ff=8192,
                      n_vocab=65536, n_ctx=128000, base=1e6, tied=True),
    'gemma4-e2b': dict(arch='gemma4', make=gemma4, n_embd=1536, n_layer=35, n_head=8, n_kv=1, head_dim=512,
                       n_ff=6144, n_vocab=262144, n_ctx=131072, base=1e6, eps=1e-6, tied=True),
    'qwen3-30b-a3b-8l': dict(arch='qwen3moe', make=qwen3moe, n_embd=2048, n_layer=8, n_head=32, n_kv=4,
                             head_dim=128, n_ff=6144, n_vocab=151936, n_ctx=40960, base=1e6, eps=1e-6),
}
