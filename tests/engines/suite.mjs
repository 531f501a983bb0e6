// SPDX-License-Identifier: Apache-2.0
// suite.mjs: the tests of one browser, cross-origin isolated and not, with one start of the browser. The
// checks are in page/checks.mjs and run in the page. What they found goes to build/engines/, for `make
// engines`.
//
// A test is skipped where the browser or the model is missing. With CI=true it fails instead, unless the
// distribution carries no package of the browser (tools/setup_test.sh).
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { launch, missing } from '../../tools/browsers.mjs';
import { startServer } from '../../tools/serve.mjs';
import { memoryBound } from '../e2e/memory-bound.mjs';
import { MODEL, root } from '../e2e/browser.mjs';
import { assertFixture, assertReal } from '../reference/asserts.mjs';
import { readGolden } from '../reference/golden.mjs';

const GOLDEN = `${root}tests/golden`;
export const FIXTURES = readdirSync(GOLDEN)
  .filter((file) => file.endsWith('.gguf'))
  .map((file) => file.slice(0, -5));

/** Options of node:test's test() for a test that needs `engine` and SmolLM2. */
function needs(engine) {
  const reasons = [
    missing(engine),
    existsSync(root + MODEL) ? '' : `${MODEL} is missing (make model)`,
  ].filter(Boolean);
  const uncarried = `${root}build/not-carried`;
  const isExcused =
    missing(engine) !== '' &&
    existsSync(uncarried) &&
    readFileSync(uncarried, 'utf8').split('\n').includes(engine);
  if (reasons.length > 0 && process.env.CI === 'true' && !isExcused) throw new Error(reasons.join('; '));
  return { skip: reasons.length > 0 ? reasons.join('; ') : false, timeout: 300_000 };
}

/** What was found, written to build/engines/NAME.json when the tests of the file have ended. */
export class Findings {
  modes = {};

  constructor(name) {
    this.name = name;
  }

  /** Runs `use` and keeps its figures, or that it failed, as `mode`'s `what`. */
  async keep(mode, what, use) {
    const found = ((this.modes[mode] ??= {})[what] = { passed: false });
    const begin = performance.now();
    Object.assign(found, await use(), { passed: true });
    found.seconds = Math.round(performance.now() - begin) / 1000;
  }

  write(title, version) {
    const folder = `${root}build/engines`;
    mkdirSync(folder, { recursive: true });
    const found = { title, version, modes: this.modes };
    writeFileSync(`${folder}/${this.name}.json`, `${JSON.stringify(found, null, 1)}\n`);
  }
}

const shortened = (hash) => createHash('sha256').update(hash).digest('hex').slice(0, 8);

/** Asserts the golden fixtures. Returns figures: hashes of the logits, the worst NMSE in its tolerance. */
export async function judgedFixtures(t, found) {
  let worst = 0;
  const hash = createHash('sha256');
  const hashes = {};
  for (const name of FIXTURES) {
    worst = Math.max(worst, assertFixture(name, await readGolden(name), found[name]));
    hash.update(found[name].hash);
    hashes[name] = shortened(found[name].hash);
  }
  const logits = hash.digest('hex').slice(0, 8);
  t.diagnostic(
    `${FIXTURES.length} fixtures, NMSE at most ${worst.toFixed(2)} of its tolerance, logits ${logits}`,
  );
  return { count: FIXTURES.length, worst, logits, hashes };
}

/** Asserts SmolLM2's tokens. Returns figures beside llama.cpp's own. */
export async function judgedSmolLm2(t, label, found) {
  const golden = await readGolden('smollm2');
  assertReal(t, label, golden, found);
  const { differ, regret, nmse, kl } = found.ways.prefill;
  const steps = golden.prompts.length * golden.prompts[0].greedy.length;
  return { differ, regret, nmse, kl, steps };
}

/** Asserts what the check memory64 found. `narrow`: figures of the fixtures with 32-bit addresses. */
export function assertMemory64(narrow, { memory64, variant, total, hashes, code, message }) {
  if (!memory64) {
    assert.equal(code, 'out-of-memory', message);
    assert.match(message, /has no Memory64/);
    return { memory64 };
  }
  assert.match(variant, /^wasm64-relaxed(\+fma)?$/);
  assert.ok(total > 2 ** 32);
  for (const name of FIXTURES)
    assert.equal(shortened(hashes[name]), narrow.hashes[name], `${name}: other logits with 64-bit addresses`);
  return { memory64, variant };
}

