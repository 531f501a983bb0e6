# SPDX-License-Identifier: Apache-2.0
"""A prompt of ids and a greedy continuation by llama.cpp, behind the first `depth` ids of a text. Reads
{file, threads, ids, depths, prompt, tokens} as JSON. Prints milliseconds of the prompt and of a token for
each depth. Needs llama-cpp-python."""
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
    options.n_ctx, options.n_batch, options.n_ubatch = len(plan['ids']) + plan['tokens'] + 256, 512, 512
    options.n_threads = options.n_threads_batch = plan['threads']
    context = l.llama_init_from_model(model, options)
    greedy = l.llama_sampler_init_greedy()

    def feed(ids):
        for at in range(0, len(ids), 512):
            part = ids[at:at + 512]
            tokens = (l.llama_token * len(part))(*part)
            assert l.llama_decode(context, l.llama_batch_get_one(tokens, len(part))) == 0
        return l.llama_sampler_sample(greedy, context, -1)

    ids, memory = plan['ids'], l.llama_get_memory(context)
    feed(ids[:64])  # the weights are read here
    feed([300])
    found, held = [], 0
    for depth in plan['depths']:
        l.llama_memory_seq_rm(memory, 0, held, -1)
        if depth > held:
            feed(ids[held:depth])
        begin = time.perf_counter()
        token = feed(ids[depth:depth + plan['prompt']])
        middle = time.perf_counter()
        for _ in range(plan['tokens']):
            token = feed([token])
        end = time.perf_counter()
        held = depth + plan['prompt']
        found.append({'prompt': (middle - begin) * 1000, 'token': (end - middle) * 1000 / plan['tokens']})
    print(json.dumps(found))


main()
