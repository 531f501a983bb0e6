#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints what a page loads and what each room costs: bytes of dist/ raw and gzipped, and bytes of the modules
by room, file (--files) and function (--functions N), from the linker's map. `--items` prints what each
architecture, op, tensor type, tokenizer and table costs. `--json` prints the same as JSON.

The first load is index.js with the chunks that it imports at once, and one module. Level 2 adds worker.js,
and thread.js when there is more than one thread. Chunks that are imported later, such as the template
engine's, are optional. webgpu.js, the WebGPU backend, is a load of its own: a page loads it when a model goes
onto a GPU, and nothing else needs it; so is paging.js, for a model that is larger than its memory.
wasm-chord/inline is loaded instead of all of them. Exits 1 above the budget.
"""
from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
# Gzipped bytes. Of a module RWKV 7 is 1.6 kB, of which its op and kernel are 0.7; the grids of the IQ formats
# are 3 kB, packed as differences (tools/pack.py), and their products of one token, with those of TQ1_0 and
# NVFP4, 1 kB.
# wasm-chord/inline holds both 32-bit modules, all JavaScript and webgpu.js.
BUDGET = {"wasm32-relaxed.wasm": 119_000, "wasm32-simd.wasm": 113_400, "wasm64-relaxed.wasm": 121_800,
          "JavaScript, level 1": 41_500, "JavaScript, level 2": 68_000, "first load: level 2, relaxed": 185_000,
          "with the template engine": 218_300, "with all that a chat loads": 230_700,
          "with every optional chunk": 235_800, "paging.js": 8_000, "webgpu.js": 100_000,
          "wasm-chord/inline, all in one": 465_000}


def static_imports(name: str, seen: set[str]) -> set[str]:
    """`name` and the files of dist/ that it imports before it runs."""
    if name not in seen:
        seen.add(name)
        text = (DIST / name).read_text()
        for found in re.findall(r"""\b(?:import|export)\b[^;'"()]*["']\./([\w.-]+\.js)["']""", text):
            static_imports(found, seen)
    return seen


def weigh(names) -> tuple[int, int]:
    parts = [(DIST / name).read_bytes() for name in sorted(names)]
    return sum(map(len, parts)), sum(len(gzip.compress(part, 9, mtime=0)) for part in parts)


def costs(variant: str) -> Counter:
    """(room, file, symbol) -> bytes in the linked module."""
    result: Counter = Counter()
    for line in (ROOT / f"build/wasm/{variant}/map").read_text().splitlines():
        m = re.match(r"\s*\S+\s+[0-9a-f]+\s+([0-9a-f]+)\s+build/wasm/\w+/src/([\w/.-]+)\.o:\((.+)\)$", line)
        if m:
            file = m.group(2)
            room = "/".join(file.split("/")[:2]) if file.startswith("host/") else file.split("/")[0]
            result[room, file + ".c", m.group(3)] += int(m.group(1), 16)
    return result


# The rooms whose files are items: what an item of the room is.
ITEMS = {"model": "architectures and what they share", "exec": "ops", "text": "tokenizers",
         "quant": "tensor types"}


def items(variant: str) -> dict[str, Counter]:
    """kind -> item -> bytes. A kernel whose name holds a tensor type's is of that type, as its file in quant/
    is. What several types share stays apart. Constants are tables."""
    found = costs(variant)
    types = {Path(file).stem for room, file, _ in found if room == "quant"}
    result: dict[str, Counter] = {kind: Counter() for kind in [*ITEMS.values(), "tables"]}
    for (room, file, symbol), size in found.items():
        name = re.sub(r"^(chord|unpack)_(matmul_|decode_|read_)?|__(relaxed|simd)$", "", symbol)
        if symbol.startswith(".rodata"):
            result["tables"][symbol.removeprefix(".rodata.")] += size
        elif name in types:
            result["tensor types"][name] += size
        elif room in ITEMS:
            result[ITEMS[room]][Path(file).stem] += size
    return result


def table(counter: Counter, n: int | None = None) -> None:
    total = sum(counter.values())
    for name, size in counter.most_common(n):
        print(f"  {name:44}{size:9,}  {100 * size / total:5.1f} %")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--functions", type=int, default=0, metavar="N")
    parser.add_argument("--items", action="store_true")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    one, two = static_imports("index.js", set()), static_imports("worker.js", set())
    thread = static_imports("thread.js", set())
    loads = {name.name: weigh([name.name]) for name in sorted(DIST.glob("*.wasm"))}
    loads["JavaScript, level 1"] = weigh(one)
    loads["JavaScript, level 2"] = weigh(one | two | thread)
    first = one | two | thread | {"wasm32-relaxed.wasm"}
    loads["first load: level 2, relaxed"] = weigh(first)
    # A prompt needs the template engine, chat.completions also what reads answers.
    engine = first.union(*(static_imports(name.name, set()) for name in DIST.glob("prompt-*.js")))
    loads["with the template engine"] = weigh(engine)
    answers = engine.union(*(static_imports(name.name, set()) for name in DIST.glob("answering-*.js")))
    loads["with all that a chat loads"] = weigh(answers)
    optional = {name.name for name in DIST.glob("*.js")} - {"cli.js", "inline.js", "webgpu.js", "paging.js"}
    loads["with every optional chunk"] = weigh(first | optional)
    if (DIST / "webgpu.js").exists():
        loads["webgpu.js"] = weigh(["webgpu.js"])
    loads["paging.js"] = weigh(["paging.js"])
    loads["wasm-chord/inline, all in one"] = weigh(["inline.js"])
    if arguments.json:
        rooms = {v: dict(summed(costs(v), 0)) for v in ("simd", "relaxed")}
        bytes_of = {k: {"bytes": a, "gzipped": b} for k, (a, b) in loads.items()}
        print(json.dumps({"loads": bytes_of, "rooms": rooms}, indent=1))
    else:
        print(f"{'loads':46}{'bytes':>9}{'gzipped':>9}{'budget':>9}")
        for name, (raw, packed) in loads.items():
            print(f"  {name:44}{raw:9,}{packed:9,}{BUDGET[name]:9,}")
        for variant in ("simd", "relaxed"):
            print(f"\nwasm32-{variant} by room")
            table(summed(costs(variant), 0))
            if arguments.files:
                table(summed(costs(variant), 1))
            for kind, sizes in items(variant).items() if arguments.items else ():
                print(f"\nwasm32-{variant}: {kind}")
                table(sizes)
            if arguments.functions:
                table(summed(costs(variant), 2), arguments.functions)
    over = [name for name, (_, packed) in loads.items() if packed > BUDGET[name]]
    for name in over:
        print(f"over budget: {name}", file=sys.stderr)
    return 1 if over else 0


def summed(counter: Counter, i: int) -> Counter:
    result: Counter = Counter()
    for key, size in counter.items():
        result[key[i]] += size
    return result


sys.exit(main())
