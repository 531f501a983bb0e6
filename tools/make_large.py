#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes models of random weights in real shapes, for what no small model shows: files and memories past
4 GiB. The bytes of a name are always the same.

  python3 tools/make_large.py [--out models/large] NAME ...      or --list

A name is a shape and a mix, such as llama-2-7b.Q4_K_M. The mixes are those of llama.cpp's quantiser: Q4_K_M
has Q6_K in the output and in half of attn_v and ffn_down. A file that is there isn't made again. Needs what
make_fixtures.py needs. The vocabulary is made up: tests pass ids.

Quantising 7 billion weights takes an hour. So 8192 rows of each format, length and scale are quantised, and
each matrix of a layer draws its rows from them, in an order of its own. Memory stays below 1.5 GB.

Weights are scaled as make_fixtures.py says, but what a layer adds is scaled down by the square root of the
number of such additions, as GPT-2 did. So the layers together add as much as the token itself brings, and
rounding stays far below the lead of the best token, however many layers there are."""
import argparse
import ctypes
import hashlib
import math
import os
import sys

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type, TokenType

import large_shapes
from ggml_types import ggml
from make_fixtures import tensors

HERE = os.path.dirname(os.path.abspath(__file__))
SHAPES = {
    **large_shapes.SHAPES,
    'llama-2-7b': dict(arch='llama', n_embd=4096, n_layer=32, n_head=32, n_kv=32, n_ff=11008, n_vocab=32000,
                       n_ctx=4096),
    'mistral-7b': dict(arch='llama', n_embd=4096, n_layer=32, n_head=32, n_kv=8, n_ff=14336, n_vocab=32000,
                       n_ctx=32768, base=1e6),
    'llama-3.2-3b': dict(arch='llama', n_embd=3072, n_layer=28, n_head=24, n_kv=8, n_ff=8192, n_vocab=128256,
                         n_ctx=131072, base=5e5, tied=True),
    'qwen3-4b': dict(arch='qwen3', n_embd=2560, n_layer=36, n_head=32, n_kv=8, head_dim=128, n_ff=9728,
                     n_vocab=151936, n_ctx=40960, base=1e6, eps=1e-6, tied=True),
    # What a quick try of this script makes.
    'tiny': dict(arch='llama', n_embd=256, n_layer=8, n_head=4, n_kv=2, n_ff=512, n_vocab=600, n_ctx=512),
}
FILE_TYPES = {'Q4_K_M': 15, 'Q6_K': 18, 'Q8_0': 7}
POOL = 8192  # rows of each format, length and scale
CHUNK = 4096  # rows that are made and quantised at a time


def type_of(f, mix, name, shape):
    """As llama_tensor_get_type() of llama.cpp's llama-quant.cpp chooses."""
    if len(shape) == 1 or 'ffn_gate_inp' in name or 'conv' in name and 'proj' not in name:
        return Type.F32
    if mix != 'Q4_K_M':
        return Type[mix]
    if name == 'output.weight' or (name == 'token_embd.weight' and f.get('tied')):
        return Type.Q6_K
    if 'attn_v' in name or 'ffn_down' in name:
        i, n = int(name.split('.')[1]), f['n_layer']
        if i < n // 8 or i >= 7 * n // 8 or (i - n // 8) % 3 == 2:
            return Type.Q6_K
    return Type.Q4_K


def seeded(*words):
    seed = hashlib.sha256('|'.join(map(str, words)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(seed[:8], 'little')))