/** Defines the tests of `engine`. */
export function engineTests(engine) {
  const options = needs(engine);
  const findings = new Findings(engine);
  let browser;
  const servers = new Map();
  before(async () => {
    if (options.skip) return;
    browser = await launch(engine);
    for (const isolated of [true, false]) servers.set(isolated, await startServer({ root, isolated }));
  });
  after(async () => {
    if (browser) findings.write(browser.name, browser.version);
    await browser?.close();
    for (const server of servers.values()) await server.close();
  });

  for (const isolated of [true, false]) {
    const mode = isolated ? 'isolated' : 'not isolated';
    const define = (what, sentence, use) =>
      test(`${engine}, ${mode}: ${sentence}`, options, (t) => findings.keep(mode, what, () => use(t)));
    const open = (route) => browser.open(servers.get(isolated).address + route);
    /** Runs a check of page/checks.mjs in a fresh page. */
    const check = async (name, more = {}) => {
      const page = await open('/tests/engines/page/');
      await page.waitFor(() => window.checks !== undefined);
      const found = await page.evaluate(({ name, given }) => window.checks[name](given), {
        name,
        given: { model: `/${MODEL}`, fixtures: FIXTURES, ...more },
      });
      assert.deepEqual(await page.evaluate(() => window.faults), []);
      await page.close();
      return found;
    };
    defineTests({ engine, isolated, mode, findings, define, open, check });
  }
}

/** The tests of one mode of a browser. */
function defineTests({ engine, isolated, mode, findings, define, open, check }) {
  define('environment', 'model.info says which fallback was taken, and why', async (t) => {
    const found = await check('environment');
    const { info } = found;
    t.diagnostic(`${info.threadsReason}; ${info.variant}: ${info.variantReason}`);
    assert.equal(found.crossOriginIsolated, isolated);
    assert.equal(found.simd, true);
    assert.equal(/relaxed/.test(info.variant), found.relaxedSimd);
    assert.equal(info.threads, found.threads);
    // WebKitGTK can't post a shared memory. The others do where the page is isolated.
    assert.equal(found.threads > 1, isolated && engine !== 'webkit' && availableParallelism() > 1);
    assert.match(info.variantReason, found.relaxedSimd ? /has relaxed SIMD/ : /has no relaxed SIMD/);
    const reason = !isolated
      ? /^1 thread: the page isn't cross-origin isolated$/
      : engine === 'webkit'
        ? /^1 thread: this JavaScript engine can't post a shared memory to a worker$/
        : /^\d+ threads: |^1 thread: the machine has only one$/;
    assert.match(info.threadsReason, reason);
    return found;
  });
  define('fixtures', "every fixture has llama.cpp's ids and logits", async (t) => {
    const found = await judgedFixtures(t, await check('fixtures', { threads: 2 }));
    const other = findings.modes['isolated'].fixtures.logits;
    if (!isolated && other) assert.equal(found.logits, other, 'isolation must change no bit of the logits');
    return found;
  });
  if (isolated)
    define('smollm2', "SmolLM2 prefers tokens as good as llama.cpp's", async (t) =>
      judgedSmolLm2(t, engine, await check('smollm2')),
    );
  define('level1', 'level 1 streams, breaks, refuses and frees', () => check('level1'));
  define('level2', 'level 2 repeats by seed, breaks, tokenizes and chats', async (t) => {
    const found = await check('level2');
    t.diagnostic(`${JSON.stringify(found.chat)}; seed 1: ${JSON.stringify(found.sampled)}`);
    return found;
  });
  define('sources', 'every kind of source gives the same text', () => check('sources'));
  define('threads', 'each number of threads gives the same logits', async (t) => {
    const found = await check('threads');
    for (const reason of found.reasons) t.diagnostic(reason);
    return found;
  });
  define(
    'memory64',
    'a plan above 4 GiB takes 64-bit addresses with the same logits, or says why not',
    async () => assertMemory64(findings.modes[mode].fixtures, await check('memory64', { threads: 2 })),
  );
  define('abort', 'an abort takes effect within one step', () => check('abort'));
  define('badFiles', 'bad files are typed errors, and the next load works', () => check('badFiles'));
  define('memory', 'memory stays within its bound', async (t) => {
    const { info, loaded, used, stats } = await check('memory');
    assert.ok(stats.promptTokens + stats.cachedTokens > 250 && stats.tokens === 16);
    for (const [when, counters] of Object.entries({ loaded, used })) {
      const [bound, terms] = await memoryBound(path.join(root, MODEL), info, counters);
      const held = counters.wasmBytes + counters.bufferBytesPeak;
      t.diagnostic(`${when}: ${(held / 1e6).toFixed(1)} MB of ${terms}`);
      assert.ok(counters.bufferBytesPeak > 0 && held > info.memory.weights, 'the counters must count');
      assert.ok(held <= bound, `${when}: ${held} bytes are held, at most ${bound} are allowed`);
    }
  });
  define('cache', 'a second load comes from the cache', () => check('cache'));
  define(
    'paging',
    'a paged model has the bits of the resident one, from the cache and from a Blob',
    async (t) => {
      const found = await check('paging');
      for (const [kind, what] of Object.entries(found)) t.diagnostic(`${kind}: ${JSON.stringify(what)}`);
      return found;
    },
  );
  define('resume', 'a download goes on after an abort and a reload', async (t) => {
    const kept = await check('interrupt');
    const found = await check('resume', { kept });
    t.diagnostic(`from ${(found.from / 1e6).toFixed(0)} MB of ${(kept.total / 1e6).toFixed(0)} MB`);
    return found;
  });
  for (const level of [1, 2])
    define(`testPage${level}`, `the test page passes its six checks at level ${level}`, async (t) => {
      const page = await open(`/examples/test-async/?level=${level}`);
      await passTestPage(t, page, `${engine}-test-page-${isolated ? 'isolated' : 'plain'}-level${level}`);
    });
  define('chatPage', 'the chat page answers with SmolLM2', async (t) => {
    const page = await open('/examples/chat/');
    await passChatPage(t, page, `${engine}-chat-${isolated ? 'isolated' : 'plain'}`);
  });
}

