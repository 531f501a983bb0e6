// SPDX-License-Identifier: Apache-2.0
// cache-runs.test.mjs: seeded downloads from a hostile server, with interruptions at random points. In the
// end the stored bytes are the server's, every time. Between the attempts no byte that was kept is lost.
// CHORD_RUNS=1000 sets the number of runs, CHORD_SEED=7 runs one.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ChordError, downloadModel, listModels } from '../../dist/index.js';
import { randomOf, sha256, startHostile } from './hostile-server.mjs';

const RUNS = Number(process.env.CHORD_RUNS ?? 60);
const AT_ONCE = 16;
const CHILD = fileURLToPath(new URL('./download-child.mjs', import.meta.url));
const MOST_BYTES = 12e6;
const noise = new Uint8Array(MOST_BYTES + 1000);
const chance = randomOf(99);
for (let at = 0; at < noise.length; at += 4) new DataView(noise.buffer).setUint32(at, chance() * 2 ** 32);

/** A file of noise. Only its beginning is a GGUF file's. */
function fileOf(random) {
  const bytes = Math.floor(random() ** 2 * MOST_BYTES) + 5;
  const from = Math.floor(random() * (noise.length - bytes));
  const file = noise.slice(from, from + bytes);
  file.set(new TextEncoder().encode('GGUF'));
  return file;
}

/** What is kept: the last download's data file and its bytes, and the hash of a whole copy. */
async function stored(cache) {
  const [model] = await listModels({ cache });
  if (model === undefined) return { bytes: 0 };
  const slots = (await readdir(cache)).filter((name) => /\.[ab]$/.test(name));
  const texts = await Promise.all(slots.map((name) => readFile(path.join(cache, name), 'utf8')));
  const journals = texts.flatMap((text) => {
    try {
      return [JSON.parse(text.slice(8))];
    } catch {
      return []; // torn
    }
  });
  const journal = journals.reduce((one, other) => (other.sequence > one.sequence ? other : one));
  const bytes = journal.ranges.reduce((sum, [from, to]) => sum + to - from, 0);
  // A download that replaces a whole copy names it.
  const copy = journal.isComplete ? journal : journal.old;
  assert.equal(model.isComplete, copy !== undefined);
  const file = copy && (await readFile(path.join(cache, `${copy.data}.gguf`)));
  return { bytes, data: journal.data, whole: file && sha256(file), wholeBytes: file?.length };
}

/** Starts a process that downloads, and kills it after `ms`. */
async function killed(url, cache, ms) {
  const child = spawn(process.execPath, [CHILD, url, cache], { stdio: ['ignore', 'pipe', 'ignore'] });
  await Promise.race([once(child.stdout, 'data'), once(child, 'exit')]);
  await new Promise((resolve) => setTimeout(resolve, ms));
  child.kill('SIGKILL');
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
}

const figures = { attempts: 0, aborts: 0, kills: 0, changes: 0, errors: {}, requests: 0, sent: 0, bytes: 0 };

