#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs suites one after the other and adds up their results: run_tests.py NAME=COMMAND ...

The last line of a suite's output is `N passed, N failed, N skipped`. A suite with parts prints such a line
for each part, and all are counted. A suite without such a line (a crash, a build error) counts as one
failure, and so does one that runs for more than --limit seconds. With `NAME:=COMMAND` the command is a plain
check: exit status 0 counts as one passed. Output is passed on as it comes. The very last line is the sum. The
exit status is 0 when nothing failed.
"""
from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed, (\d+) skipped\s*$")


def run(command: str, limit: float) -> tuple[int | None, tuple[int, int, int] | None]:
    """Runs the command and passes its output on. Returns (exit status, or None if it was stopped; its counts,
    or None)."""
    # close_fds: the jobserver of a parallel make is two descriptors, which the make of the suite uses.
    process = subprocess.Popen(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, errors="replace", start_new_session=True, close_fds=False)
    stopped = threading.Event()

    def stop() -> None:
        stopped.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit, stop)
    timer.start()
    counts, ended = [0, 0, 0], False
    try:
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            # make prints a line about a failed recipe.
            if line.strip() and not line.startswith("make"):
                summary = SUMMARY.match(line)
                ended = summary is not None
                if summary:
                    counts = [a + int(b) for a, b in zip(counts, summary.groups())]
        status = process.wait()
    except KeyboardInterrupt:
        stop()
        raise
    finally:
        timer.cancel()
    return (None if stopped.is_set() else status), (tuple(counts) if ended else None)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=float, default=1800, help="seconds a suite may take")
    parser.add_argument("suites", nargs="+", metavar="NAME=COMMAND or NAME:=COMMAND")
    arguments = parser.parse_args()
    rows = []
    for suite in arguments.suites:
        name, command = suite.split("=", 1)
        is_check = name.endswith(":")
        name = name.rstrip(":")
        print(f"== {name}", flush=True)
        begin = time.monotonic()
        status, counts = run(command, arguments.limit)
        if status is None:
            print(f"FAIL {name}: stopped after {arguments.limit:.0f} s")
            counts = (0, 1, 0)
        elif is_check:
            counts = (1, 0, 0) if status == 0 else (0, 1, 0)
        elif counts is None:
            print(f"FAIL {name}: ended without a summary, exit status {status}")
            counts = (0, 1, 0)
        elif status != 0 and counts[1] == 0:
            print(f"FAIL {name}: exit status {status} after its summary")
            counts = (counts[0], 1, counts[2])
        rows.append((name, counts, time.monotonic() - begin))
    width = max(len(name) for name, _, _ in rows)
    print("==")
    for name, (passed, failed, skipped), seconds in rows:
        print(f"{'FAIL' if failed else 'ok':5}{name:{width}}  {passed:5} passed  {failed:3} failed  {skipped:3} skipped  {seconds:6.1f} s")
    passed, failed, skipped = (sum(counts[i] for _, counts, _ in rows) for i in range(3))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


sys.exit(main())
