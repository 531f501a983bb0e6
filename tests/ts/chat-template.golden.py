#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print how jinja2, configured as for Hugging Face, renders the constructs that chat templates use.

    pip install jinja2==3.1.6 gguf==0.19.0
    python tests/ts/chat-template.golden.py models/SmolLM2-135M-Instruct.Q4_1.gguf \\
        > tests/ts/chat-template.golden.json
    python tests/ts/chat-template.golden.py --own models/Qwen2.5-*.gguf > tests/real/chat-template.golden.json

The first golden holds TEMPLATES and SmolLM2's own template. The second holds the own templates of these
files, which use tools.
"""
import json
import os
import sys

from gguf import GGUFReader
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

BOS, EOS = "<|im_start|>", "<|im_end|>"  # of SmolLM2 and of the fixture that the test puts the templates into

TEMPLATES = {
    "a default system turn, loop.first": (
        "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|system|>\nBe kind.<|end|>\n' }}{% endif %}"
        "{{ '<|' + m['role'] + '|>' + '\n' + m['content'] + '<|end|>' + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"),
    "line ends after blocks, indented blocks": (
        "{% for m in messages %}\n    {% if m.role == 'system' %}\n[{{ m.content | trim }}]\n    {% else %}\n"
        "{{ m.role }}: {{ m.content }}\n    {% endif %}\n{% endfor %}\n{% if add_generation_prompt %}\nassistant:{% endif %}\n"),
    "white space control, filters, slices": (
        "{%- if messages[0].role == 'system' -%}\n  {%- set lead = messages[0].content | trim -%}\n  {%- set rest = messages[1:] -%}\n"
        "{%- else -%}\n  {%- set lead = '' -%}\n  {%- set rest = messages -%}\n{%- endif -%}\n{{ bos_token }}\n"
        "{%- for m in rest -%}\n  {%- if (m.role == 'user') != (loop.index0 % 2 == 0) -%}\n    {{ raise_exception('turns must alternate') }}\n"
        "  {%- endif -%}\n  {%- if m.role == 'user' -%}\n    [Q] {{ (lead ~ '\n\n' if loop.first and lead else '') + m.content | trim }} [/Q]\n"
        "  {%- else -%}\n    {{ ' ' ~ m.content | trim ~ eos_token }}\n  {%- endif -%}\n{%- endfor -%}"),
    "namespace, reversed, split, is defined": (
        "{%- set ns = namespace(last=-1, seen=false) %}\n{%- for m in messages[::-1] %}\n  {%- if not ns.seen and m.role == 'user' %}\n"
        "    {%- set ns.last = messages | length - 1 - loop.index0 %}\n    {%- set ns.seen = true %}\n  {%- endif %}\n{%- endfor %}\n"
        "{%- for m in messages %}\n  {%- set text = m.content %}\n  {%- if '</think>' in text %}{% set text = text.split('</think>')[-1].lstrip('\\n') %}{% endif %}\n"
        "  {{- loop.index0 ~ (' *' if loop.index0 == ns.last else '') ~ ' ' ~ m.role ~ '=' ~ text.strip() ~ '|' }}\n{%- endfor %}\n"
        "{%- if add_generation_prompt %}{{- 'assistant=' }}{%- if thinking is defined and thinking is false %}{{- '<no>' }}{%- endif %}{%- endif %}"),
    "macro, tojson, selectattr, string tests": (
        "{%- macro turn(m) -%}<{{ m.role | upper }}>{{ m.content | tojson }}{%- endmacro -%}\n"
        "{%- set asked = messages | selectattr('role', 'equalto', 'user') | list -%}\n{{ asked | length }} asked\n"
        "{%- for m in messages %}\n{{ turn(m) }}\n{%- if m.content is string and m.content.startswith(' ') %} blank{% endif %}\n"
        "{%- if m.name is defined %} by {{ m.name | capitalize }}{% endif %}\n{%- endfor %}"),
}

CONVERSATIONS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [{"role": "system", "content": " Answer in one word.\n"}, {"role": "user", "content": "\nWhich sea?\t"}],
    [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi <b>\"there\"</b> & {{ you }}!"},
     {"role": "assistant", "content": "<think>\nhm\n</think>\n\n Hello.\n"}, {"role": "user", "content": "日本語で 👩‍🚀 é\u0301?", "name": "ann"}],
    [{"role": "user", "content": ""}, {"role": "user", "content": "twice"}],
    [{"role": "user", "content": "{% raw %}\\n $1 {{ bos_token }} <|im_end|>"}, {"role": "assistant", "content": " a  b\n\n\nc "}],
]

TOOLS = [
    {"type": "function", "function": {
        "name": "count_stones",
        "description": "Counts the \"stones\" on a beach: <b>é</b>.",
        "parameters": {
            "type": "object",
            "properties": {
                "beach": {"type": "string"},
                "least": {"type": "integer", "minimum": 0},
                "wet": {"type": "boolean", "default": False}},
            "required": ["beach"]}}},
    {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {}}}},
]
CALLS = [
    {"role": "system", "content": "Use the tools."}, {"role": "user", "content": "How many stones?"},
    {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "count_stones", "arguments": {
            "beach": "Étretat", "least": 3, "wet": True, "not": None, "part": 0.5, "of": [1, "a"]}}},
        {"name": "tide", "arguments": {}}]},
    {"role": "tool", "content": "{\"n\": 12}"}, {"role": "tool", "content": "low"},
    {"role": "assistant", "content": "Twelve."}, {"role": "user", "content": "Thanks."},
]


def environment() -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])

    def raise_exception(message: str):
        raise TemplateError(message)

    env.globals["raise_exception"] = raise_exception
    env.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    return env


def render(template: str, messages: list, add_generation_prompt: bool, **more) -> dict:
    try:
        text = environment().from_string(template).render(
            messages=messages, bos_token=BOS, eos_token=EOS, add_generation_prompt=add_generation_prompt,
            **more)
    except TemplateError as error:
        return {"error": str(error)}
    return {"text": text}


def cases(template: str) -> list:
    return [{"messages": messages, "addGenerationPrompt": add, **render(template, messages, add)}
            for messages in CONVERSATIONS for add in (True, False)]


def own(path: str) -> str:
    return GGUFReader(path).fields["tokenizer.chat_template"].contents()


def with_tools(template: str) -> list:
    pairs = ((CONVERSATIONS[0], TOOLS), (CONVERSATIONS[2], TOOLS[:1]), (CALLS, TOOLS), (CALLS, None))
    return [{"messages": messages, "tools": tools, "addGenerationPrompt": True,
             **render(template, messages, True, **({"tools": tools} if tools else {}))}
            for messages, tools in pairs]


if sys.argv[1] == "--own":
    # BOS and EOS are SmolLM2's: the Qwens' templates use neither.
    golden = {os.path.basename(path): cases(own(path)) + with_tools(own(path)) for path in sys.argv[2:]}
else:
    golden = {"templates": [{"name": name, "template": template, "cases": cases(template)}
                            for name, template in TEMPLATES.items()],
              "smollm2": cases(own(sys.argv[1]))}
print(json.dumps(golden, ensure_ascii=False, indent=1))