/** Saves a picture in the folder that SCREENSHOTS names, if it names one. */
async function picture(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  mkdirSync(folder, { recursive: true });
  await page.screenshot(path.join(folder, `${name}.png`));
}

async function passTestPage(t, page, name) {
  await page.waitFor(() => document.documentElement.dataset.ready === 'true');
  await page.evaluate(() => document.getElementById('load').click());
  await page.waitFor(() => ['pass', 'fail'].includes(window.results.load.status));
  const load = await page.evaluate(() => window.results.load);
  assert.equal(load.status, 'pass', load.text);
  await page.evaluate(() => document.getElementById('run-all').click());
  await page.waitFor(
    () =>
      Object.keys(window.results.checks).length === 6 && document.documentElement.dataset.busy === 'false',
  );
  await picture(page, name);
  const { checks } = await page.evaluate(() => window.results);
  for (const [id, { status, text }] of Object.entries(checks)) {
    t.diagnostic(`${id}: ${text}`);
    assert.equal(status, 'pass', `${id}: ${text}`);
  }
  await page.close();
}

async function passChatPage(t, page, name) {
  const until = (state) => page.waitFor((state) => window.chat.state === state, state);
  await page.waitFor(() => document.documentElement.dataset.ready === 'true');
  await page.evaluate(() => document.getElementById('url-form').requestSubmit());
  await page.waitFor(() => ['ready', 'empty'].includes(window.chat.state));
  await until('ready');
  await picture(page, `${name}-ready`);
  await page.evaluate(() => {
    // Without a system turn of one's own, SmolLM2's greedy answer is French.
    document.getElementById('system').value = 'You are a helpful assistant.';
    document.getElementById('temperature').value = '0';
    document.getElementById('max-tokens').value = '12';
    document.getElementById('question').value = 'What is the capital of France?';
    document.getElementById('ask').requestSubmit();
  });
  await page.waitFor(() => window.chat.state === 'ready' && window.chat.messages.length === 2);
  await picture(page, name);
  const { messages, error, welcome } = await page.evaluate(() => ({
    messages: window.chat.messages,
    error: window.chat.error,
    welcome: document.getElementById('welcome').offsetHeight,
  }));
  assert.equal(error, null);
  assert.equal(welcome, 0, 'the welcome must make room for the conversation');
  assert.match(messages[1].content, /Paris/);
  t.diagnostic(JSON.stringify(messages[1].content));
  await page.close();
}
