#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Checks the rules of this project that a script can check. Prints each breach as file:line and exits 1.

  includes   which room may include or import which (the tables below, and the table in ARCHITECTURE.md)
  freestanding  no libc header and no libc call in src/, host/native and cli excepted
  globals    no mutable file-scope data in src/: no .data or .bss segment in build/wasm's object files
  paths      no path of a developer's machine and no registry address in any file of the repository
  licence    an SPDX line in every source file
  width      a line of a source has at most 110 columns, with a comment in C 109 (see
             .clang-format). A line is exempt if one string or regular expression alone makes it too long:
             the formatters don't break one, and a search finds only a message that is in one piece.
             Generated files (GENERATED) and documents are exempt.
  pronouns   no thread is a person in a comment or a document: "he", "his", "him"

`--self-test` writes a small tree that breaks every rule, and fails unless each breach is found.
"""
from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# room -> other rooms that it may include. Every room may include include/.
ENGINE = {"base", "format", "quant", "text", "program", "kernels", "model", "exec", "session", "template"}
C_RULES = {
    "base": set(),
    "format": {"base"}, "quant": {"base"}, "text": {"base"}, "program": {"base"},
    "kernels": {"base", "quant"},
    "model": {"base", "format", "quant", "text", "program"},
    "exec": {"base", "quant", "kernels", "program"},
    "session": {"base", "text", "program"},
    "template": {"base"},
    "engine": ENGINE,
    "host": {"engine", "base", "template"},
    "cli": {"engine", "base", "host", "program", "template"},  # program: what `info --program` prints
}
DETECT = {"wasm/detect", "webgpu/detect"}
# webgpu.js has these two files beside the executor: they read an instance, whose code is another file's.
ONTO = {"webgpu/load", "webgpu/program"}
# The client reaches worker/host by import() alone, for `worker: false`, which runs it in the caller's thread.
# platform.ts (what differs between Node and browsers) imports nothing, like errors.ts. Rooms that take values
# from a caller may import check.ts (checks of values) and options.ts (the numbers that a caller may set).
VALUES = {"errors", "check", "options"}
SHARED = VALUES | {"abi", "executor", "continuation", "files", "platform", "wasm", "webgpu", "load", "store", "chat",
                   "template", "unpacked", "paging"} | ONTO
TS_RULES = {
    "abi": set(), "errors": set(), "platform": set(), "wasm/detect": set(), "webgpu/detect": {"errors", "platform"},
    "files": {"platform", "check"} | DETECT,
    "executor": {"abi", "options"}, "check": {"errors"}, "options": {"check"},
    "continuation": {"executor", "errors", "options", "wasm"},
    "paging": {"abi", "errors", "options", "platform", "wasm"} | DETECT,
    "wasm": VALUES | {"abi", "executor", "platform", "unpacked"} | DETECT,
    "webgpu": VALUES | {"abi", "executor", "platform"} | DETECT | ONTO,
    "webgpu/program": {"abi", "errors", "executor", "wasm"},
    "webgpu/load": {"errors", "wasm", "webgpu", "webgpu/program"},
    "load": {"errors", "check", "platform"}, "chat": VALUES | {"template"},
    "packed": set(), "unpacked": set(), "template": {"abi", "errors", "platform", "packed", "unpacked"},
    "store": {"errors", "platform", "load", "paging"},
    "model": SHARED | DETECT, "worker": SHARED | DETECT, "worker/protocol": SHARED | DETECT,
    "worker/host": SHARED | DETECT | {"worker/protocol"},
    "client": VALUES | {"worker/protocol", "worker/host", "load", "store", "chat", "template", "files", "platform"} | DETECT,
    "cli": {"index"}, "inline": {"index", "errors", "files", "packed"},
}
# Modules that tools/build.mjs makes, and the files that may import them.
MADE = {("packed-files", "ts/inline.ts"), ("packed-template", "ts/template/packed.ts"),
        ("wgsl-texts", "ts/webgpu/pipelines.ts")}
WIDTH = 110
GENERATED = {"src/text/unicode_tables.c", "src/text/fold_tables.c", "tests/quant/goldens.h", "ts/abi/abi.gen.ts"}
SOURCE = re.compile(r"(src|include|ts|tools|examples|bench|tests)/.*\.(c|h|def|ts|mjs|js|py|sh)")
DOCUMENT = re.compile(r"(docs/)?[A-Z]+\.md|(bench|tests/golden)/README\.md")
LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|`(?:\\.|[^`\\])*`')
PERSON = re.compile(r"\b(?:he|his|him|himself)\b", re.I)
HOSTED = ("src/host/native/", "src/cli/")
FREE_HEADERS = {"stddef.h", "stdint.h", "stdbool.h", "float.h", "limits.h", "stdarg.h", "stdatomic.h"}
VECTOR_HEADERS = {"wasm_simd128.h", "arm_neon.h", "smmintrin.h", "emmintrin.h", "tmmintrin.h", "immintrin.h",
                  "cpuid.h"}
VECTOR_FILES = ("src/base/simd", "src/kernels/isa_")
LIBC_CALL = re.compile(
    r"(?<![\w.>])(mem(?:cpy|move|set|cmp|chr)|str(?:n?len|n?cpy|n?cat|n?cmp|chr|rchr|str|to[a-z]+)|[vsn]*printf|"
    r"f?puts|putchar|malloc|calloc|realloc|free|alloca|abort|exit|assert|qsort|bsearch|setjmp|longjmp|"
    r"fopen|fread|fwrite|getenv|time|clock|rand|"
    r"(?:sin|cos|tan|exp|exp2|log|log2|log10|pow|sqrt|fabs|floor|ceil|round|trunc|fmod|tanh|erf|fmin|fmax|"
    r"ldexp|lrint|nearbyint)[fl]?)\s*\(")
MACHINE_PATH = re.compile(r"(?<![\w.:/$}-])/(?:home|root|Users|work|private/var)/[\w.-]+")
REGISTRY = re.compile(r"https?://(?:registry\.|files\.pythonhosted|pypi\.)|\"resolved\":")


def strip_c(text: str) -> str:
    """Returns the text with comments and literals blanked out. Line numbers stay the same."""
    def blank(m: re.Match) -> str:
        return re.sub(r"[^\n]", " ", m.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def numbered(pattern: str, text: str):
    for m in re.finditer(pattern, text, flags=re.M):
        yield text.count("\n", 0, m.start()) + 1, m.group(1)


def check_c(root: Path, file: Path, found: list[str]) -> None:
    name = file.relative_to(root).as_posix()
    text = file.read_text()
    room = name.split("/")[1] if name.startswith("src/") else None
    hosted = name.startswith(HOSTED)
    for line, target in numbered(r'^\s*#\s*include\s*"([^"]+)"', text):
        to = (file.parent / target).resolve()
        if not to.exists() and (root / "include" / target).exists():  # found by -I include
            continue
        if not to.is_relative_to(root.resolve()):
            found.append(f"{name}:{line}: includes {target}, outside the repository")
            continue
        inside = to.relative_to(root.resolve()).as_posix()
        if room and not inside.startswith("include/"):
            other = inside.split("/")[1] if inside.startswith("src/") else inside
            if other != room and other not in C_RULES.get(room, set()):
                found.append(f"{name}:{line}: {room} may not include {inside}")
        elif name.startswith(("include/", "examples/")) and not inside.startswith("include/"):
            found.append(f"{name}:{line}: a user of the library includes {inside}")
    if not room or hosted:
        return
    for line, header in numbered(r"^\s*#\s*include\s*<([^>]+)>", text):
        if header not in FREE_HEADERS and not (header in VECTOR_HEADERS and name.startswith(VECTOR_FILES)):
            found.append(f"{name}:{line}: <{header}> in the freestanding core")
    code = strip_c(text)
    code = re.sub(r"__builtin_(\w+)", lambda m: "_" * len(m.group()), code)
    for m in LIBC_CALL.finditer(code):
        line = code.count("\n", 0, m.start()) + 1
        found.append(f"{name}:{line}: calls {m.group(1)}() of libc")


def ts_room(inside: str) -> str:
    """ts/wasm/memory.ts -> wasm. A file with rules of its own is its own room."""
    stem = re.sub(r"\.(ts|js|mjs)$", "", inside)
    if stem in DETECT | ONTO or stem in ("worker/protocol", "worker/host") or "/" not in stem:
        return stem
    return stem.split("/")[0]


def check_ts(root: Path, file: Path, found: list[str]) -> None:
    name = file.relative_to(root).as_posix()
    text = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group()), file.read_text(), flags=re.S)
    text = re.sub(r"^\s*//.*$", "", text, flags=re.M)
    imports = (r"""^\s*(?:import|export)\b[^;'"]*?\bfrom\s*['"]([^'"]+)['"]|"""
               r"""^\s*import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]""")
    # Parcel replaces the bare name by a package that a project must install.
    if name.startswith("ts/") and not name.startswith("ts/cli/"):
        for m in re.finditer(r"(?<![\w.$'])process\.\w", text):
            line = text.count("\n", 0, m.start()) + 1
            found.append(f"{name}:{line}: write globalThis.process, or a helper of platform.ts")
    for m in re.finditer(imports, text, flags=re.M):
        target = m.group(1) or m.group(2) or m.group(3)
        line = text.count("\n", 0, m.start(m.lastindex)) + 1
        if name.startswith("examples/"):
            example = (root / "/".join(name.split("/")[:2])).resolve()
            path = (file.parent / target).resolve()
            # A file beside the folders, examples/models.mjs, is common to all pages.
            own = target.startswith(".") and (path.is_relative_to(example) or path.parent == example.parent)
            public = target.startswith(("wasm-chord", "node:")) or re.fullmatch(r"(\.\./)+dist/[\w-]+\.js", target)
            public = public or target == example.name  # examples/react is for those who have React
            if not (public or own):
                found.append(f"{name}:{line}: an example imports {target}, not the public package")
            continue
        if not target.startswith("."):
            made = (target, name) in MADE
            if not (target.startswith("node:") or made):
                found.append(f"{name}:{line}: imports the package {target}")
            continue
        room = ts_room(name[3:])
        if room == "index":
            continue
        other = ts_room((file.parent / target).resolve().relative_to((root / "ts").resolve()).as_posix())
        whole = room.split("/")[0] == other and room != "worker/protocol" and room not in DETECT
        same = other == room or other.split("/")[0] == room or whole
        if not same and other not in TS_RULES.get(room, set()):
            found.append(f"{name}:{line}: {room} may not import {other}")


