#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the fixtures, small models of random weights of every architecture: tests/golden/*.gguf. The bytes
are always the same.

  python3 tools/make_fixtures.py [--model models/SmolLM2-135M-Instruct.Q4_1.gguf] [--out tests/golden]
                                 [NAME ...]

Needs PyPI `gguf`, `numpy` and, for the formats that gguf can't write (Q2_K and later, Q1_0, Q2_0),
`llama-cpp-python`, whose ggml quantises (versions: tests/golden/README.md). The byte-BPE vocabularies are the
first tokens of SmolLM2's. The SPM vocabularies are trained here on a paragraph of text.

A weight depends only on the name of the fixture and of the tensor. Scales make a random network sensitive to
errors:
- Matrices with std gain / sqrt(n_in) keep activations near 1.
- A gain of 2.5 on q (where heads are normed, 1.6 on both norms) makes attention prefer some tokens, so that a
  wrong angle or mask shows.
- Logits get a standard deviation near 4, so that the best token leads by more than rounding.
- With tied embeddings the final norm has random signs. Otherwise the last token itself would always win."""
import argparse
import hashlib
import math
import os

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type, TokenType

from ggml_types import quantize

HERE = os.path.dirname(os.path.abspath(__file__))
LOGIT_STD = 4.0

# arch: llama if absent. n_vocab: tokens, cut and arranged as the vocabulary functions below describe.
# head_dim: n_embd / n_head if absent. types: one format, or a default and exceptions by the last part of a
# tensor's name. Blocks of 256 need row lengths that are multiples of 256. The other matrices have shorter
# rows and other formats, as in real files.
FIXTURES = [
    dict(name='f32-mha', types='F32', n_embd=48, n_layer=2, n_head=3, n_kv=3, n_ff=80, vocab='bpe',
         pre='smollm', n_vocab=301),
    dict(name='f32-odd-tied', types='F32', n_embd=60, n_layer=2, n_head=3, n_kv=1, n_ff=100, vocab='bpe',
         pre='gpt-2', n_vocab=302, tied=True, eps=1e-6),
    dict(name='f32-linear-spm', types='F32', n_embd=40, n_layer=2, n_head=2, n_kv=1, n_ff=64, vocab='spm',
         n_vocab=443, linear=4.0, head_dim=32, space_prefix=False),
    dict(name='f16-d64', types='F16', n_embd=128, n_layer=2, n_head=2, n_kv=1, n_ff=72, vocab='bpe',
         pre='smollm', n_vocab=304, tied=True, base=100000.0),
    dict(name='f16-d128-spm', types='F16', n_embd=48, n_layer=2, n_head=2, n_kv=1, n_ff=96, vocab='spm',
         n_vocab=450, head_dim=128),
    dict(name='bf16-d80-freqs', types='BF16', n_embd=64, n_layer=2, n_head=2, n_kv=2, n_ff=96, vocab='bpe',
         pre='llama-bpe', n_vocab=303, head_dim=80, base=500000.0, freqs=True),
    dict(name='f16-fused', types='F16', n_embd=80, n_layer=2, n_head=5, n_kv=1, n_ff=64, vocab='bpe',
         pre='gpt-2', n_vocab=300, fused=True, bias='qkv', old_linear=2.0, tied=True),
    dict(name='q8_0-bias', types='Q8_0', n_embd=128, n_layer=2, n_head=8, n_kv=2, n_ff=128, vocab='bpe',
         pre='qwen2', n_vocab=305, bias='qkv'),
    dict(name='q8_0-d128', types='Q8_0', n_embd=96, n_layer=2, n_head=2, n_kv=1, n_ff=160, vocab='bpe',
         pre='llama-bpe', n_vocab=330, head_dim=128, bias='all', add_bos=True),
    dict(name='q4_0-spm', types='Q4_0', n_embd=128, n_layer=2, n_head=4, n_kv=2, n_ff=256, vocab='spm',
         n_vocab=446),
    dict(name='q4_0-d80-freqs', types='Q4_0', n_embd=160, n_layer=2, n_head=2, n_kv=1, n_ff=224, vocab='bpe',
         pre='llama-bpe', n_vocab=306, tied=True, base=500000.0, freqs=True),
    dict(name='q4_1-smollm', types='Q4_1', n_embd=192, n_layer=2, n_head=3, n_kv=1, n_ff=192, vocab='bpe',
         pre='smollm', n_vocab=402, tied=True, base=100000.0),
    dict(name='q4_1-linear-spm', types='Q4_1', n_embd=128, n_layer=2, n_head=2, n_kv=2, n_ff=192, vocab='spm',
         n_vocab=449, linear=2.0),
    dict(name='mixed',
         types=dict(default='Q4_1', token_embd='Q8_0', output='F16', attn_q='Q4_0', attn_k='F16',
                    attn_v='Q8_0', attn_output='BF16', ffn_down='F32'),
         n_embd=96, n_layer=2, n_head=2, n_kv=1, n_ff=96, vocab='bpe', pre='smollm', n_vocab=307,
         head_dim=64),
    dict(name='qwen2-q4_k', arch='qwen2',
         types=dict(default='Q4_K', output='Q6_K', attn_v='Q6_K', ffn_down='Q5_K'),
         n_embd=256, n_layer=1, n_head=8, n_kv=1, n_ff=256, vocab='bpe', pre='qwen2', n_vocab=308, bias='qkv',
         base=1e6, eps=1e-6),
    dict(name='qwen2-q5-tied', arch='qwen2',
         types=dict(default='Q5_0', token_embd='Q5_1', attn_v='Q5_1', ffn_down='Q5_1'),
         n_embd=128, n_layer=2, n_head=2, n_kv=1, n_ff=96, vocab='bpe', pre='qwen2', n_vocab=309, bias='qkv',
         base=1e6, eps=1e-6, tied=True),
    dict(name='qwen3-f32', arch='qwen3', types='F32', n_embd=48, n_layer=2, n_head=3, n_kv=1, n_ff=64,
         vocab='bpe', pre='qwen2', n_vocab=310, head_dim=32, base=1e6, eps=1e-6),
    dict(name='qwen3-q3_k-tied', arch='qwen3',
         types=dict(default='Q3_K', token_embd='Q6_K', attn_q='Q2_K', attn_v='IQ4_XS', attn_output='IQ4_NL',
                    ffn_up='Q2_K', ffn_down='IQ4_XS'),
         n_embd=256, n_layer=1, n_head=2, n_kv=1, n_ff=256, vocab='bpe', pre='qwen2', n_vocab=311,
         head_dim=64, base=1e6, eps=1e-6, tied=True),
    dict(name='qwen3-q1_0-tied', arch='qwen3',
         types=dict(default='Q1_0', attn_v='Q2_0', attn_output='Q2_0', ffn_up='Q2_0'),
         n_embd=128, n_layer=2, n_head=2, n_kv=1, n_ff=256, vocab='bpe', pre='qwen2', n_vocab=312,
         head_dim=64, base=1e6, eps=1e-6, tied=True),
    dict(name='gemma3-f32', arch='gemma3', types='F32', n_embd=40, n_layer=7, n_head=2, n_kv=1, n_ff=48,
         vocab='gemma', n_vocab=455, head_dim=32, base=1e6, eps=1e-6, tied=True, linear=8.0, window=24),
    dict(name='gemma3-iq4_nl', arch='gemma3',
         types=dict(default='IQ4_NL', token_embd='Q8_0', attn_v='Q5_1', ffn_down='Q5_0'),
         n_embd=64, n_layer=7, n_head=4, n_kv=2, n_ff=96, vocab='gemma', n_vocab=452, head_dim=32, base=1e6,
         eps=1e-6, tied=True, window=16),
]

TEXT = (
    "The old lighthouse keeper had counted the ships for thirty years, "
    "and in all that time none had come closer than the reef.\n"
    "On the first morning of winter he climbed the stairs, lit the lamp, "
    "and saw a small boat with a red sail standing in the bay.\n"
    "There was nobody at the tiller; there was nothing in the water but the shadow of the sail. "
    "He called, and the wind answered him.\n"
    "If the tower was the only thing that stood between the sea and the town, "
    "then who had been keeping the keeper?")


# ---- vocabularies: (tokens, types, scores or None, merges or None)

def bpe_vocabulary(model, n):
    """The first tokens of a real byte-BPE vocabulary and the merges among them, then three added tokens: a
    control token, a user-defined token and an unused token."""
    reader = gguf.GGUFReader(model)
    value = lambda key: reader.fields['tokenizer.ggml.' + key].contents()
    tokens, types = value('tokens')[:n - 3], value('token_type')[:n - 3]
    have = set(tokens)
    merges = [m for m in value('merges') if set(m.split(' ')) | {m.replace(' ', '')} <= have]
    tokens += ['<|eot_id|>', '<tool>', '<unused0>']
    types += [TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNUSED]
    return tokens, types, None, merges


def trained_pieces(n):
    """n pieces made by merging pairs over TEXT, then its characters. A piece's score is minus its rank, so
    the pair with the best score is merged first, as in sentencepiece's own BPE models."""
    words = [list('\u2581' + w) for w in TEXT.split()]
    pieces = []
    characters = sorted({c for w in words for c in w} | set('éß中,."\n'))
    while len(pieces) + len(characters) < n:
        pairs = {}
        for w in words:
            for pair in zip(w, w[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        best = max(pairs, key=lambda p: (pairs[p], p))
        pieces.append(''.join(best))
        for w in words:
            i = 0
            while i + 1 < len(w):
                if (w[i], w[i + 1]) == best:
                    w[i:i + 2] = [w[i] + w[i + 1]]
                i += 1
    return pieces + characters, [-float(i) for i in range(n)]


def spm_vocabulary(n):
    """Special tokens, 256 bytes, pieces, two added tokens."""
    tokens = ['<unk>', '<s>', '</s>'] + ['<0x%02X>' % b for b in range(256)]
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 256
    pieces, scores = trained_pieces(n - len(tokens) - 2)
    types += [TokenType.NORMAL] * len(pieces) + [TokenType.USER_DEFINED, TokenType.CONTROL]
    return tokens + pieces + ['<tool>', '<|eot_id|>'], types, [0.0] * len(tokens) + scores + [0.0, 0.0], None


def gemma_vocabulary(n):
    """In Gemma's order: special tokens, among them <unk> as a control token; runs of newlines and of blanks,
    and tags, as user-defined tokens; bytes; pieces, without a line feed among the characters."""
    control, mine = ['<pad>', '<eos>', '<bos>', '<unk>', '<mask>', '<start_of_turn>', '<end_of_turn>'], ['[multimodal]']
    mine += ['\n' * i for i in range(1, 5)] + [' ' * i for i in range(2, 6)] + ['<table>', '</td>']
    tokens = control + mine + ['<0x%02X>' % b for b in range(256)]
    types = [TokenType.CONTROL] * len(control) + [TokenType.USER_DEFINED] * len(mine) + [TokenType.BYTE] * 256
    scores = [-1000.0] * (len(control) + len(mine)) + [0.0] * 256
    pieces, ranks = trained_pieces(n - len(tokens))
    keep = [i for i in range(len(pieces)) if pieces[i] != '\n']
    tokens += [pieces[i] for i in keep] + ['<unused0>']
    types += [TokenType.NORMAL] * len(keep) + [TokenType.CONTROL]
    scores += [ranks[i] for i in keep] + [-1000.0]
    return tokens, types, scores, None


def write_vocabulary(w, f, model):
    if f['vocab'] == 'bpe':
        tokens, types, scores, merges = bpe_vocabulary(model, f['n_vocab'])
    else:
        tokens, types, scores, merges = (gemma_vocabulary if f['vocab'] == 'gemma' else spm_vocabulary)(f['n_vocab'])
    assert len(tokens) == len(types) == f['n_vocab'] and len(set(tokens)) == len(tokens), f['name']
    w.add_tokenizer_model('gpt2' if f['vocab'] == 'bpe' else 'llama')
    w.add_tokenizer_pre(f.get('pre', 'default'))
    w.add_token_list(tokens)
    w.add_token_types([int(t) for t in types])
    if scores:
        w.add_token_scores(scores)
    if merges is not None:
        w.add_token_merges(merges)
    if f['vocab'] == 'gemma':
        w.add_bos_token_id(2)
        w.add_eos_token_id(1)
        w.add_unk_token_id(3)
        w.add_pad_token_id(0)
        w.add_add_bos_token(True)
        w.add_add_eos_token(False)
        w.add_add_space_prefix(False)
        return
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)
    if 'add_bos' in f:
        w.add_add_bos_token(f['add_bos'])
    if 'space_prefix' in f:
        w.add_add_space_prefix(f['space_prefix'])


# ---- tensors: (name, shape with the row length last, kind, gain)

def tensors(f):
    e, ff, head_dim = f['n_embd'], f['n_ff'], f['head_dim']
    q, kv = f['n_head'] * head_dim, f['n_kv'] * head_dim
    tied, bias, arch = f.get('tied'), f.get('bias'), f['arch']
    normed = arch in ('qwen3', 'gemma3')
    c = LOGIT_STD / math.sqrt(e)
    yield 'token_embd.weight', (f['n_vocab'], e), 'std', c if tied else 1.0
    for i in range(f['n_layer']):
        p = 'blk.%d.' % i
        yield p + 'attn_norm.weight', (e,), 'norm', 1
        fused = (('qkv', q + 2 * kv, 1.6),)
        for n, rows, gain in fused if f.get('fused') else (('q', q, 2.5), ('k', kv, 1), ('v', kv, 1)):
            yield p + 'attn_%s.weight' % n, (rows, e), 'matrix', gain
            if bias:
                yield p + 'attn_%s.bias' % n, (rows,), 'std', 0.1
        for n in 'qk' if normed else '':
            yield p + 'attn_%s_norm.weight' % n, (head_dim,), 'norm', 1.6
        yield p + 'attn_output.weight', (e, q), 'matrix', 1
        if bias == 'all':
            yield p + 'attn_output.bias', (e,), 'std', 0.1
        if arch == 'gemma3':
            yield p + 'post_attention_norm.weight', (e,), 'norm', 1
            yield p + 'post_ffw_norm.weight', (e,), 'norm', 1
        yield p + 'ffn_norm.weight', (e,), 'norm', 1
        for n, rows, cols, gain in (('gate', ff, e, 1.5), ('up', ff, e, 1), ('down', e, ff, 1.5)):
            yield p + 'ffn_%s.weight' % n, (rows, cols), 'matrix', gain
            if bias == 'all':
                yield p + 'ffn_%s.bias' % n, (rows,), 'std', 0.1
    yield 'output_norm.weight', (e,), 'signed norm' if tied else 'norm', 1
    if not tied:
        yield 'output.weight', (f['n_vocab'], e), 'std', c
    if f.get('freqs'):
        yield 'rope_freqs.weight', (head_dim // 2,), 'freqs', 0


def llama3_frequencies(f, factor=8.0, low=1.0, high=4.0, trained=64):
    """Llama 3's scaling as its converter writes it: divisors of the angle. The divisor is 1 for short waves,
    `factor` for long waves, and a blend between. The trained length is small, so that 70 tokens reach all
    three."""
    wave = 2 * math.pi * f['base'] ** (np.arange(0, f['head_dim'], 2, dtype=np.float64) / f['head_dim'])
    blend = np.clip((trained / wave - low) / (high - low), 0, 1)
    return (1 / ((1 - blend) / factor + blend)).astype(np.float32)


def values(f, name, shape, kind, gain):
    seed = hashlib.sha256(('%s|%s' % (f['name'], name)).encode()).digest()
    random = np.random.Generator(np.random.PCG64(int.from_bytes(seed[:8], 'little')))
    if kind == 'freqs':
        return llama3_frequencies(f)
    x = random.standard_normal(shape, dtype=np.float32)
    if kind == 'matrix':
        return x * np.float32(gain / math.sqrt(shape[1]))
    if kind == 'std':
        return x * np.float32(gain)
    x = np.float32(gain) * (1 + np.float32(0.1) * x)
    return x * random.choice(np.array([-1, 1], np.float32), size=shape) if kind == 'signed norm' else x


def type_of(f, name, shape):
    if len(shape) == 1:
        return Type.F32
    if isinstance(f['types'], str):
        return Type[f['types']]
    return Type[f['types'].get(name.split('.')[-2], f['types']['default'])]


# (fixture, its name in tests/golden/shards, arguments of gguf's writer): fixtures in several files, which
# gguf writes as llama-gguf-split does.
SHARDS = [
    ('f16-fused', 'f16-fused', dict(split_max_tensors=8)),
    ('f16-fused', 'f16-fused-small-first', dict(split_max_tensors=12, small_first_shard=True)),
]


def write_fixture(f, model, path, **split):
    f = dict(dict(arch='llama', base=10000.0, eps=1e-5, head_dim=f['n_embd'] // f['n_head']), **f)
    w = gguf.GGUFWriter(path, f['arch'], **split)
    w.add_name(f['name'])
    w.add_context_length(256)
    w.add_embedding_length(f['n_embd'])
    w.add_block_count(f['n_layer'])
    w.add_feed_forward_length(f['n_ff'])
    w.add_head_count(f['n_head'])
    w.add_head_count_kv(f['n_kv'])
    w.add_layer_norm_rms_eps(f['eps'])
    w.add_rope_freq_base(f['base'])
    if f['arch'] == 'llama':  # files of other architectures have neither key
        w.add_rope_dimension_count(f['head_dim'])
        w.add_vocab_size(f['n_vocab'])
    if 'window' in f:
        w.add_sliding_window(f['window'])
    if f['head_dim'] * f['n_head'] != f['n_embd']:
        w.add_key_length(f['head_dim'])
        w.add_value_length(f['head_dim'])
    if 'linear' in f:
        w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        w.add_rope_scaling_factor(f['linear'])
    if 'old_linear' in f:  # files of 2023: no type, and an older key
        w.add_float32('llama.rope.scale_linear', f['old_linear'])
    write_vocabulary(w, f, model)
    for name, shape, kind, gain in tensors(f):
        kind_of_type = type_of(f, name, shape)
        data = quantize(values(f, name, shape, kind, gain), kind_of_type)
        w.add_tensor(name, data, raw_dtype=kind_of_type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('names', nargs='*')
    ap.add_argument('--model', default=os.path.join(HERE, '../models/SmolLM2-135M-Instruct.Q4_1.gguf'))
    ap.add_argument('--out', default=os.path.join(HERE, '../tests/golden'))
    a = ap.parse_args()
    for f in FIXTURES:
        if not a.names or f['name'] in a.names:
            path = os.path.join(a.out, f['name'] + '.gguf')
            write_fixture(f, a.model, path)
            data = open(path, 'rb').read()
            print('%-18s %7d bytes  sha256 %s' % (f['name'], len(data), hashlib.sha256(data).hexdigest()[:16]))
            for name, stem, split in SHARDS:
                if name == f['name']:
                    write_fixture(f, a.model, os.path.join(a.out, 'shards', stem + '.gguf'), **split)


if __name__ == '__main__':
    main()
