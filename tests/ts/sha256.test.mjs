// SPDX-License-Identifier: Apache-2.0
// sha256.test.mjs: the hash that browsers use (ts/load/sha256.ts) against Node's own.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { transform } from 'esbuild';
import { randomOf } from './hostile-server.mjs';

const source = await readFile(new URL('../../ts/load/sha256.ts', import.meta.url), 'utf8');
const { code } = await transform(source, { loader: 'ts' });
const { Sha256 } = await import(`data:text/javascript,${encodeURIComponent(code)}`);

test('SHA-256 of every length up to 300 bytes, and of a long file in random chunks, is that of node:crypto', () => {
  const random = randomOf(5);
  const lengths = [...Array(301).keys(), 1_000_003];
  for (const length of lengths) {
    const bytes = Uint8Array.from({ length }, () => random() * 256);
    const hash = new Sha256();
    for (let at = 0; at < length;) {
      const end = at + Math.ceil(random() * (length > 1000 ? 90_000 : 80));
      hash.update(bytes.subarray(at, end));
      at = end;
    }
    assert.equal(hash.hex(), createHash('sha256').update(bytes).digest('hex'), `${length} bytes`);
  }
});
