# SPDX-License-Identifier: Apache-2.0
"""A prompt of ids and a greedy continuation by llama.cpp: reads {file, threads, prompt, tokens} as JSON,
prints milliseconds of the prompt and of a token. Needs llama-cpp-python."""
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
    options.n_ctx, options.n_batch, options.n_ubatch = 1024, 512, 512
    options.n_threads = options.n_threads_batch = plan['threads']
    context = l.llama_init_from_model(model, options)
    greedy = l.llama_sampler_init_greedy()

    def feed(ids):
        tokens = (l.llama_token * len(ids))(*ids)
        assert l.llama_decode(context, l.llama_batch_get_one(tokens, len(ids))) == 0
        return l.llama_sampler_sample(greedy, context, -1)

    feed(plan['prompt'][:64])  # the weights are read here
    feed([300])
    l.llama_memory_clear(l.llama_get_memory(context), True)
    begin = time.perf_counter()
    token = feed(plan['prompt'])
    middle = time.perf_counter()
    for _ in range(plan['tokens']):
        token = feed([token])
    end = time.perf_counter()
    print(json.dumps({'prompt': (middle - begin) * 1000, 'token': (end - middle) * 1000 / plan['tokens']}))


main()