class Maker:
    """Makes the tensors of one file."""

    def __init__(self, f, mix):
        self.f, self.mix, self.pools = f, mix, {}
        self.quantize = ggml().ggml_quantize_chunk
        self.quantize.restype = ctypes.c_size_t
        address, count = ctypes.c_void_p, ctypes.c_int64
        self.quantize.argtypes = [ctypes.c_int, address, address, count, count, count, address]

    def quantized(self, random, type, shape, std):
        out = np.zeros(gguf.quant_shape_to_byte_shape(shape, type), np.uint8)
        for row in range(0, shape[0], CHUNK):
            x = random.standard_normal((min(CHUNK, shape[0] - row), shape[1]), dtype=np.float32)
            x *= np.float32(std)
            part = out[row:row + CHUNK]
            assert self.quantize(int(type), x.ctypes.data, part.ctypes.data, 0, *x.shape, None) == part.size
        return out

    def pool(self, type, n_in, std):
        key = (type, n_in, std)
        if key not in self.pools:
            self.pools[key] = self.quantized(seeded(type, n_in), type, (POOL, n_in), std)
        return self.pools[key]

    def plain(self, random, shape, kind, gain):
        """What isn't a norm and not quantised."""
        x = random.standard_normal(shape, dtype=np.float32)
        if kind == 'still factors':  # a quarter of the pairs turns
            return np.where(np.arange(shape[0]) < shape[0] // 4, 1, 1e30).astype(np.float32)
        if kind == 'decay':
            return -0.5 - np.abs(x)
        return x * np.float32(gain if kind == 'std' else gain / math.sqrt(shape[-1]))

    def tensor(self, name, shape, kind, gain):
        """The bytes as an array of the byte shape. Norms are F32."""
        random = seeded(self.f['name'], name)
        if 'norm' not in kind and type_of(self.f, self.mix, name, shape) == Type.F32:
            return self.plain(random, shape, kind, gain)
        if len(shape) == 1:
            x = np.float32(gain) * (1 + np.float32(0.1) * random.standard_normal(shape, dtype=np.float32))
            return x * random.choice(np.array([-1, 1], np.float32), size=shape) if kind == 'signed norm' else x
        if 'attn_output' in name or 'ffn_down' in name:
            gain /= math.sqrt(2 * self.f['n_layer'])
        type = type_of(self.f, self.mix, name, shape)
        std = gain / math.sqrt(shape[-1]) if kind == 'matrix' else gain
        if not name.startswith(('blk.', 'per_layer')):  # two equal rows would be two equal logits
            return self.quantized(random, type, shape, std)
        pool = self.pool(type, shape[-1], std)
        count = math.prod(shape[:-1])
        rows = [random.permutation(POOL) for _ in range(-(-count // POOL))]
        return pool[np.concatenate(rows)[:count]].reshape(*shape[:-1], -1)


def vocabulary(n):
    """SentencePiece: special tokens, bytes, and made-up words of small letters."""
    tokens = ['<unk>', '<s>', '</s>'] + ['<0x%02X>' % b for b in range(256)]
    types = [TokenType.UNKNOWN, TokenType.CONTROL, TokenType.CONTROL] + [TokenType.BYTE] * 256
    for i in range(n - len(tokens)):
        word = ''
        while i >= 0:
            word, i = chr(97 + i % 26) + word, i // 26 - 1
        tokens.append('\u2581' + word)
    return tokens, types + [TokenType.NORMAL] * (n - len(types)), [-float(i) for i in range(n)]


def kind_of(value):
    """The type of a value in a GGUF file, and of an array's items."""
    kinds = {bool: gguf.GGUFValueType.BOOL, int: gguf.GGUFValueType.UINT32, float: gguf.GGUFValueType.FLOAT32}
    if isinstance(value, list):
        return gguf.GGUFValueType.ARRAY, kinds[type(value[0])]
    return kinds[type(value)], None


def write(name, path):
    shape, mix = name.rsplit('.', 1)
    f = dict(dict(base=1e4, eps=1e-5), **SHAPES[shape])
    f = dict(dict(head_dim=f['n_embd'] // f['n_head']), name=name, **f)
    w = gguf.GGUFWriter(path, f['arch'])
    w.add_name(name)
    w.add_file_type(FILE_TYPES[mix])
    w.add_context_length(f['n_ctx'])
    w.add_embedding_length(f['n_embd'])
    w.add_block_count(f['n_layer'])
    if f['arch'] != 'gemma4':
        w.add_feed_forward_length(f['n_ff'])
    w.add_head_count(f['n_head'])
    if f['arch'] != 'lfm2':
        w.add_head_count_kv(f['n_kv'])
    w.add_layer_norm_rms_eps(f['eps'])
    w.add_rope_freq_base(f['base'])
    if f['arch'] == 'llama':
        w.add_rope_dimension_count(f['head_dim'])
        w.add_vocab_size(f['n_vocab'])
    if f['head_dim'] * f['n_head'] != f['n_embd'] and f['arch'] != 'gemma4':
        w.add_key_length(f['head_dim'])
        w.add_value_length(f['head_dim'])
    keys, every = f['make'](f) if 'make' in f else ({}, list(tensors(f)))
    for key, value in keys.items():
        w.add_key_value('%s.%s' % (f['arch'], key), value, *kind_of(value))
    tokens, types, scores = vocabulary(f['n_vocab'])
    w.add_tokenizer_model('llama')
    w.add_tokenizer_pre('default')
    w.add_token_list(tokens)
    w.add_token_types([int(t) for t in types])
    w.add_token_scores(scores)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_unk_token_id(0)

    maker = Maker(f, mix)
    for tensor, dims, *_ in every:
        kind = type_of(f, mix, tensor, dims)
        if kind == Type.F32:
            w.add_tensor_info(tensor, dims, np.dtype(np.float32), 4 * math.prod(dims))
        else:
            bytes = gguf.quant_shape_to_byte_shape(dims, kind)
            w.add_tensor_info(tensor, bytes, np.dtype(np.uint8), math.prod(bytes), kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for i, tensor in enumerate(every):
        w.write_tensor_data(maker.tensor(*tensor))
        print('\r%s: %d of %d tensors' % (name, i + 1, len(every)), end='', file=sys.stderr, flush=True)
    w.close()
    print(file=sys.stderr)


def main():
    ap = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    ap.add_argument('names', nargs='*')
    ap.add_argument('--out', default=os.path.join(HERE, '../models/large'))
    ap.add_argument('--list', action='store_true')
    a = ap.parse_args()
    known = ['%s.%s' % (shape, mix) for shape in SHAPES for mix in FILE_TYPES]
    if a.list:
        print('\n'.join(known))
    for name in a.names:
        if name not in known:
            sys.exit('%s: unknown; the names are %s' % (name, ' '.join(known)))
        path = os.path.join(a.out, name + '.gguf')
        if os.path.exists(path):
            continue
        os.makedirs(a.out, exist_ok=True)
        write(name, path + '.part')
        os.rename(path + '.part', path)
        print('%s: %d bytes' % (os.path.relpath(path), os.path.getsize(path)))


if __name__ == '__main__':
    main()
