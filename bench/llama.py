# SPDX-License-Identifier: Apache-2.0
"""llama.cpp for the measuring programs of files/ and embeddings/. Needs llama-cpp-python."""
import ctypes

import llama_cpp as l

# llama.cpp keeps the callback, so it must live as long as the program.
quiet = l.llama_log_callback(lambda level, text, data: None)


def load(file):
    """The model of a GGUF file, on the CPU, without messages."""
    l.llama_log_set(quiet, ctypes.c_void_p(0))
    options = l.llama_model_default_params()
    options.n_gpu_layers = 0
    model = l.llama_model_load_from_file(file.encode(), options)
    if not model:
        raise SystemExit("llama.cpp doesn't load the file")
    return model