def leb(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def segment_names(data: bytes) -> list[str]:
    """Returns the names of the data segments of a relocatable wasm object (tool-conventions, Linking.md)."""
    at, names = 8, []
    while at < len(data):
        section, at = data[at], at + 1
        size, at = leb(data, at)
        end = at + size
        if section == 0:
            n, begin = leb(data, at)
            if data[begin:begin + n] == b"linking":
                _, p = leb(data, begin + n)
                while p < end:
                    kind, p = data[p], p + 1
                    length, p = leb(data, p)
                    stop = p + length
                    if kind == 5:  # WASM_SEGMENT_INFO
                        count, p = leb(data, p)
                        for _ in range(count):
                            n, p = leb(data, p)
                            names.append(data[p:p + n].decode())
                            _, p = leb(data, p + n)
                            _, p = leb(data, p)
                    p = stop
        at = end
    return names


def check_globals(root: Path, found: list[str]) -> int:
    n = 0
    for file in sorted((root / "build/wasm").glob("*/src/**/*.o")):
        n += 1
        for segment in segment_names(file.read_bytes()):
            mutable = segment.startswith((".data", ".bss", ".tdata", ".tbss"))
            if mutable and not segment.startswith(".data.rel.ro"):
                found.append(f"{file.relative_to(root)}: mutable data {segment}")
    return n


def split_comments(name: str, text: str) -> tuple[str, str]:
    """Returns (comments, code), each with the other blanked out. Line numbers stay the same. A Python
    docstring is a comment."""
    kept = r'#[^\n]*|(?<=\n)[ \t]*"{3}.*?"{3}' if name.endswith((".py", ".sh")) else r"/\*.*?\*/|//[^\n]*"
    comments, rest, at = [], [], 0
    for m in re.finditer(f"({kept})|{LITERAL.pattern}", text, flags=re.S):
        if m.group(1):
            comments += [blank(text[at:m.start()]), m.group()]
            rest += [text[at:m.start()], blank(m.group())]
            at = m.end()
    return "".join(comments), "".join(rest) + text[at:]


def blank(text: str) -> str:
    return re.sub(r"[^\n]", " ", text)


def is_wide(line: str, code: str, width: int) -> bool:
    """`code` is the line without its comment. A line that only its longest literal makes too long isn't
    wide."""
    regex = r"(?:^\s*|(?<=[(=:,] ))/(?:\\.|[^/\\])+/"
    literals = [m.group().lstrip() for m in re.finditer(f"{LITERAL.pattern}|`[^`]*$|{regex}", code)]
    return len(line) - max([len(text) - 2 for text in literals] + [0]) > width


def check_prose(root: Path, file: Path, found: list[str]) -> None:
    """Checks width and pronouns."""
    name = file.relative_to(root).as_posix()
    is_source = bool(SOURCE.fullmatch(name)) and name not in GENERATED
    if not is_source and not DOCUMENT.fullmatch(name):
        return
    text = file.read_text()
    comments, code = split_comments(name, text) if is_source else (text, "")  # no line of a document is code
    for number, (line, bare) in enumerate(zip(text.splitlines(), code.splitlines()), 1):
        width = WIDTH - (name.endswith((".c", ".h")) and line != bare)
        if is_wide(line, bare, width):
            found.append(f"{name}:{number}: width: {len(line)} columns, at most {width}")
    if name == "tools/check_rules.py":  # names the pronouns
        return
    for number, line in enumerate(comments.splitlines(), 1):
        if m := PERSON.search(line):
            found.append(f"{name}:{number}: pronouns: a thread is \"it\", not \"{m.group()}\"")


def check_text(root: Path, file: Path, found: list[str]) -> None:
    name = file.relative_to(root).as_posix()
    try:
        text = file.read_text()
    except UnicodeDecodeError:
        return
    if name == "tools/check_rules.py":
        return
    for number, line in enumerate(text.splitlines(), 1):
        if m := MACHINE_PATH.search(line):
            found.append(f"{name}:{number}: a machine's path {m.group()}")
        if REGISTRY.search(line):
            found.append(f"{name}:{number}: a registry address")
    licensed = "SPDX-License-Identifier: Apache-2.0" in text or name.startswith("tests/golden/")
    if SOURCE.fullmatch(name) and not licensed:
        found.append(f"{name}:1: no SPDX line")


def files_of(root: Path) -> list[Path]:
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True)
    if listed.returncode == 0:
        names = [Path(root, name) for name in listed.stdout.decode().split("\0") if name]
    else:
        made = re.compile(r"(?:\.git|node_modules|build|dist|\.toolchain.*)")
        names = [p for p in root.rglob("*") if not any(map(made.fullmatch, p.relative_to(root).parts))]
    return sorted(p for p in names if p.is_file())


