# SPDX-License-Identifier: Apache-2.0
"""Formats that gguf (the Python package) doesn't know or can't convert, computed by ggml. Import this before
the package is used. These conversions call libggml-base of PyPI `llama-cpp-python` (versions:
tests/golden/README.md)."""
import ctypes
import glob
import importlib.util
import os
import sys

import gguf
import numpy as np

# name: (ggml's id, elements of a block, bytes of a block), from ggml/src/ggml-common.h
LATER = {'Q2_0': (42, 64, 18)}


def ggml():
    spec = importlib.util.find_spec('llama_cpp')
    if not spec:
        sys.exit('a format that gguf cannot convert needs PyPI llama-cpp-python (versions: tests/golden/README.md)')
    folder = os.path.dirname(spec.origin)
    return ctypes.CDLL(glob.glob(os.path.join(folder, 'lib', 'libggml-base.*'))[0])


def quantize(x, kind):
    """Quantises with gguf, or, where gguf can't, with ggml without an importance matrix."""
    try:
        return gguf.quants.quantize(x, kind)
    except NotImplementedError:
        f = ggml().ggml_quantize_chunk
        f.restype = ctypes.c_size_t
        f.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
        x = np.ascontiguousarray(x)
        out = np.zeros(gguf.quant_shape_to_byte_shape(x.shape, kind), np.uint8)
        assert f(int(kind), x.ctypes.data, out.ctypes.data, 0, *x.shape, None) == out.size
        return out


def dequantize(data, kind):
    """Dequantises with gguf, or, where gguf can't, with ggml's dequantize_row_<type>."""
    try:
        return gguf.quants.dequantize(data, kind)
    except NotImplementedError:
        return by_ggml(data, kind)


def by_ggml(data, kind):
    """Dequantises with ggml's dequantize_row_<type>."""
    f = getattr(ggml(), 'dequantize_row_' + kind.name.lower())
    f.restype, f.argtypes = None, [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    data = np.ascontiguousarray(data)
    out = np.zeros(gguf.quant_shape_from_byte_shape(data.shape, kind), np.float32)
    f(data.ctypes.data, out.ctypes.data, out.size)
    return out


def add_later_types():
    enum = gguf.GGMLQuantizationType
    for name, (value, elems, size) in LATER.items():
        if name in enum.__members__:
            continue
        member = int.__new__(enum, value)
        member._name_, member._value_ = name, value
        enum._member_map_[name] = enum._value2member_map_[value] = member
        enum._member_names_.append(name)
        gguf.GGML_QUANT_SIZES[member] = (elems, size)


add_later_types()
