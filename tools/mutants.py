#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Breaks listed places one at a time and shows which test catches each: mutants.py [WORD ...]

tools/mutants.txt lists the mutations, in blocks separated by blank lines:

    ## quant: Q4_0's nibbles are swapped    the title: what is broken
    src/quant/q4_0.c                        the file
    c/quant c/engine:prefill                suites to run, in this order, until one fails; `:word` runs
                                            only the tests whose name contains `word`
    -    lines that occur once in the file
    +    their replacement

With WORDs it runs only mutations whose title contains a WORD. Everything happens in a copy,
build/mutants/tree, whose suites must pass before anything is broken. A mutation fails when no suite catches
it, when it doesn't compile, or when its text doesn't occur exactly once. `--texts` checks only that each text
occurs once.
"""
from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "build/mutants/tree"


@dataclass
class Mutation:
    title: str
    file: str = ""
    suites: list[str] = field(default_factory=list)
    old: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)


def read_list() -> list[Mutation]:
    mutations: list[Mutation] = []
    for line in (ROOT / "tools/mutants.txt").read_text().splitlines():
        if line.startswith("## "):
            mutations.append(Mutation(line[3:].strip()))
        elif not mutations or not line.strip() or line.startswith("# "):
            continue
        elif line.startswith("-"):
            mutations[-1].old.append(line[1:])
        elif line.startswith("+"):
            mutations[-1].new.append(line[1:])
        elif not mutations[-1].file:
            mutations[-1].file = line.strip()
        else:
            mutations[-1].suites += line.split()
    return mutations


def copy_tree() -> None:
    """Copies the sources as they are, and links what is fetched. The copy keeps its own build folder for the
    next run, and its own npm packages: npm, which finds the copied lock file newer than what is installed,
    would empty the folder behind a link."""
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True)
    names = [name for name in listed.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        source, target = ROOT / name, TREE / name
        if not target.exists() or target.read_bytes() != source.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            shutil.copymode(source, target)
    for folder in ("src", "tests", "ts"):
        for old in (TREE / folder).rglob("*"):
            if old.is_file() and not (ROOT / old.relative_to(TREE)).exists():
                old.unlink()
    for name in (".toolchain", "models"):
        if (ROOT / name).exists() and not (TREE / name).exists():
            (TREE / name).symlink_to(ROOT / name)
    if (TREE / "node_modules").is_symlink():
        (TREE / "node_modules").unlink()


def run_suite(suite: str) -> tuple[bool, str]:
    """Returns (whether the suite passes, its first failing test or what else went wrong)."""
    name, _, word = suite.partition(":")
    kind, folder = name.split("/", 1)
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    environment["FILTER"] = word
    target = {"c": f"build/test/{folder}", "js": "dist/index.js", "kernels": f"build/checkkern/{folder}"}.get(kind)
    if target:
        built = subprocess.run(["make", "-s", target], cwd=TREE, env=environment, capture_output=True, text=True)
        if built.returncode:
            return False, "DOESN'T BUILD\n" + (built.stdout + built.stderr)[-1500:]
    try:
        command = {"kernels": f"build/checkkern/{folder}", "tsan": "make -s suite-tsan"}
        run = subprocess.run(command.get(kind, f"make -s suite-{kind}-{folder}"), cwd=TREE, env=environment,
                             shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", timeout=900)
    except subprocess.TimeoutExpired:
        return False, "the suite hangs"
    if run.returncode == 0:
        tally = re.search(r"^(\d+) passed", run.stdout, flags=re.M)
        return True, f"{tally.group(1) if tally else 0} passed"
    failed = re.search(r"^FAIL (.+)$", run.stdout, flags=re.M)
    fault = re.search(r"(AddressSanitizer: [\w-]+|ThreadSanitizer: [\w ]+|runtime error: .{0,60})", run.stdout)
    return False, failed.group(1) if failed else fault.group(1) if fault else "the suite dies"


def occurrences(m: Mutation) -> int:
    file = ROOT / m.file
    return file.read_text().count("\n".join(m.old)) if file.is_file() else 0


def check_texts() -> int:
    wrong = [(m, n) for m in read_list() if (n := occurrences(m)) != 1]
    for m, n in wrong:
        print(f"mutants.txt, {m.title}: the text occurs {n} times in {m.file} instead of once")
    return 1 if wrong else 0


def main() -> int:
    if sys.argv[1:] == ["--texts"]:
        return check_texts()
    mutations = [m for m in read_list() if not sys.argv[1:] or any(word in m.title for word in sys.argv[1:])]
    TREE.mkdir(parents=True, exist_ok=True)
    # Held until the process ends: two runs would break each other's copy.
    lock = open(TREE.parent / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print("another run is using build/mutants")
        return 1
    copy_tree()
    for suite in dict.fromkeys(s for m in mutations for s in m.suites):
        passes, text = run_suite(suite)
        if not passes or text.startswith("0 "):
            print(f"FAIL unbroken, {suite}: {text}\n0 passed, 1 failed, 0 skipped")
            return 1
    n_failed = 0
    for m in mutations:
        begin = time.monotonic()
        target = TREE / m.file
        text = target.read_text() if target.is_file() else ""
        old, new = "\n".join(m.old), "\n".join(m.new)
        catcher = None
        if not m.old or text.count(old) != 1:
            verdict = f"FAIL the text occurs {text.count(old) if m.old else 0} times in {m.file} instead of once"
        else:
            target.write_text(text.replace(old, new))
            for suite in m.suites:
                passes, what = run_suite(suite)
                if not passes:
                    catcher = None if what.startswith("DOESN'T BUILD") else f"{suite.partition(':')[0]}: {what}"
                    break
            target.write_text(text)
            verdict = catcher or ("FAIL " + what if m.suites and not passes else "FAIL no suite catches it")
        n_failed += catcher is None
        print(f"{m.title:54} {verdict}  ({time.monotonic() - begin:.0f} s)", flush=True)
    print(f"{len(mutations) - n_failed} passed, {n_failed} failed, 0 skipped")
    return 1 if n_failed or not mutations else 0


sys.exit(main())
