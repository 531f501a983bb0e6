#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of tests/fuzz: small GGUF headers (corpus/gguf) and whole models of one layer
(corpus/engine), with random weights and vocabularies of 262 tokens. Uses the standard library only; the
output is always the same. Inputs that once found a fault are in the same folders under other names, and this
script doesn't touch them."""
import random
import struct
from pathlib import Path

CORPUS = Path(__file__).resolve().parent.parent / "tests/fuzz/corpus"
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
WIDTH = {U8: 1, I8: 1, U16: 2, I16: 2, U32: 4, I32: 4, F32: 4, BOOL: 1, U64: 8, I64: 8, F64: 8}


def text(s: "bytes | str") -> bytes:
    s = s.encode() if isinstance(s, str) else s
    return struct.pack("<Q", len(s)) + s


def key(name: str, kind: int, value: bytes) -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def array(name: str, kind: int, count: int, value: bytes) -> bytes:
    return key(name, ARRAY, struct.pack("<IQ", kind, count) + value)


def u32(name: str, value: int) -> bytes:
    return key(name, U32, struct.pack("<I", value))


def tensor(name: str, ne: "list[int]", kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(ne)}QIQ", len(ne), *ne, kind, offset)


def gguf(n_tensors: int, n_keys: int, body: bytes, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_keys) + body


def headers() -> "dict[str, bytes]":
    keys = key("general.architecture", STRING, text("llama")) + u32("general.alignment", 32)
    keys += array("tokenizer.ggml.tokens", STRING, 3, text("a") + text("bc") + text(""))
    keys += array("tokenizer.ggml.scores", F32, 3, bytes(12)) + array("tokenizer.ggml.token_type", I32, 3, b"\1\0\0\0" * 3)
    table = tensor("token_embd.weight", [32, 3], 0, 0) + tensor("blk.0.attn_norm.weight", [32], 1, 384)
    return {
        "small": gguf(2, 5, keys + table), "small_v2": gguf(2, 5, keys + table, 2), "empty": gguf(0, 0, b""),
        "every_type": gguf(0, len(WIDTH), b"".join(key(f"k{t}", t, b"\1" * n) for t, n in WIDTH.items())),
        "counts": gguf(1 << 63, 1 << 63, b""), "nested": gguf(0, 1, array("n", ARRAY, 1 << 62, b"")),
        "long_string": gguf(0, 1, key("s", STRING, struct.pack("<Q", 2**64 - 1))), "twice": gguf(0, 2, u32("a", 1) * 2),
        "four_dims": gguf(1, 0, tensor("x", [2**42 + 1, 2**18, 1, 1], 2, 0)),
        "alignment": gguf(0, 1, u32("general.alignment", 0)),
        "html": b"<!DOCTYPE html><html>", "zeros": bytes(64),
    }


