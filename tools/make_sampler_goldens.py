#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/golden/sampler.txt: which tokens llama.cpp's sampler chain keeps, and their probabilities.

    python tools/make_sampler_goldens.py        (needs llama-cpp-python; nothing else)

One logit vector (distinct multiples of 1/256) and one history of tokens serve all cases. A case is one
line,

    case n_history top_k top_p min_p temperature repetition frequency presence n_bias {id value}
         n_kept {id probability}

with the candidates in descending order. The chain is logit bias, penalties, top-k, top-p, min-p, temperature,
dist. n_history is the number of the history's last tokens that the sequence holds.
"""
import ctypes
import random
from pathlib import Path

import llama_cpp as L

N_VOCAB, N_HISTORY, WINDOW = 256, 100, 64

#        history top_k top_p min_p  temp   rep  freq   pres  bias
CASES = [(0,     0,    1.0,  0.0,   1.0,   1.0, 0.0,   0.0,  []),
         (0,     5,    1.0,  0.0,   1.0,   1.0, 0.0,   0.0,  []),
         (0,     1,    1.0,  0.0,   2.0,   1.0, 0.0,   0.0,  []),
         (0,     200,  1.0,  0.0,   3.0,   1.0, 0.0,   0.0,  []),
         (0,     999,  1.0,  0.0,   3.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    0.9,  0.0,   1.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    0.5,  0.0,   4.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    0.999, 0.0,  8.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    0.0,  0.0,   1.0,   1.0, 0.0,   0.0,  []),
         (0,     20,   0.7,  0.0,   2.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    1.0,  0.05,  1.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    1.0,  0.001, 8.0,   1.0, 0.0,   0.0,  []),
         (0,     0,    1.0,  1.0,   1.0,   1.0, 0.0,   0.0,  []),
         (0,     40,   0.95, 0.05,  0.8,   1.0, 0.0,   0.0,  []),
         (0,     40,   0.95, 0.2,   5.0,   1.0, 0.0,   0.0,  []),
         (64,    0,    1.0,  0.0,   1.0,   1.3, 0.0,   0.0,  []),
         (10,    30,   1.0,  0.0,   6.0,   1.5, 0.0,   0.0,  []),
         (100,   60,   1.0,  0.0,   6.0,   1.5, 0.0,   0.0,  []),
         (100,   60,   1.0,  0.0,   6.0,   1.0, 0.6,   0.0,  []),
         (100,   60,   1.0,  0.0,   6.0,   1.0, 0.0,   1.7,  []),
         (100,   60,   0.98, 0.01,  6.0,   1.1, 0.3,   0.4,  []),
         (100,   60,   0.98, 0.01,  6.0,   0.7, -0.3,  -0.4, []),
         (0,     20,   1.0,  0.0,   4.0,   1.0, 0.0,   0.0,  [(3, 9.5), (200, 7.25), (17, 8.0)]),
         (100,   60,   0.97, 0.02,  3.0,   1.2, 0.25,  0.5,  [(0, 6.0), (1, 6.5), (2, -4.0), (255, 7.0)])]


def llama_chain(case, history, logits):
    n, top_k, top_p, min_p, temperature, repetition, frequency, presence, bias = case
    chain = L.llama_sampler_chain_init(L.llama_sampler_chain_default_params())
    pairs = (L.llama_logit_bias * max(1, len(bias)))(*[L.llama_logit_bias(i, v) for i, v in bias])
    for sampler in (L.llama_sampler_init_logit_bias(N_VOCAB, len(bias), pairs),
                    L.llama_sampler_init_penalties(N_VOCAB, WINDOW, repetition, frequency, presence),
                    L.llama_sampler_init_top_k(top_k),
                    L.llama_sampler_init_top_p(top_p, 1),
                    L.llama_sampler_init_min_p(min_p, 1),
                    L.llama_sampler_init_temp(temperature),
                    L.llama_sampler_init_dist(1)):
        L.llama_sampler_chain_add(chain, sampler)
    for token in history[len(history) - n:]:
        L.llama_sampler_accept(chain, token)
    data = (L.llama_token_data * N_VOCAB)(*[L.llama_token_data(i, x, 0.0) for i, x in enumerate(logits)])
    candidates = L.llama_token_data_array(data, N_VOCAB, -1, False)
    L.llama_sampler_apply(chain, ctypes.byref(candidates))
    kept = [(candidates.data[i].id, candidates.data[i].p) for i in range(candidates.size)]
    L.llama_sampler_free(chain)
    return sorted(kept, key=lambda pair: -pair[1])


def main():
    rng = random.Random(3)
    steps = rng.sample(range(-8 * 256, 3 * 256), N_VOCAB - 12) + rng.sample(range(3 * 256, 9 * 256), 12)
    rng.shuffle(steps)
    # Likely and unlikely tokens; many of them occur more than once.
    history = [rng.choice(sorted(range(N_VOCAB), key=lambda i: -steps[i])[:rng.choice([12, 40, N_VOCAB])])
               for _ in range(N_HISTORY)]
    lines = [f"# llama-cpp-python {L.__version__}; written by tools/make_sampler_goldens.py",
             "logits " + " ".join(map(str, [N_VOCAB] + steps)),
             "history " + " ".join(map(str, [N_HISTORY] + history))]
    for case in CASES:
        kept = llama_chain(case, history, [s / 256 for s in steps])
        *numbers, bias = case
        lines.append(" ".join(["case", *map(str, numbers), str(len(bias)), *(f"{i} {v}" for i, v in bias),
                               str(len(kept)), *(f"{i} {p:.9g}" for i, p in kept)]))
    path = Path(__file__).resolve().parent.parent / "tests" / "golden" / "sampler.txt"
    path.write_text("\n".join(lines) + "\n")
    print(f"{path.name}: {len(CASES)} cases, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
