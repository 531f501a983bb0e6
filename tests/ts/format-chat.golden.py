#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print llama.cpp's renderings of the prompt forms that format_chat shares with it (alpaca isn't among them).

    pip install llama-cpp-python==0.3.36
    python tests/ts/format-chat.golden.py > tests/ts/format-chat.golden.json
"""
import ctypes
import json
import llama_cpp

FORMS = {"chatml": b"chatml", "llama2": b"llama2-sys-strip", "llama3": b"llama3", "gemma": b"gemma"}
TEXTS = [
    ("You are a helpful assistant.", "What is the capital of France?"),
    ("", "Hello"),
    ("  Answer in one word.\n", "\n Which sea? \t"),
    ("{% raw %} {{ system }}", "</s> <|im_end|> $1 {user} \\n"),
    ("Tu réponds en français. 日本語 👩‍🚀", "Zwei\n\nAbsätze"),
]


def render(form: bytes, system: str, user: str) -> str:
    turns = ([("system", system)] if system else []) + [("user", user)]
    chat = (llama_cpp.llama_chat_message * len(turns))(*[
        llama_cpp.llama_chat_message(role=role.encode(), content=text.encode()) for role, text in turns])
    buffer = ctypes.create_string_buffer(4096)
    n = llama_cpp.llama_chat_apply_template(form, chat, len(turns), True, buffer, 4096)
    assert 0 < n < 4096
    return buffer.raw[:n].decode()


print(json.dumps([
    {"format": name, "system": system, "user": user, "text": render(form, system, user)}
    for name, form in FORMS.items() for system, user in TEXTS
], ensure_ascii=False, indent=1))