def check(root: Path) -> tuple[list[str], int, int]:
    found: list[str] = []
    files = files_of(root)
    for file in files:
        name = file.relative_to(root).as_posix()
        if name.endswith((".c", ".h", ".def")) and name.startswith(("src/", "include/", "examples/")):
            check_c(root, file, found)
        if re.fullmatch(r"ts/.*\.ts|examples/.*\.m?js", name, flags=re.S):
            check_ts(root, file, found)
        check_text(root, file, found)
        check_prose(root, file, found)
    return found, len(files), check_globals(root, found)


def self_test() -> int:
    spdx = "/* SPDX-License-Identifier: Apache-2.0 */\n"
    home = "/" + "home/somebody"
    breaches = {  # file: (content, what the report must hold)
        "src/text/a.c": (spdx + '#include "../format/gguf.h"\n', "text may not include src/format/gguf.h"),
        "src/kernels/b.c": (spdx + '#include "../model/x.h"\n', "kernels may not include src/model/x.h"),
        "src/base/c.c": (spdx + "#include <string.h>\n", "<string.h> in the freestanding core"),
        "src/exec/d.c": (spdx + "void f(void *p) { memset(p, 0, 4); }\n", "calls memset() of libc"),
        "src/model/e.c": (spdx + "float f(float x) { return expf(x); }\n", "calls expf() of libc"),
        "src/host/wasm/f.c": (spdx + '#include "../../quant/quant.h"\n', "host may not include src/quant/quant.h"),
        "src/quant/g.c": ("int x;\n", "no SPDX line"),
        "src/quant/simd.c": (spdx + "#include <smmintrin.h>\n", "<smmintrin.h> in the freestanding core"),
        "examples/c/h.c": (spdx + '#include "../../src/base/mem.h"\n', "a user of the library includes src/base/mem.h"),
        "ts/chat/a.ts": (spdx + "import { x } from '../load/source.js';\n", "chat may not import load"),
        "ts/wasm/b.ts": (spdx + "import {\n  x,\n} from '../webgpu/device.js';\n", "wasm may not import webgpu"),
        "ts/wasm/detect.ts": (spdx + "import { x } from './memory.js';\n", "wasm/detect may not import wasm"),
        "ts/client/c.ts": (spdx + "const x = await import('../worker/worker.js');\n", "client may not import worker"),
        "ts/client/d.ts": (spdx + "export type { X } from '../wasm/memory.js';\n", "client may not import wasm"),
        "ts/errors.ts": (spdx + "import './abi/abi.gen.js';\n", "errors may not import abi"),
        "ts/cli/e.ts": (spdx + "import { x } from '../load/source.js';\n", "cli may not import load"),
        "ts/store/e.ts": (spdx + "const id = process.pid;\n", "write globalThis.process"),
        "ts/load/f.ts": (spdx + "import x from 'left-pad';\n", "imports the package left-pad"),
        "examples/page/g.mjs": (spdx + "import x from '../../ts/index.js';\n", "not the public package"),
        "examples/page/h.mjs": (spdx + "import x from '../other/x.mjs';\n", "not the public package"),
        "examples/page/k.mjs": (spdx + "import x from 'react';\n", "not the public package"),
        "docs/h.md": (f"see {home}/project\n", "a machine's path"),
        "tests/exec/i.c": (spdx + f"/* {'x ' * 54}x*/\n", "width: 114 columns"),
        "tests/exec/k.c": (spdx + f"/* {'x' * 104} */\n", "width: 110 columns, at most 109"),
        "tools/check_rules.py": (f"# SPDX-License-Identifier: Apache-2.0\n# {'x ' * 55}\n", "width: 112 columns"),
        "ts/chat/m.ts": (spdx + f"  /{'x' * 90}/.test(a) ||\n  /{'x' * 90}/.test(b) || /{'y' * 90}/.test(c);\n",
                         "3: width: 207 columns"),
        "ts/chat/l.ts": (spdx + f"// it's {'x ' * 54}isn't\n", "width: 121 columns"),
        "tests/exec/j.c": (spdx + "/* The leader waits, and then he\n * goes on. */\n", '2: pronouns: a thread is "it", not "he"'),
        "tools/k.py": ("# SPDX-License-Identifier: Apache-2.0\n# his turn\n", "pronouns"),
        "docs/SPEED.md": ("Wake him.\n", "pronouns"),
        "lock.json": ('"resolved": "x"\n', "a registry address"),
    }
    clean = {
        "src/text/ok.c": spdx + '#include "../base/mem.h"\n#include "../../include/chord.h"\n/* memcpy( */ static const char *const s = "printf(";\n'
                         "void f(void *p) { __builtin_memset(p, 0, 4); chord_free(p); }\n",
        "ts/wasm/ok.ts": spdx + "import { Status } from '../abi/abi.gen.js';\nimport { y } from './detect.js';\n// import z from '../load/z.js';\n",
        "ts/client/ok.ts": spdx + "import type { Request } from '../worker/protocol.js';\nimport { y } from '../wasm/detect.js';\n",
        "tests/exec/ok.c": spdx + f'const char *he = "{"his " * 40}"; /* the theme */\n/* {"x" * (WIDTH - 7)} */\n',
        "tests/exec/ok2.c": spdx + f"int {'x' * 105};\n/* {'x' * 103} */\n",
        "ts/chat/ok.ts": spdx + f"const text = `{'he ' * 60}`;\nconst form = /{'x' * 120}/;\n// it's here\n",
        "ts/chat/ok2.ts": spdx + f"match(\n  text,\n  /{'x' * 120}/,\n);\n",
        "examples/react/ok.mjs": spdx + "import { useState } from 'react';\n",
        "docs/speed/2026-01-01.md": "his day\n",
        "examples/page/ok.mjs": spdx + "import { loadModel } from 'wasm-chord';\nimport { x } from './g.mjs';\nimport { y } from '../common.mjs';\n",
    }
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, content in [*((n, c) for n, (c, _) in breaches.items()), *clean.items()]:
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        found, _, _ = check(root)
    failed = [f"not found: {name}: {want}" for name, (_, want) in breaches.items()
              if not any(name in f and want in f for f in found)]
    failed += [f"false alarm: {f}" for f in found if any(f.startswith(name + ":") for name in clean)]
    data = b"\0asm\1\0\0\0" + bytes([0, 9 + 2 + 8, 7]) + b"linking" + bytes([2, 5, 8, 1, 4]) + b".bss" + bytes([0, 0])
    if segment_names(data) != [".bss"]:
        failed.append(f"segment names are {segment_names(data)}")
    for line in failed:
        print(line)
    print(f"check_rules self-test: {len(breaches)} breaches, {len(clean)} clean files, {len(failed)} wrong")
    return 1 if failed else 0


def main() -> int:
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    found, n_files, n_objects = check(ROOT)
    for line in found:
        print(line)
    print(f"rules: {n_files} files and {n_objects} objects, {len(found)} breaches")
    return 1 if found else 0


sys.exit(main())
