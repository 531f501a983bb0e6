// SPDX-License-Identifier: Apache-2.0
// cli-models.test.mjs: `wasm-chord pull`, `list` and `rm` as processes, over a server of their own.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sha256, startHostile } from './hostile-server.mjs';
import { FIXTURE } from './level2.mjs';
import { bin } from './terminal.mjs';

/** Runs the command line. `onStart(child)` is called once. */
function run(parameters, { env = {}, onStart } = {}) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, ...parameters], {
      timeout: 60_000,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '',
      stderr = '';
    child.stdout.setEncoding('utf8').on('data', (data) => (stdout += data));
    child.stderr.setEncoding('utf8').on('data', (data) => (stderr += data));
    onStart?.(child);
    child.on('close', (status, signal) => resolve({ status, signal, stdout, stderr }));
  });
}

/** Runs `use({ server, folder, bytes, cache })` with a server of the fixture and an empty folder. */
async function withServer(use, given = {}) {
  const bytes = await readFile(FIXTURE);
  const server = await startHostile(bytes, given);
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-models-'));
  try {
    return await use({ server, folder, bytes, cache: ['--cache', folder] });
  } finally {
    await server.close();
    await rm(folder, { recursive: true });
  }
}

const lines = (text) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('pull keeps a model, list shows it, other commands take it from there, and rm deletes it', () =>
  withServer(async ({ server, bytes, cache }) => {
    assert.equal((await run(['list', ...cache])).stdout, 'The cache is empty.\n');
    assert.deepEqual(await run(['list', ...cache, '--json']), {
      status: 0,
      signal: null,
      stdout: '',
      stderr: '',
    });
    const pulled = await run(['pull', server.url, ...cache, '--sha256', sha256(bytes)]);
    assert.deepEqual([pulled.status, pulled.stderr], [0, ''], pulled.stderr);
    assert.equal(pulled.stdout, 'model.gguf  322.9 kB\n');
    const [entry] = lines((await run(['list', ...cache, '--json'])).stdout);
    assert.deepEqual(
      [entry.source, entry.name, entry.file, entry.bytes, entry.isComplete],
      [server.url, server.url, 'model.gguf', bytes.length, true],
    );
    const list = await run(['list', ...cache]);
    assert.match(list.stdout, /^model\.gguf {2}322\.9 kB {2}\d{4}-\d\d-\d\d {2}http:\/\/127.*model\.gguf\n$/);
    assert.equal(list.stderr, '1 model, 322.9 kB\n');

    await server.close(); // what follows comes from the cache
    const flags = ['--max-tokens', '4', '--temperature', '0', '--threads', '1', '--quiet'];
    const cached = await run(['generate', server.url, 'Hello', ...flags, ...cache]);
    assert.deepEqual(cached, await run(['generate', FIXTURE, 'Hello', ...flags]));

    const [gone] = lines((await run(['rm', 'model.gguf', ...cache, '--json'])).stdout);
    assert.deepEqual(gone, { source: server.url, bytes: bytes.length });
    assert.equal((await run(['list', ...cache])).stdout, 'The cache is empty.\n');
    const again = await run(['rm', server.url, ...cache]);
    assert.deepEqual([again.status, again.stdout], [1, '']);
    assert.match(again.stderr, /^wasm-chord: invalid-argument: http.* isn't in the cache\n$/);
    const path = await run(['pull', 'model.gguf', ...cache]);
    assert.equal(path.status, 1);
    assert.match(
      path.stderr,
      /pull downloads .*; model\.gguf is neither\nhint: a file of this machine needs no pull/,
    );
  }));

test('a pull that Ctrl-C stops says that what came is kept, and the next pull downloads only the rest', () =>
  withServer(
    async ({ server, bytes, cache, folder }) => {
      const stopped = await run(['pull', server.url, ...cache, '--connections', '1'], {
        onStart: (child) => {
          const timer = setInterval(() => {
            if (server.state.sent < bytes.length / 2) return;
            clearInterval(timer);
            child.kill('SIGINT');
          }, 10);
        },
      });
      assert.equal(stopped.signal, 'SIGINT', stopped.stderr);
      assert.match(stopped.stderr, /What came is kept/);
      assert.match((await run(['list', ...cache])).stdout, /[\d.]+ kB of 322\.9 kB/);
      server.state.sent = 0;
      server.state.bytesPerSecond = 0;
      const { status, stdout, stderr } = await run(['pull', server.url, '--json'], {
        env: { WASM_CHORD_CACHE: folder },
      });
      assert.equal(status, 0, stderr);
      assert.equal(lines(stdout)[0].isComplete, true);
      assert.ok(server.state.sent < 0.75 * bytes.length, `${server.state.sent} bytes were sent again`);
      const [gone] = lines((await run(['rm', server.url, ...cache, '--json'])).stdout);
      assert.deepEqual(gone, { source: server.url, bytes: bytes.length });
    },
    { bytesPerSecond: 100_000 },
  ));

test('pull, generate and rm take a model of a hub by its quantisation; the token goes along', () =>
  withServer(async ({ server, bytes, cache }) => {
    const tokens = new Set();
    server.state.onRequest = (request, response) => {
      tokens.add(request.headers.authorization);
      if (!request.url.startsWith('/api/models/owner/repo/tree/main')) return false;
      response.writeHead(200, { 'content-type': 'application/json' }).end(
        JSON.stringify([
          { path: 'tiny-Q4_1.gguf', size: bytes.length },
          { path: 'tiny-Q8_0.gguf', size: 9 },
        ]),
      );
      return true;
    };
    const env = { HF_ENDPOINT: server.url.replace('/model.gguf', ''), HF_TOKEN: 'hf_environment' };
    const more = [...cache, '--token', 'hf_secret'];
    const pulled = await run(['pull', 'hf:owner/repo:Q4_1', ...more], { env });
    assert.deepEqual([pulled.status, pulled.stdout], [0, 'tiny-Q4_1.gguf  322.9 kB\n'], pulled.stderr);
    assert.deepEqual([...tokens], ['Bearer hf_secret']);
    server.state.sent = 0;
    const { status, stderr } = await run(['info', 'hf:owner/repo/tiny-Q4_1.gguf', ...more], { env });
    assert.equal(status, 0, stderr);
    assert.ok(server.state.sent < 1000, `${server.state.sent} bytes were downloaded again`);
    assert.equal((await run(['rm', 'hf:owner/repo:Q4_1', ...cache], { env })).status, 0);
    assert.equal((await run(['list', ...cache])).stdout, 'The cache is empty.\n');
  }));

test('--no-cache keeps nothing, and a wrong SHA-256 is status 1', () =>
  withServer(async ({ server, cache, folder }) => {
    const env = { WASM_CHORD_CACHE: folder };
    assert.equal((await run(['info', server.url, '--no-cache'], { env })).status, 0);
    assert.equal((await run(['list', ...cache])).stdout, 'The cache is empty.\n');
    const { status, stderr } = await run(['pull', server.url, ...cache, '--sha256', '0'.repeat(64)]);
    assert.equal(status, 1);
    assert.match(stderr, /integrity: /);
    for (const wrong of [
      ['info', server.url, '--no-cache', '--cache', folder],
      ['pull'],
      ['list', 'x'],
      ['rm'],
    ])
      assert.equal((await run(wrong)).status, 2, wrong.join(' '));
  }));
