#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes llama.cpp's answers for the models of tests/families/models.mjs: tests/families/goldens.json.

  python3 tools/make_family_goldens.py [NAME ...]

Needs Node and what make_goldens.py needs; exact, noise and tolerances are defined there. With names, only
these entries are replaced. For each model: 72 ids; `rows`, the positions of the ids whose exact logits are in
`logits` (float32, base64); exact's own greedy ids after them, and how far each leads the second-best."""
import base64
import json
import os
import random
import subprocess
import sys
import tempfile

import numpy as np

from make_goldens import HERE, NATIVE, Run, exact_file, noise, tolerances

FAMILIES = os.path.join(HERE, '../tests/families')
ROWS, GREEDY = (35, 71), 12


def golden(path, directory):
    with Run(exact_file(path, directory), kv='f32') as exact:
        chosen = random.Random(os.path.basename(path))
        ids = [chosen.randrange(256) for _ in range(72)]
        greedy, margins = exact.greedy(ids, GREEDY)
        reference = exact.prefill(ids + greedy[:-1])
    native = {}
    for label, options in NATIVE.items():
        with Run(path, **options) as run:
            native[label] = noise(run.prefill(ids + greedy[:-1]), reference)
    # Two rows are compared with their tolerance. They may be among the tenth that is furthest from exact.
    rms = float(np.sqrt((reference.astype(np.float64) ** 2).mean()))
    tolerance = tolerances(native, rms, is_trained=False)
    tolerance['nmse'] = max(tolerance['nmse'], 3 * max(n['p90'] for n in native.values()))
    rounded = lambda values: {k: float('%.3g' % v) for k, v in values.items()}
    return dict(ids=ids, greedy=greedy, margins=[float('%.3g' % m) for m in margins], rows=ROWS,
                rms=float('%.4g' % rms), native=rounded(native['kv16fa']),
                tolerance=rounded(tolerance),
                logits=base64.b64encode(reference[list(ROWS)].astype('<f4').tobytes()).decode())


def main():
    path = os.path.join(FAMILIES, 'goldens.json')
    names = sys.argv[1:]
    out = json.load(open(path)) if names else {}
    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as models:
        subprocess.run(['node', os.path.join(FAMILIES, 'models.mjs'), models, *names], check=True)
        for file in sorted(os.listdir(models)):
            name = file[:-len('.gguf')]
            out[name] = golden(os.path.join(models, file), directory)
            print('%-20s rms %5.2f  native %s  lead %s' %
                  (name, out[name]['rms'], out[name]['native'], min(out[name]['margins'])), flush=True)
    with open(path, 'w') as f:
        lines = ['"%s": %s' % (k, json.dumps(out[k], separators=(',', ':'))) for k in sorted(out)]
        f.write('{\n' + ',\n'.join(lines) + '\n}\n')


if __name__ == '__main__':
    main()
