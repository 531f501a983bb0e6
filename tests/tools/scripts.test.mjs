// scripts.test.mjs: tools that write committed files. Each test runs a copy of a tool in a folder of its own.
// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'node:test';

const root = new URL('../../', import.meta.url).pathname;

/** Returns a folder that holds copies of `tools` and the files of `texts`, and is removed after the test. */
function folderOf(t, tools, texts) {
  const folder = mkdtempSync(path.join(tmpdir(), 'wasm-chord-tools-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(`${folder}/tools`);
  for (const tool of tools) copyFileSync(`${root}tools/${tool}`, `${folder}/tools/${tool}`);
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(path.dirname(`${folder}/${name}`), { recursive: true });
    writeFileSync(`${folder}/${name}`, text);
  }
  return folder;
}

const readme = 'before\n<!-- status -->\nold table\n<!-- /status -->\nafter\n';
const results = (...names) => JSON.stringify(names.map((name) => ({ name, result: 'passed' })));
const engines = readFileSync(`${root}docs/ENGINES.md`, 'utf8');
const status = (cwd) => spawnSync(process.execPath, ['tools/status.mjs'], { cwd, encoding: 'utf8' });

test('status writes the table of the results that are there', (t) => {
  const folder = folderOf(t, ['status.mjs', 'browsers.mjs'], {
    'README.md': readme,
    'docs/ENGINES.md': engines,
    'build/results/tests-ts-smollm2.json': results('SmolLM2 prefers tokens as good as any'),
  });
  const { status: exit, stderr } = status(folder);
  assert.equal(exit, 0, stderr);
  const text = readFileSync(`${folder}/README.md`, 'utf8');
  assert.match(text, /^before\n<!-- status -->\n\|[^]*\|\n<!-- \/status -->\nafter\n$/);
  // Firefox, WebKit and SmolLM2 in Chromium come from docs/ENGINES.md.
  assert.match(
    text,
    /^\| {2}\| Chromium .* \| Chromium .*, no headers \| Firefox \d+ \| WebKit [\d.]+ \| Node \d+ \|$/m,
  );
  assert.match(text, /\| SmolLM2 as good as llama\.cpp \| yes \| - \| yes \| yes \| yes \|/);
  assert.match(text, /\| behind a bundler \(Vite\) \| not run \| - \| - \| - \| - \|/);
});

test('status fails and names the matcher when a suite ran and no title matches, and keeps README.md', (t) => {
  const folder = folderOf(t, ['status.mjs', 'browsers.mjs'], {
    'README.md': readme,
    'docs/ENGINES.md': engines.replace('| the chat page |', '| another page |'),
    'build/results/tests-ts-smollm2.json': results('another title'),
  });
  const { status: exit, stderr } = status(folder);
  assert.equal(exit, 1);
  assert.match(stderr, /no title in the results of ts-smollm2 contains 'tokens as good'/);
  assert.match(stderr, /docs\/ENGINES\.md has no row 'the chat page'/);
  assert.equal(readFileSync(`${folder}/README.md`, 'utf8'), readme);
});

// Stand-ins for the Python packages: every format has blocks of 32 elements and no dequantizer of gguf's.
const gguf = `
from unittest.mock import MagicMock
GGMLQuantizationType = MagicMock(__members__={'Q2_0': 42})
GGML_QUANT_SIZES = MagicMock(__getitem__=lambda self, kind: (32, 18))
quants = MagicMock(dequantize=MagicMock(side_effect=NotImplementedError))
`;
const numpy = `
from unittest.mock import MagicMock
import sys
sys.modules['numpy'] = MagicMock()
`;

test('make_quant_goldens without llama-cpp-python names the package and keeps the golden', (t) => {
  const golden = 'tests/golden/quant.bin';
  const folder = folderOf(t, ['make_quant_goldens.py', 'ggml_types.py'], {
    [golden]: 'the committed golden',
    'packages/gguf.py': gguf,
    'packages/numpy.py': numpy,
  });
  const { status: exit, stderr } = spawnSync('python3', ['-S', 'tools/make_quant_goldens.py'], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: `${folder}/packages` },
  });
  assert.equal(exit, 1);
  assert.equal(readFileSync(`${folder}/${golden}`, 'utf8'), 'the committed golden');
  assert.match(stderr, /^[^\n]*needs PyPI llama-cpp-python[^\n]*\n$/);
});
