# SPDX-License-Identifier: Apache-2.0
"""llama.cpp through llama-cpp-python, where node-llama-cpp isn't to be had; as native.mjs, and measures as
measure.mjs does.

`native.py --version` prints the version and fails when the module isn't there. Text is tokenised as the file
says.
"""
import ctypes
import json
import resource
import sys
import time

import llama_cpp as l


def main() -> None:
    if sys.argv[1:] == ["--version"]:
        print(l.__version__)
        return
    plan = json.load(sys.stdin)
    quiet = l.llama_log_callback(lambda level, text, data: None)
    l.llama_log_set(quiet, ctypes.c_void_p(0))
    l.llama_backend_init()

    def load():
        options = l.llama_model_default_params()
        options.n_gpu_layers = 0
        model = l.llama_model_load_from_file(plan["file"].encode(), options)
        if not model:
            raise SystemExit("llama.cpp doesn't load the file")
        options = l.llama_context_default_params()
        options.n_ctx = options.n_batch = plan["contextLength"]
        options.n_threads = options.n_threads_batch = plan["threads"]
        return model, l.llama_init_from_model(model, options), l.llama_model_get_vocab(model)

    begin = time.perf_counter()
    model, context, vocabulary = load()
    load_ms = (time.perf_counter() - begin) * 1000
    greedy = l.llama_sampler_init_greedy()

    def decode(ids: list[int]) -> int:
        array = (l.llama_token * len(ids))(*ids)  # the batch only points at it
        if l.llama_decode(context, l.llama_batch_get_one(array, len(ids))) != 0:
            raise SystemExit("llama_decode failed")
        return l.llama_sampler_sample(greedy, context, -1)

    def run(prompt: dict, most: int) -> tuple[float, float, list[int]]:
        l.llama_memory_clear(l.llama_get_memory(context), True)
        begin = time.perf_counter()
        text = prompt["text"].encode()
        room = (l.llama_token * (len(text) + 8))()
        n = l.llama_tokenize(vocabulary, text, len(text), room, len(room), True, True)
        if n != prompt["count"]:
            raise SystemExit(f"tokens of the prompt: {n}, not {prompt['count']}")
        out = [decode(list(room[:n]))]
        first = time.perf_counter()
        while len(out) < most:
            out.append(decode([out[-1]]))
        return first - begin, time.perf_counter() - first, out

    def text_of(ids: list[int]) -> str:
        data = b""
        piece = ctypes.create_string_buffer(256)
        for token in ids:
            n = l.llama_token_to_piece(vocabulary, token, piece, 256, 0, True)
            data += piece.raw[: max(0, n)]
        return data.decode(errors="replace")

    run(plan["warmUp"]["prompt"], plan["warmUp"]["tokens"])
    steps = {}
    for step in plan["steps"]:
        if "abortMs" in step or "load" in step:
            continue  # as node-llama-cpp: a decode that runs can't be stopped from here
        read, written, ids = run(step["prompt"], step["tokens"])
        steps[step["name"]] = {
            "count": step["prompt"]["count"], "firstMs": read * 1000, "promptMs": read * 1000,
            "tokens": len(ids) - 1, "decodeMs": written * 1000, "text": text_of(ids),
        }
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for step in plan["steps"]:
        if "load" not in step:
            continue
        l.llama_free(context)
        l.llama_model_free(model)
        begin = time.perf_counter()
        model, context, vocabulary = load()
        ids = run(step["prompt"], 1)[2]
        steps[step["name"]] = {"startMs": (time.perf_counter() - begin) * 1000, "text": text_of(ids)}
    print(json.dumps({
        "loadMs": load_ms, "steps": steps, "memoryBytes": memory,
        "threads": plan["threads"], "version": "llama.cpp of that release",
    }))


main()