def weights(kind: int, n: int, r: random.Random) -> bytes:
    """n elements near zero, encoded in the format with ggml's id `kind`."""
    half = lambda x: struct.pack("<e", x)
    codes = lambda k: bytes(r.randrange(256) for _ in range(k))
    if kind == 0:
        return struct.pack(f"<{n}f", *(r.gauss(0, 0.1) for _ in range(n)))
    if kind == 1:
        return b"".join(half(r.gauss(0, 0.1)) for _ in range(n))
    if kind == 30:
        return b"".join(struct.pack("<f", r.gauss(0, 0.1))[2:] for _ in range(n))
    if kind == 2:
        return b"".join(half(0.02) + codes(16) for _ in range(n // 32))
    if kind == 3:
        return b"".join(half(0.02) + half(-0.15) + codes(16) for _ in range(n // 32))
    if kind in (6, 20):  # Q5_0, IQ4_NL
        return b"".join(half(0.01) + codes(20 if kind == 6 else 16) for _ in range(n // 32))
    if kind == 7:
        return b"".join(half(0.01) + half(-0.15) + codes(20) for _ in range(n // 32))
    if kind in (10, 12, 13):  # Q2_K, Q4_K, Q5_K: one scale, one minimum
        head = half(0.001) + half(0.001)
        blocks = n // 256
        return b"".join(codes(80) + head if kind == 10 else head + codes(140 if kind == 12 else 172)
                        for _ in range(blocks))
    if kind in (11, 14):  # Q3_K, Q6_K
        return b"".join(codes(108 if kind == 11 else 208) + half(0.0005) for _ in range(n // 256))
    if kind == 23:  # IQ4_XS
        return b"".join(half(0.0005) + codes(134) for _ in range(n // 256))
    if kind == 39:  # MXFP4
        return b"".join(b"\x78" + codes(16) for _ in range(n // 32))
    if kind == 40:  # NVFP4
        return b"".join(bytes(r.randrange(24, 48) for _ in range(4)) + codes(32) for _ in range(n // 64))
    if kind in (34, 35):  # TQ1_0, TQ2_0
        return b"".join(codes(52 if kind == 34 else 64) + half(0.05) for _ in range(n // 256))
    if kind == 29:  # IQ1_M: the f16 0.01 in the top nibbles of the last four fields
        nibbles = struct.unpack("<H", half(0.01))[0]
        field = lambda i: bytes((r.randrange(256), r.randrange(16) | (nibbles >> 4 * i & 15) << 4))
        return b"".join(codes(48) + b"".join(map(field, range(4))) for _ in range(n // 256))
    if kind in IQ:
        return b"".join(half(0.001) + codes(IQ[kind] - 2) for _ in range(n // 256))
    # Q8_0 without -128.
    return b"".join(half(0.001) + bytes(c % 255 + 129 & 255 for c in codes(32)) for _ in range(n // 32))


# Bytes of a block: IQ2_XXS, IQ2_XS, IQ3_XXS, IQ1_S, IQ3_S, IQ2_S
IQ = {16: 66, 17: 74, 18: 98, 19: 50, 21: 110, 22: 82}


def gpt2_alphabet() -> "list[str]":
    plain = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    other = [b for b in range(256) if b not in plain]
    return [chr(b if b in plain else 256 + other.index(b)) for b in range(256)]


def model(kind: str, types: "list[int]", tied: bool, n_head: int, n_kv: int, seed: int, arch: str = "llama",
          e: int = 32, n_files: int = 1, n_layer: int = 1) -> bytes:
    """A model of width e. The heads fill that width, except in qwen3, whose heads have 16 elements. Its files
    follow each other."""
    r = random.Random(seed)
    head_dim, ff = 16 if arch == "qwen3" else e // n_head, 32
    keys = [key("general.architecture", STRING, text(arch)), u32(arch + ".context_length", 64),
            u32(arch + ".embedding_length", e), u32(arch + ".block_count", n_layer),
            u32(arch + ".feed_forward_length", ff), u32(arch + ".attention.head_count", n_head),
            u32(arch + ".attention.head_count_kv", n_kv),
            key(arch + ".attention.layer_norm_rms_epsilon", F32, struct.pack("<f", 1e-5)),
            u32(arch + ".rope.dimension_count", head_dim), u32("tokenizer.ggml.bos_token_id", 1),
            u32("tokenizer.ggml.eos_token_id", 2)]
    if arch == "qwen3":
        keys += [u32("qwen3.attention.key_length", head_dim), u32("qwen3.attention.value_length", head_dim)]
    if arch == "gemma3":
        keys += [u32("gemma3.attention.sliding_window", 2), key("tokenizer.ggml.add_space_prefix", BOOL, b"\0")]
    if kind == "spm":
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "\u2581", "a", "\u2581a"]
        kinds = [2, 3, 3] + [6] * 256 + [1] * 3
        keys += [key("tokenizer.ggml.model", STRING, text("llama")),
                 array("tokenizer.ggml.scores", F32, len(tokens),
                       struct.pack(f"<{len(tokens)}f", *(-float(i) for i in range(len(tokens)))))]
    else:
        letters = gpt2_alphabet()
        tokens = ["<unk>", "<|im_start|>", "<|im_end|>", *letters, "ab", "\u0120a", "abab"]
        kinds = [3, 3, 3] + [1] * 256 + [1] * 3
        keys += [key("tokenizer.ggml.model", STRING, text("gpt2")), key("tokenizer.ggml.pre", STRING, text("smollm")),
                 array("tokenizer.ggml.merges", STRING, 3, text("a b") + text("\u0120 a") + text("ab ab"))]
    keys += [array("tokenizer.ggml.tokens", STRING, len(tokens), b"".join(map(text, tokens))),
             array("tokenizer.ggml.token_type", I32, len(tokens), struct.pack(f"<{len(kinds)}i", *kinds))]
    n_q, n_k = head_dim * n_head, head_dim * n_kv
    shapes = [("token_embd.weight", [e, len(tokens)]), ("blk.0.attn_norm.weight", [e]), ("blk.0.attn_q.weight", [e, n_q]),
              ("blk.0.attn_k.weight", [e, n_k]), ("blk.0.attn_v.weight", [e, n_k]), ("blk.0.attn_output.weight", [n_q, e]),
              ("blk.0.ffn_norm.weight", [e]), ("blk.0.ffn_gate.weight", [e, ff]), ("blk.0.ffn_up.weight", [e, ff]),
              ("blk.0.ffn_down.weight", [ff, e]), ("output_norm.weight", [e])]
    if not tied:
        shapes.append(("output.weight", [e, len(tokens)]))
    if arch == "qwen2":
        shapes += [("blk.0.attn_q.bias", [n_q]), ("blk.0.attn_k.bias", [n_k]), ("blk.0.attn_v.bias", [n_k])]
    if arch in ("qwen3", "gemma3"):
        shapes += [("blk.0.attn_q_norm.weight", [head_dim]), ("blk.0.attn_k_norm.weight", [head_dim])]
    if arch == "gemma3":
        shapes += [("blk.0.post_attention_norm.weight", [e]), ("blk.0.post_ffw_norm.weight", [e])]
    shapes += [(name.replace("blk.0.", f"blk.{layer}."), ne) for layer in range(1, n_layer) for name, ne in shapes
               if name.startswith("blk.0.")]
    table, data, files, per_file = b"", b"", b"", -(-len(shapes) // n_files)
    for i, (name, ne) in enumerate(shapes):
        kind_id = 0 if len(ne) == 1 else types[i % len(types)]
        if kind_id in (10, 11, 12, 13, 14, 23, 29, 34, 35, *IQ) and ne[0] % 256:
            kind_id = 20
        table += tensor(name, ne, kind_id, len(data))
        data += weights(kind_id, ne[0] * (ne[1] if len(ne) > 1 else 1), r)
        data += bytes(-len(data) % 32)
        if (i + 1) % per_file and i + 1 < len(shapes):
            continue
        if n_files > 1:
            keys += [key("split.no", U16, struct.pack("<H", i // per_file)),
                     key("split.count", U16, struct.pack("<H", n_files)),
                     key("split.tensors.count", I32, struct.pack("<i", len(shapes)))]
        head = gguf(i % per_file + 1, len(keys), b"".join(keys) + table)
        files += head + bytes(-len(head) % 32) + data
        table, data, keys = b"", b"", []
    return files


def main() -> None:
    for name, content in headers().items():
        # The first two bytes choose the chunks.
        write("gguf", name, b"\7\0" + content)
    # The engine's first bytes are knobs: see tests/fuzz/engine_fuzz.c.
    write("engine", "spm_q4_0", b"\1\2\0\3" + model("spm", [8, 2], True, 1, 1, 1))
    write("engine", "split", b"\1\2\0\7" + model("spm", [8, 2], True, 1, 1, 9, n_files=3))
    write("engine", "bpe_q4_1_q8_0", b"\5\0\1\1" + model("bpe", [3, 8, 1], True, 2, 1, 2))
    write("engine", "bpe_f16_untied", b"\3\7\2\0" + model("bpe", [2, 0, 1, 30], False, 2, 2, 3))
    write("engine", "qwen2_q5", b"\12\1\0\1" + model("bpe", [6, 7], True, 2, 1, 4, "qwen2"))
    write("engine", "qwen3_iq4_nl", b"\16\1\2\5" + model("bpe", [20, 6], False, 4, 2, 5, "qwen3"))
    write("engine", "qwen3_k",
          b"\16\1\2\1" + model("bpe", [10, 0, 11, 12, 13, 20, 0, 14, 23, 6], True, 2, 1, 8, "qwen3", 256))
    write("engine", "qwen3_rare", b"\16\1\2\1" + model(
        "bpe", [16, 0, 17, 18, 19, 21, 0, 22, 29, 34, 35, 39, 40], True, 2, 1, 12, "qwen3", 256))
    write("engine", "gemma3_f16", b"\4\1\10\1" + model("spm", [1, 30, 0], True, 2, 1, 6, "gemma3"))
    # Layers are paged through one slot, and through two beside a layer that stays.
    write("engine", "paged", b"\336\1\2\1" + model("spm", [8, 2], False, 1, 1, 10, n_layer=3))
    write("engine", "paged_ring", b"\344\1\0\1" + model("bpe", [8, 2], True, 2, 1, 11, "qwen3", n_layer=4))
    write("engine", "gemma3_iq4_nl", b"\4\0\0\7" + model("spm", [20, 7, 8], True, 2, 1, 7, "gemma3"))


def write(target: str, name: str, content: bytes) -> None:
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


main()
