// SPDX-License-Identifier: Apache-2.0
// level1-errors.test.mjs: the error class and the exports' names, as the built package has them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { inspect } from 'node:util';
import * as exported from '../../dist/index.js';

const { ChordError } = exported;

test('an error prints as ChordError, with its code and hint', () => {
  const error = new ChordError('io', 'it broke', { hint: 'mend it' });
  assert.equal(ChordError.name, 'ChordError');
  assert.equal(error.constructor.name, 'ChordError');
  assert.equal(error.name, 'ChordError');
  assert.equal(String(error), 'ChordError: it broke');
  assert.match(inspect(error), /^ChordError: it broke\n[^]*code: 'io',\s+hint: 'mend it'/);
  assert.doesNotMatch(inspect(error), /_ChordError/);
  assert.doesNotMatch(error.stack, /_ChordError/);
});

// The build shortens the names of functions.
test('every class of the package has the name of its export', () => {
  const classes = Object.entries(exported).filter(([, value]) => /^class\b/.test(String(value)));
  assert.ok(classes.length >= 8);
  for (const [name, value] of classes) assert.equal(value.name, name);
});

test("a wasm module that isn't the package's is a ChordError, even if its imports can't be linked", () => {
  const program = `
    import init, { WasmModel } from '${new URL('../../dist/index.js', import.meta.url)}';
    // This module imports a function x.y.
    const imports = [2, 7, 1, 1, 120, 1, 121, 0, 0];
    const bytes = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, ...imports]);
    await init({ module: new WebAssembly.Module(bytes) });
    try {
      new WasmModel(new Uint8Array(8));
    } catch (error) {
      console.log(error.name, error.code, error.hint !== undefined, error.message);
    }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    encoding: 'utf8',
  });
  assert.match(stdout, /^ChordError internal true /, stderr);
});
