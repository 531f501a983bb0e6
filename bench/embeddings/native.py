# SPDX-License-Identifier: Apache-2.0
"""Embeddings by llama.cpp: reads {file, threads, texts, repeat} as JSON, prints milliseconds of all texts in
batches of up to 2,048 tokens, and of one call each. Needs llama-cpp-python."""
import json
import os
import sys
import time

import llama_cpp as l

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))
from llama import load


def main():
    plan = json.load(sys.stdin)
    model = load(plan['file'])
    options = l.llama_context_default_params()
    options.n_ctx = options.n_batch = options.n_ubatch = 2048
    options.n_seq_max = 256
    options.kv_unified = True
    options.embeddings = True
    options.pooling_type = l.LLAMA_POOLING_TYPE_MEAN
    options.n_threads = options.n_threads_batch = plan['threads']
    context = l.llama_init_from_model(model, options)
    batch = l.llama_batch_init(2048, 0, 1)

    def compute(texts):
        at = 0
        for k, ids in enumerate(texts):
            for i, token in enumerate(ids):
                batch.token[at], batch.pos[at], batch.n_seq_id[at] = token, i, 1
                batch.seq_id[at][0], batch.logits[at] = k, True
                at += 1
        batch.n_tokens = at
        assert l.llama_encode(context, batch) == 0
        for k in range(len(texts)):
            assert l.llama_get_embeddings_seq(context, k)

    groups, room = [[]], 2048
    for ids in plan['texts']:
        if len(ids) > room or len(groups[-1]) == 256:
            groups.append([])
            room = 2048
        groups[-1].append(ids)
        room -= len(ids)
    compute(groups[0])
    found = {'together': [], 'each': []}
    for _ in range(plan['repeat']):
        begin = time.perf_counter()
        for group in groups:
            compute(group)
        middle = time.perf_counter()
        for ids in plan['texts']:
            compute([ids])
        found['together'].append((middle - begin) * 1000)
        found['each'].append((time.perf_counter() - middle) * 1000)
    print(json.dumps(found))


main()
