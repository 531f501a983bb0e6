#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes llama.cpp's answers for large models: NAME.json and NAME.logits beside each file.

  python3 tools/make_large_answers.py models/large/NAME.gguf ...

NAME.logits: float32 [tokens of the prompt, vocabulary]. NAME.json: the prompt's ids, the ids of the greedy
continuation and by how much each leads the second-best, and tokens/s of prompt and continuation with one and
two threads. Needs what make_goldens.py needs. Other programs that run at the same time make the figures of
speed worthless.

`noise` is how far llama.cpp itself is from exact, as NMSE. A 7B in F32 is too large to compute exactly here,
so its first two and its first four layers are (of a hybrid four and eight: attention comes late): with F16
weights, whose products round a thousand times finer than those of quantised ones. The noise of all layers
follows from how it grows with their number."""
import json
import math
import os
import sys
import tempfile
import time

import gguf
import llama_cpp as L
import numpy as np

from ggml_types import dequantize
from make_goldens import Run

PROMPT, GREEDY = 24, 16


def first_layers(path, out, n, exact):
    """The model with its first n layers; `exact`: with F16 matrices."""
    reader = gguf.GGUFReader(path)
    arch = reader.fields['general.architecture'].contents()
    w = gguf.GGUFWriter(out, arch)
    n_layer = reader.fields[arch + '.block_count'].contents()
    for key, field in reader.fields.items():
        if key.startswith('GGUF.') or key == 'general.architecture':
            continue
        value = n if key == arch + '.block_count' else field.contents()
        if isinstance(value, list) and key.startswith(arch + '.') and len(value) == n_layer:
            value = value[:n]  # one for each layer
        kind = field.types[0]
        w.add_key_value(key, value, kind, field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None)
    for t in reader.tensors:
        if t.name.startswith('blk.') and int(t.name.split('.')[1]) >= n:
            continue
        if not exact or len(t.shape) == 1:
            w.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
            continue
        # A few rows at a time: in F32 a matrix of an embedding is 0.5 GB.
        parts = [t.data[i:i + 512] for i in range(0, len(t.data), 512)]
        w.add_tensor(t.name, np.concatenate([dequantize(p, t.tensor_type).astype(np.float16) for p in parts]))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def llama_like(path):
    """Whether every layer has attention."""
    return gguf.GGUFReader(path).fields['general.architecture'].contents() not in ('qwen35', 'lfm2')


def noise_of(path, ids, n_layer):
    found, few = [], 2 if llama_like(path) else 4
    for n in (few, 2 * few):
        rows = []
        for exact in (True, False):
            with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as folder:
                part = os.path.join(folder, 'part.gguf')
                first_layers(path, part, n, exact)
                with Run(part, kv='f32' if exact else 'f16', n_ctx=128, threads=2) as run:
                    rows.append(run.prefill(ids).astype(np.float64))
        found.append(float(((rows[1] - rows[0]) ** 2).sum() / (rows[0] ** 2).sum()))
    growth = max(0.0, math.log2(found[1] / found[0]))
    return dict(some=found[0], twice=found[1], all=found[1] * (n_layer / (2 * few)) ** growth)


def answers(path):
    base = path[:-len('.gguf')]
    found = dict(bytes=os.path.getsize(path), speed={})
    for threads in (2, 1):
        with Run(path, n_ctx=128, threads=threads) as run:
            # Any ids will do: the weights are random. A multiplicative generator spreads them.
            ids = [1] + [300 + pow(48271, i, 0x7fffffff) % (run.n_vocab - 300) for i in range(1, PROMPT)]
            run.feed(ids)  # the file is read from disk here
            begin = time.perf_counter()
            logits = run.prefill(ids)
            middle = time.perf_counter()
            for i in range(4):
                run.feed(ids[i:i + 1])
            end = time.perf_counter()
            found['speed'][threads] = dict(prefill=PROMPT / (middle - begin), decode=4 / (end - middle))
            if threads == 2:
                layers = L.llama_model_n_layer(run.model)
                greedy, margins = run.greedy(ids, GREEDY)
                found.update(ids=ids, vocabulary=run.n_vocab, greedy=greedy, margins=margins)
                logits.astype('<f4').tofile(base + '.logits')
    found['noise'] = noise_of(path, ids, layers)
    with open(base + '.json', 'w') as f:
        json.dump(found, f)
    print('%s: greedy %s' % (os.path.basename(path), found['greedy'][:6]), found['speed'], found['noise'])


if __name__ == '__main__':
    for name in sys.argv[1:]:
        answers(name)
