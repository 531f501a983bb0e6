#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes an encoder of model.mjs's shape and random weights as ONNX, quantised as the files that
transformers.js takes by default (`model_quantized.onnx`: 8-bit weights, inputs quantised as they come).

  python3 bench/embeddings/make_onnx.py FILE        Needs numpy, onnx and onnxruntime.
"""
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

EMBD, FF, LAYERS, HEADS, VOCABULARY, CONTEXT = 384, 1536, 6, 12, 288, 512
random = np.random.default_rng(1)
nodes, constants = [], []


def constant(name, x):
    constants.append(numpy_helper.from_array(np.asarray(x), name))
    return name


def weights(name, *shape, gain=1.0):
    return constant(name, (random.standard_normal(shape) * gain).astype(np.float32))


def op(kind, inputs, **attributes):
    out = '%s%d' % (kind, len(nodes))
    nodes.append(helper.make_node(kind, inputs, [out], name=out, **attributes))
    return out


def linear(p, x, rows, cols):
    product = op('MatMul', [x, weights(p + '.w', cols, rows, gain=cols**-0.5)])
    return op('Add', [product, weights(p + '.b', rows, gain=0.1)])


def norm(p, x):
    gain, bias = constant(p + '.w', np.ones(EMBD, np.float32)), weights(p + '.b', EMBD, gain=0.1)
    return op('LayerNormalization', [x, gain, bias], axis=-1, epsilon=1e-12)


def heads(x, order):
    return op('Transpose', [op('Reshape', [x, 'by_head'])], perm=order)


def graph():
    constant('by_head', np.array([0, 0, HEADS, EMBD // HEADS], np.int64))
    constant('by_token', np.array([0, 0, EMBD], np.int64))
    constant('scale', np.float32((EMBD // HEADS)**-0.5))
    constant('half', np.float32(0.5))
    constant('one', np.float32(1))
    constant('root', np.float32(2**-0.5))
    # the mask is 1 where a token is: (1 - mask) * -1e4 is added to the scores
    mask = op('Unsqueeze', ['attention_mask', constant('axes', np.array([1, 2], np.int64))])
    mask = op('Sub', ['one', op('Cast', [mask], to=TensorProto.FLOAT)])
    mask = op('Mul', [mask, constant('low', np.float32(-1e4))])
    length = op('Gather', [op('Shape', ['input_ids']), constant('second', np.int64(1))])
    positions = op('Range', [constant('zero', np.int64(0)), length, constant('step', np.int64(1))])
    x = op('Add', [op('Gather', [weights('tokens', VOCABULARY, EMBD), 'input_ids']),
                   op('Gather', [weights('positions', CONTEXT, EMBD, gain=0.5), positions])])
    x = norm('first', x)
    for i in range(LAYERS):
        p = 'layer%d.' % i
        q = heads(linear(p + 'q', x, EMBD, EMBD), [0, 2, 1, 3])
        k = heads(linear(p + 'k', x, EMBD, EMBD), [0, 2, 3, 1])
        v = heads(linear(p + 'v', x, EMBD, EMBD), [0, 2, 1, 3])
        scores = op('Add', [op('Mul', [op('MatMul', [q, k]), 'scale']), mask])
        mixed = op('Transpose', [op('MatMul', [op('Softmax', [scores], axis=-1), v])], perm=[0, 2, 1, 3])
        x = norm(p + 'n1', op('Add', [x, linear(p + 'o', op('Reshape', [mixed, 'by_token']), EMBD, EMBD)]))
        up = linear(p + 'up', x, FF, EMBD)
        up = op('Mul', [op('Mul', [up, 'half']), op('Add', [op('Erf', [op('Mul', [up, 'root'])]), 'one'])])
        x = norm(p + 'n2', op('Add', [x, linear(p + 'down', up, EMBD, FF)]))
    nodes.append(helper.make_node('Identity', [x], ['last_hidden_state']))
    ids = [helper.make_tensor_value_info(name, TensorProto.INT64, ['batch', 'tokens'])
           for name in ('input_ids', 'attention_mask')]
    out = helper.make_tensor_value_info('last_hidden_state', TensorProto.FLOAT, ['batch', 'tokens', EMBD])
    model = helper.make_model(helper.make_graph(nodes, 'encoder', ids, [out], constants),
                              opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as folder:
        whole = os.path.join(folder, 'whole.onnx')
        onnx.save(graph(), whole)
        quantize_dynamic(whole, sys.argv[1], weight_type=QuantType.QUInt8)
