#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print the token ids that llama-server makes of rendered chats, over fixtures of each vocabulary.

    pip install jinja2==3.1.6 llama-cpp-python==0.3.36
    python tests/ts/template-tokens.golden.py > tests/ts/template-tokens.golden.json

Jinja2 renders, set up as tools/make_template_goldens.py does it. As common/chat.cpp of llama.cpp does, a BOS
at the text's start is taken away if the tokenizer adds one, and an EOS at the text's end likewise. The rest
is tokenised with special tokens added and parsed. The golden has the number of ids, and the first 16 digits
of the SHA-256 of the ids with commas between them.
"""
import contextlib
import hashlib
import json
import os
import runpy
import sys
from pathlib import Path

import llama_cpp

ROOT = Path(__file__).resolve().parents[2]
GOLDENS = runpy.run_path(str(ROOT / "tools/make_template_goldens.py"), run_name="goldens")
CHATS = runpy.run_path(str(ROOT / "tests/template/chats.py"))["CONVERSATIONS"]
FIXTURES = ["f16-d128-spm", "q4_1-smollm", "gemma3-f32", "qwen2-q4_k"]
# What the tokenizer adds: as the file says, both, neither.
ADDS = [None, True, False]
# Beside tests/template/styles: where BOS, EOS and other special tokens stand.
SHAPES = {
    "chatml": "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
              "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}",
    "gemma": "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
             "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}",
    "eos behind each turn": "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}",
    "bos before each turn": "{% for m in messages %}{{ bos_token }}{{ m.role }}: {{ m.content }}{% endfor %}",
    "two of each": "{{ bos_token }}{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}{{ eos_token }}{{ eos_token }}",
    "blanks around": "\n {{ bos_token }} {% for m in messages %}{{ m.content }}{% endfor %} {{ eos_token }} \n",
    "blanks behind bos": "{{ bos_token }}  {% for m in messages %} {{ m.content }} {% endfor %}",
    "bos alone": "{{ bos_token }}",
}
PLAIN = ["one turn", "system", "turns", "no prompt"]


def templates() -> dict:
    styles = {file.stem: file.read_text().replace('strftime_now("%d %b %Y")', '"09 Mar 2026"')
              for file in sorted((ROOT / "tests/template/styles").glob("*.jinja"))}
    return {**SHAPES, **styles}


def cases(model: llama_cpp.Llama, adds_bos: bool, adds_eos: bool) -> list:
    vocab = llama_cpp.llama_model_get_vocab(model.model)

    def text_of(token: int) -> str:
        return llama_cpp.llama_vocab_get_text(vocab, token).decode() if token >= 0 else ""
    bos, eos = text_of(model.token_bos()), text_of(model.token_eos())
    found = []
    for name, template in templates().items():
        for chat in PLAIN:
            variables = {"messages": CHATS[chat]["messages"], "tools": None, "documents": None, "bos_token": bos,
                         "eos_token": eos, "add_generation_prompt": CHATS[chat]["add_generation_prompt"]}
            size, text = GOLDENS["render"](template, json.dumps(variables))
            if size < 0:
                continue
            if adds_bos and bos and text.startswith(bos):
                text = text[len(bos):]
            if adds_eos and eos and text.endswith(eos):
                text = text[:-len(eos)]
            ids = model.tokenize(text.encode(), add_bos=True, special=True)
            digest = hashlib.sha256(",".join(map(str, ids)).encode()).hexdigest()[:16]
            found.append({"template": name, "chat": chat, "ids": len(ids), "sha256": digest})
    return found


def main() -> None:
    golden = {"templates": templates(), "chats": {name: CHATS[name] for name in PLAIN}, "runs": []}
    for fixture in FIXTURES:
        for adds in ADDS:
            overrides = {} if adds is None else {"tokenizer.ggml.add_bos_token": adds, "tokenizer.ggml.add_eos_token": adds}
            with open(os.devnull, "w") as sink, contextlib.redirect_stderr(sink):
                model = llama_cpp.Llama(str(ROOT / f"tests/golden/{fixture}.gguf"), vocab_only=True, verbose=False,
                                        kv_overrides=overrides or None)
            vocab = llama_cpp.llama_model_get_vocab(model.model)
            golden["runs"].append({"fixture": fixture, "adds": adds, "cases": cases(
                model, llama_cpp.llama_vocab_get_add_bos(vocab), llama_cpp.llama_vocab_get_add_eos(vocab))})
    json.dump(golden, sys.stdout, ensure_ascii=False, indent=1)
    print()


main()
