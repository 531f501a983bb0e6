#!/usr/bin/env python3
"""Loads each file of a folder of malformed models with a native `chord`, and compares the results with its
manifest.

    tools/check_bad.py DIR [--chord build/asan/chord] [--refused NAME=CODE ...]

DIR/manifest.json is a list of {file, name, expect: 'error' | 'loads' | 'either'}. A file loads when a prompt
can be tokenised and three tokens generated. An error must print one of our codes on stderr. A signal, a
sanitizer's report or ten seconds count as failures, whatever the manifest says. --refused names a valid file
that this version must refuse, and the error code.
"""
# SPDX-License-Identifier: Apache-2.0
import argparse
import json
import pathlib
import re
import subprocess
import sys

CODE = re.compile(r'chord: (?:.*?: )?(invalid-gguf|unsupported-[a-z]+|invalid-argument|out-of-memory|context-full|internal): ')


def outcome_of(chord, file):
    command = [chord, 'generate', str(file), '--prompt', 'hello the and', '--max-tokens', '3', '--temperature', '0',
               '--ignore-eos', '--ctx', '64']
    try:
        run = subprocess.run(command, capture_output=True, timeout=10)
    except subprocess.TimeoutExpired:
        return 'hang', ''
    text = run.stderr.decode('utf-8', 'replace').strip()
    if run.returncode == 0:
        return 'loads', ''
    code = CODE.search(text)
    if run.returncode == 1 and code:
        return code.group(1), text
    return 'died', text[-600:]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=pathlib.Path)
    parser.add_argument('--chord', default='build/asan/chord')
    parser.add_argument('--refused', action='append', default=[])
    parser.add_argument('-v', action='store_true')
    options = parser.parse_args()
    refused = dict(pair.split('=') for pair in options.refused)
    passed = failed = 0
    for entry in json.loads((options.folder / 'manifest.json').read_text()):
        outcome, text = outcome_of(options.chord, options.folder / entry['file'])
        loads = outcome == 'loads'
        is_error = outcome not in ('loads', 'hang', 'died')
        if entry['name'] in refused:
            good = outcome == refused[entry['name']]
        else:
            good = {'error': is_error, 'loads': loads, 'either': is_error or loads}[entry['expect']]
        passed, failed = passed + good, failed + (not good)
        if not good or options.v:
            print(f"{'ok  ' if good else 'FAIL'} {entry['name']}: want {entry['expect']}, got {outcome} {text}")
    print(f'{passed} passed, {failed} failed, 0 skipped')
    sys.exit(failed != 0)


if __name__ == '__main__':
    main()
