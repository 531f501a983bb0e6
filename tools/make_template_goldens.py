#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Renders the templates of tests/template with Jinja2, set up as Hugging Face transformers does.

    pip install jinja2==3.1.6
    python3 tools/make_template_goldens.py                 # writes tests/template/*.golden
    python3 tools/make_template_goldens.py --check         # fails if a file would change
    python3 tools/make_template_goldens.py --families DIR  # DIR/*.jinja: writes tests/template/families.txt;
                                                           # with --check behind it: compares
    python3 tools/make_template_goldens.py --defaults DIR  # writes tests/model/chat.golden: what families'
                                                           # own templates render, for src/model/chat.c
    python3 tools/make_template_goldens.py --requests DIR OUT  # the cases of DIR as a file of goldens
    python3 tools/make_template_goldens.py --merged DIR OUT    # the same for merge_system

tests/template/snippets.py holds the snippets, styles/ short templates in the styles of chat formats, chats.py
the conversations for them. In merged.golden the text is rendered from messages that merge_system changed, the
variables are those before.

A golden file holds cases: a line `case <bytes of template> <of variables> <of text; -1: an error> name`,
then the template, the variables (JSON) and the text, each with a line end behind it. If the template calls
raise_exception, the bytes are negative, -2 - n, and the text is the message.
"""
from __future__ import annotations

import hashlib
import json
import runpy
import sys
from datetime import datetime
from pathlib import Path

import jinja2
import jinja2.ext
from jinja2.exceptions import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests/template"
NOW = datetime(2026, 3, 9, 7, 5, 3)  # tests/template/goldens.h has the same


class Raised(TemplateError):
    pass


class Generation(jinja2.ext.Extension):
    """transformers marks what the assistant wrote with these blocks. The text stays as it is."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment() -> ImmutableSandboxedEnvironment:
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                        extensions=[Generation, jinja2.ext.loopcontrols])

    def raise_exception(message):
        raise Raised(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda form: NOW.strftime(form)
    return env


ENVIRONMENT = environment()


def render(template: str, variables: str) -> tuple[int, str]:
    """Returns (bytes as in the file, text)."""
    try:
        text = ENVIRONMENT.from_string(template).render(**json.loads(variables))
        return len(text.encode()), text
    except Raised as raised:
        text = str(raised.message)
        return -2 - len(text.encode()), text
    except Exception:  # whatever Python raises is an error of the template
        return -1, ""


def merge_system(variables: dict) -> dict:
    """What llama.cpp does for a template that takes no system message (common/chat.cpp, workaround): the
    first message's text and a line end come before the next message's. Three things are our own: contents
    of parts, which llama.cpp has made strings before; only a user's message is changed; and without one the
    text isn't lost, but a user's message of its own."""
    messages = variables.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else None
    if not isinstance(first, dict) or first.get("role") != "system":
        return variables
    following = messages[1] if len(messages) > 1 else None
    if not isinstance(following, dict) or following.get("role") != "user":
        return {**variables, "messages": [{**first, "role": "user"}, *messages[1:]]}
    text, content = first.get("content"), following.get("content")
    if isinstance(text, list):
        parts, text = text, ""
        for part in parts:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                text += ("\n" if text else "") + part["text"]
    text = (text if isinstance(text, str) else "") + "\n"
    if isinstance(content, list):
        part = content[0] if content else None
        if isinstance(part, dict) and isinstance(part.get("text"), str):
            content = [{**part, "text": text + part["text"]}, *content[1:]]
        else:
            content = [{"type": "text", "text": text}, *content]
    else:
        content = text + (content if isinstance(content, str) else "")
    return {**variables, "messages": [{**following, "content": content}, *messages[2:]]}


def case(name: str, template: str, variables: str, is_merged: bool = False) -> bytes:
    size, text = render(template, encode(merge_system(json.loads(variables))) if is_merged else variables)
    head = f"case {len(template.encode())} {len(variables.encode())} {size} {name}\n"
    return (head + template + "\n" + variables + "\n" + text + "\n").encode()


def encode(value) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def snippets() -> bytes:
    listed = runpy.run_path(str(FOLDER / "snippets.py"))["SNIPPETS"]
    parts = []
    for i, entry in enumerate(listed):
        template, variables = entry if isinstance(entry, tuple) else (entry, {})
        parts.append(case(str(i + 1), template, encode(variables)))
    return b"".join(parts)


def chat(name: str):
    return runpy.run_path(str(FOLDER / "chats.py"))[name]


def conversations() -> dict:
    return chat("CONVERSATIONS")


def chats() -> bytes:
    return b"".join(case(f"{file.stem}, {name}", file.read_text(), encode(variables))
                    for file in sorted((FOLDER / "styles").glob("*.jinja"))
                    for name, variables in conversations().items())


def merged() -> bytes:
    system, base = chat("SYSTEM"), chat("BASE")
    parts = [case(f"{file.stem}, {name}", file.read_text(), encode(variables), True)
             for file in sorted((FOLDER / "styles").glob("*.jinja"))
             for name, variables in conversations().items() if variables["messages"][0] == system]
    refusing = (FOLDER / "styles/no-system.jinja").read_text()
    for name, messages in chat("MERGES").items():
        variables = encode({"messages": messages, **base})
        parts.append(case(f"values, {name}", "{{ messages|tojson }} {{ bos_token }}", variables, True))
        parts.append(case(f"no-system, {name}", refusing, variables, True))
    parts.append(case("no messages at all", "{{ messages }}{{ a }}", '{"a": 1}', True))
    return b"".join(parts)


def families(folder: Path, write) -> None:
    data = conversations()
    for file in sorted(folder.glob("*.jinja")):
        template = file.read_text()
        for name, variables in data.items():
            write(file.stem, name, template, encode(variables))


# Where the text of src/model/chat.c says that it renders as this template does.
DEFAULTS = [("qwen2", "trl qwen3_instruct_2507", lambda messages: True),
            ("qwen2", "trl qwen2_5", lambda messages: messages[0]["role"] == "system"),
            ("qwen2", "huggingface.js qwen2_0.5b", lambda messages: messages[0]["role"] == "system"),
            ("qwen3", "trl qwen3", lambda messages: True),
            ("gemma3", "huggingface.js gemma3_270m", lambda messages: True)]


def defaults(folder: Path) -> bytes:
    """Cases without a template, of conversations whose messages are texts."""
    data = {name: variables for name, variables in conversations().items() if "tools" not in variables and
            all(isinstance(message["content"], str) for message in variables["messages"])}
    data |= {name: {**chat("BASE"), "messages": messages} for name, messages in chat("ANSWERS").items()}
    parts = []
    for architecture, family, takes in DEFAULTS:
        template = (folder / f"{family}.jinja").read_text()
        for name, variables in data.items():
            for prompt in (True, False) if takes(variables["messages"]) else ():
                given = encode({**variables, "add_generation_prompt": prompt})
                size, text = render(template, given)
                parts.append(f"case 0 {len(given.encode())} {max(size, -1)} {architecture} as {family}, {name}\n"
                             f"\n{given}\n{text if size >= 0 else ''}\n".encode())
    return b"".join(parts)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def family_list(folder: Path) -> str:
    texts: dict[str, list[str]] = {}
    sources: dict[str, str] = {}

    def write(family: str, name: str, template: str, variables: str) -> None:
        size, text = render(template, variables)
        sources[family] = digest(template)
        texts.setdefault(family, []).append(f"{min(size, 0)} {text}")
    families(folder, write)
    lines = ["# Templates of model families (repository and name), their SHA-256, and the SHA-256 of what Jinja2 renders",
             "# from each for the conversations of chats.py (the first 16 digits). The templates are their makers' and",
             "# aren't here. tools/make_template_goldens.py --families DIR writes this file."]
    lines += [f"{family} | {sources[family]} | {digest(chr(0).join(texts[family]))}" for family in sorted(texts)]
    return "\n".join(lines) + "\n"


def main() -> int:
    arguments = sys.argv[1:]
    if arguments[:1] == ["--families"]:
        file, text = FOLDER / "families.txt", family_list(Path(arguments[1]))
        if arguments[2:] == ["--check"]:
            known = set(file.read_text().splitlines())
            new = [line for line in text.splitlines() if line not in known]
            print(f"{len(text.splitlines()) - 3} templates, {len(new)} not as in {file.name}", *new, sep="\n")
            return 1 if new else 0
        file.write_text(text)
        return 0
    if arguments[:1] == ["--defaults"]:
        (ROOT / "tests/model/chat.golden").write_bytes(defaults(Path(arguments[1])))
        return 0
    if arguments[:1] in (["--requests"], ["--merged"]):
        parts = []
        families(Path(arguments[1]), lambda family, name, template, variables:
                 parts.append(case(f"{family}, {name}", template, variables, arguments[0] == "--merged")))
        Path(arguments[2]).write_bytes(b"".join(parts))
        return 0
    stale = []
    for name, content in (("snippets.golden", snippets()), ("chats.golden", chats()),
                          ("merged.golden", merged())):
        file = FOLDER / name
        if not file.exists() or file.read_bytes() != content:
            stale.append(name)
            if arguments != ["--check"]:
                file.write_bytes(content)
        print(f"{name}: {content.count(b'case ')} cases")
    if stale and arguments == ["--check"]:
        print("stale:", ", ".join(stale))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
