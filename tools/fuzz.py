#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzzers: fuzz.py [--seconds N] TARGET ..., one fuzzer per core at a time.

TARGET is tests/fuzz/TARGET_fuzz.c (libFuzzer with address and undefined-behaviour sanitizers), or
tests/fuzz/TARGET_fuzz.mjs, in Node: `protocol` (seeded messages to the level-2 worker), `api` (seeded calls
of the package with arguments of any kind). Seeds are in tests/fuzz/corpus/TARGET, those of `engine` also from
tests/families, new inputs in
build/fuzz/corpus/TARGET, crashes in build/fuzz/crashes. A seed that crashes is a failure too. The last line
is `N passed, N failed, N skipped`.
"""
from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILDING = threading.Lock()  # the targets share object files
LONGEST = {"engine": 1 << 19}  # a seed of a mixture has 280 kB
CI = os.environ.get("CI") == "true"


def capture(command: list[str], limit: float) -> tuple[int, str]:
    try:
        run = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             errors="replace", timeout=limit)
        return run.returncode, run.stdout
    except subprocess.TimeoutExpired as late:
        output = late.stdout or ""
        return 124, output.decode(errors="replace") if isinstance(output, bytes) else output


def fuzz(target: str, seconds: int) -> tuple[str, str]:
    """Returns (passed | failed | skipped, text to print)."""
    begin = time.monotonic()
    script = ROOT / f"tests/fuzz/{target}_fuzz.mjs"
    if script.exists():
        status, output = capture(["node", str(script), "--seconds", str(seconds)], seconds + 120)
        last = (output.strip().splitlines() or [""])[-1]
        return ("passed", f"ok   {target}: {last}") if status == 0 else ("failed", f"FAIL {target} ({status})\n{output[-4000:]}")
    if subprocess.run([ROOT / "tools/sancc", "fuzz"], cwd=ROOT, capture_output=True).returncode:
        return ("failed" if CI else "skipped", f"{'FAIL' if CI else 'SKIP'} {target}: no compiler with libFuzzer")
    with BUILDING:
        made = subprocess.run(["make", "-s", f"build/fuzz/{target}"], cwd=ROOT, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
    if made.returncode:
        return "failed", f"FAIL {target}: doesn't build\n{made.stdout}"
    found, crashes, seeds = ROOT / f"build/fuzz/corpus/{target}", ROOT / "build/fuzz/crashes", ROOT / f"tests/fuzz/corpus/{target}"
    for folder in (found, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    command = [f"build/fuzz/{target}", f"-max_total_time={seconds}", "-timeout=10", "-rss_limit_mb=2048", f"-max_len={LONGEST.get(target, 65536)}",
               "-print_final_stats=1", f"-artifact_prefix={crashes}/{target}-", str(found)]
    if seeds.is_dir():
        command.append(str(seeds))
    if target == "engine":  # a model of each family
        families = ROOT / "build/fuzz/families"
        families.mkdir(parents=True, exist_ok=True)
        for script in ("models", "encoders"):
            status, output = capture(["node", f"tests/families/{script}.mjs", str(families), "--seeds"], 120)
            if status:
                return "failed", f"FAIL {target}: no seeds of families\n{output}"
        command.append(str(families))
    status, output = capture(command, seconds + 120)
    runs = re.search(r"stat::number_of_executed_units:\s*(\d+)", output)
    if status or not runs or int(runs.group(1)) == 0:
        seed = re.search(r"INFO: Seed: (\d+)", output)
        return "failed", f"FAIL {target} (exit {status}, -seed={seed.group(1) if seed else '?'})\n{output[-6000:]}"
    coverage = re.findall(r"cov: (\d+)", output)
    return "passed", f"ok   {target}: {int(runs.group(1)):,} inputs in {time.monotonic() - begin:.0f} s, {coverage[-1] if coverage else '?'} edges"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args()
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for result, text in pool.map(lambda t: fuzz(t, arguments.seconds), arguments.targets):
            counts[result] += 1
            print(text, flush=True)
    print(f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped")
    return 1 if counts["failed"] or not arguments.targets else 0


sys.exit(main())
