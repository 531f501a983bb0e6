#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes llama.cpp's embeddings for the models of tests/families/encoders.mjs:
tests/families/embeddings.json.

  python3 tools/make_embedding_goldens.py [NAME ...]

Needs Node and what make_goldens.py needs; exact and native are defined there. With names, only these entries
are replaced. For each model: the ids of texts; `values`, the exact embedding of each (or its labels, where
the pooling is RANK), not normalised, one after another (float32, base64); `native`, the NMSE of llama.cpp's
own embeddings, and `tolerance`, three times as much and at least 1e-5: GELU goes through a table of f16
there."""
import base64
import json
import os
import random
import subprocess
import sys
import tempfile

import llama_cpp as L
import numpy as np

from make_goldens import HERE, exact_file

FAMILIES = os.path.join(HERE, '../tests/families')
LENGTHS = (1, 2, 31, 33, 70, 140)  # around a tile of 32 keys; longer than every window; T5's far buckets
RANK = 4


def embeddings(path, texts):
    mp = L.llama_model_default_params()
    mp.n_gpu_layers, mp.use_extra_bufts = 0, False
    model = L.llama_model_load_from_file(os.fsencode(path), mp)
    if not model:
        raise SystemExit('llama.cpp refuses ' + path)
    cp = L.llama_context_default_params()
    cp.n_ctx = cp.n_batch = cp.n_ubatch = 256
    cp.n_threads = cp.n_threads_batch = 1
    cp.embeddings, cp.flash_attn_type, cp.type_k, cp.type_v = True, 0, 0, 0
    context = L.llama_init_from_model(model, cp)
    is_rank = L.llama_pooling_type(context) == RANK
    width = L.llama_model_n_cls_out(model) if is_rank else L.llama_model_n_embd(model)
    rows = []
    for ids in texts:
        memory = L.llama_get_memory(context)
        if memory:
            L.llama_memory_clear(memory, True)
        batch = L.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for i, id in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = id, i, 1, 1
            batch.seq_id[i][0] = 0
        assert L.llama_decode(context, batch) == 0
        rows.append(np.ctypeslib.as_array(L.llama_get_embeddings_seq(context, 0), (width,)).copy())
        L.llama_batch_free(batch)
    L.llama_free(context)
    L.llama_model_free(model)
    return np.array(rows)


def golden(path, directory):
    texts = []
    for n in LENGTHS:
        generator = random.Random(os.path.basename(path) + str(n))
        texts.append([generator.randrange(256) for _ in range(n)])
    exact = embeddings(exact_file(path, directory), texts)
    native = embeddings(path, texts)
    power = (exact.astype(np.float64) ** 2).sum()
    nmse = float((((native - exact).astype(np.float64)) ** 2).sum() / power)
    return dict(texts=texts, width=exact.shape[1], native=float('%.3g' % nmse), tolerance=float('%.3g' %
    max(1e-5, 3 * nmse)),
                values=base64.b64encode(exact.astype('<f4').tobytes()).decode())


def main():
    path = os.path.join(FAMILIES, 'embeddings.json')
    names = sys.argv[1:]
    out = json.load(open(path)) if names and os.path.exists(path) else {}
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as models:
        subprocess.run(['node', os.path.join(FAMILIES, 'encoders.mjs'), models, *names], check=True)
        for file in sorted(os.listdir(models)):
            name = file[:-len('.gguf')]
            out[name] = golden(os.path.join(models, file), directory)
            print('%-24s native %.1e' % (name, out[name]['native']), flush=True)
    with open(path, 'w') as f:
        lines = ['"%s": %s' % (k, json.dumps(out[k], separators=(',', ':'))) for k in sorted(out)]
        f.write('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    main()