async function run(seed) {
  const random = randomOf(seed);
  const often = () => random() * 0.4;
  const first = fileOf(random);
  const hasRanges = random() < 0.85;
  const server = await startHostile(first, {
    random,
    ranges: hasRanges,
    gzip: !hasRanges && random() < 0.3,
    bytesPerSecond: 5e6 + random() * 3e7,
    // Without ranges every cut begins anew, so such a server must not cut often.
    faults: {
      cut: hasRanges ? often() : 0.2,
      status: often(),
      lie: often() / 2,
      redirect: random(),
      page: 0.02,
    },
    ...(random() < 0.15 && { etag: null, modified: 'Mon, 02 Jan 2023 00:00:00 GMT' }),
  });
  const { state } = server;
  const cache = await mkdtemp(path.join(tmpdir(), 'chord-runs-'));
  try {
    let interruptions = Math.floor(random() * 5);
    let kept = 0;
    let whole; // the hash of a whole copy, before the last attempt
    const versions = new Set([sha256(first)]);
    let data;
    // False from a change of the file until a download begins anew, in another data file.
    let isCurrent = true;
    let model;
    for (let attempt = 0; model === undefined; attempt++) {
      assert.ok(attempt < 200, 'the download never ends');
      figures.attempts += 1;
      if (interruptions > 0 && random() < 0.1) {
        // A new file, sometimes of the same length.
        const next = fileOf(random);
        const isSame = random() < 0.5 && next.length > state.bytes.length;
        state.bytes = isSame ? next.subarray(0, state.bytes.length) : next;
        if (state.etag === null) state.modified = new Date(Date.now() - attempt * 5000).toUTCString();
        else state.etag = `"${sha256(state.bytes).slice(0, 20)}"`;
        versions.add(sha256(state.bytes));
        figures.changes += 1;
        isCurrent = false;
      }
      whole = (await stored(cache)).whole;
      assert.ok(whole === undefined || versions.has(whole), 'a whole copy is no file of the server');
      const signal = interruptions > 0 ? AbortSignal.timeout(Math.floor(random() * 250)) : undefined;
      if (seed % 10 === 0 && interruptions > 0) {
        figures.kills += 1;
        interruptions -= 1;
        await killed(server.url, cache, random() * 300);
      } else {
        try {
          model = await downloadModel(server.url, {
            cache,
            worker: false,
            signal,
            connections: 1 + (seed % 5),
          });
        } catch (error) {
          if (signal?.aborted && error === signal.reason) figures.aborts += 1;
          else {
            assert.ok(ChordError.isInstance(error), String(error?.stack));
            assert.ok(['http', 'io', 'integrity', 'invalid-gguf'].includes(error.code), String(error.stack));
            assert.ok(error.message.includes(server.url), error.message);
            figures.errors[error.code] = (figures.errors[error.code] ?? 0) + 1;
          }
          if (signal !== undefined) interruptions -= 1;
        }
      }
      const after = await stored(cache);
      const [now, name] = [after.bytes, after.data];
      assert.ok(whole === undefined || versions.has(after.whole), 'a whole copy is lost');
      if (name !== data && !isCurrent) [kept, isCurrent] = [0, true];
      data = name;
      if (hasRanges) assert.ok(now >= kept, `${now} bytes are kept of ${kept}`);
      kept = now;
    }
    assert.ok(model.isComplete);
    const got = await stored(cache);
    assert.equal(model.totalBytes, got.wholeBytes);
    // An older whole copy is current while the server doesn't answer in time, or with an error. A part of the
    // newer file may then lie beside it.
    const isNewest = got.whole === sha256(state.bytes);
    assert.ok(isNewest || got.whole === whole, 'the copy is another file');
    const files = (await readdir(cache)).filter((name) => name.endsWith('.gguf'));
    assert.ok(files.length === 1 || (files.length === 2 && !isNewest), 'something is left of earlier files');
    figures.bytes += got.wholeBytes;
  } catch (error) {
    error.message = `seed ${seed}: ${error.message}`;
    throw error;
  } finally {
    figures.requests += state.requests.length;
    figures.sent += state.sent;
    await server.close();
    await rm(cache, { recursive: true, force: true });
  }
}

test(`${RUNS} seeded runs against a hostile server, interrupted at random points: nothing lost, nothing wrong`, async (t) => {
  const seeds = process.env.CHORD_SEED
    ? [Number(process.env.CHORD_SEED)]
    : Array.from({ length: RUNS }, (_, seed) => seed);
  const begin = performance.now();
  const next = seeds.values();
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const seed of next) await run(seed);
    }),
  );
  const { attempts, aborts, kills, changes, errors, requests, sent, bytes } = figures;
  t.diagnostic(
    `${seeds.length} runs, ${attempts} attempts, ${aborts} aborts, ${kills} kills, ${changes} changed files, ` +
      `${JSON.stringify(errors)}, ${requests} requests; ${(bytes / 1e6).toFixed(0)} MB right, ` +
      `${(sent / 1e6).toFixed(0)} MB sent, ${((performance.now() - begin) / 1000).toFixed(0)} s`,
  );
});
