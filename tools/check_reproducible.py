#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the wasm modules again, in another folder with a cold cache, and compares them with build/wasm byte
by byte. No path, time or order of compilation may be in the modules."""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = [f"build/wasm/{name}.wasm" for name in ("wasm32-simd", "wasm32-relaxed", "wasm64-relaxed", "template")]

with tempfile.TemporaryDirectory() as folder:
    copy = Path(folder) / "another" / "place"
    copy.mkdir(parents=True)
    for name in ("src", "include"):
        shutil.copytree(ROOT / name, copy / name)
    (copy / "tools").mkdir()
    for name in ("Makefile", "tools/checkkern.mk"):
        shutil.copy(ROOT / name, copy / name)
    zig = os.environ.get("ZIG") or ROOT / ".toolchain/ziglang/zig"
    made = subprocess.run(["make", "-s", "-j2", f"ZIG={zig}", *MODULES], cwd=copy, stdout=subprocess.DEVNULL)
    if made.returncode:
        sys.exit("check_reproducible: the second build failed")
    differing = [m for m in MODULES if (ROOT / m).read_bytes() != (copy / m).read_bytes()]
    for module in differing:
        print(f"{module} differs from a build in another folder")
    print(f"reproducible: {len(MODULES) - len(differing)} of {len(MODULES)} modules are the same bytes")
    sys.exit(1 if differing else 0)
