// SPDX-License-Identifier: Apache-2.0
// bench.test.mjs: the benchmark's arithmetic and its refusals, with an engine of our own making and no clock asserted.
import test from 'node:test';
import assert from 'node:assert/strict';
import { measure } from '../../bench/measure.mjs';
import { makePrompt } from '../../bench/prompts.mjs';
import { spread, summarize, table } from '../../bench/report.mjs';

/** An engine that answers at once; `wrong` overrides what it says of a run. */
function engineOf(wrong = {}) {
  const seen = { closed: 0, forgot: 0 };
  return {
    seen, threads: 1, version: 'x',
    load: async () => {},
    forget: () => void (seen.forgot += 1),
    async *generate(prompt, maxTokens) {
      for (let n = 1; n <= (wrong.tokens ?? maxTokens); n++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        yield n;
      }
      return { promptTokens: prompt.split(' ').length, cachedTokens: 0, promptMs: 1, text: '', ...wrong };
    },
    close: async () => void (seen.closed += 1),
  };
}
const prompt = (count) => ({ text: Array(count).fill('a').join(' '), count });
const plan = { threads: 1, contextLength: 64, warmUp: { prompt: prompt(2), tokens: 2 }, prefill: { prompt: prompt(8) }, decode: { prompt: prompt(3), tokens: 4 } };

test('a measurement gives rates, forgets before each run and closes the engine', async () => {
  const engine = engineOf();
  const found = await measure(engine, null, plan);
  for (const name of ['loadMs', 'prefill', 'prefillOwn', 'decode']) assert.ok(Number.isFinite(found[name]) && found[name] >= 0, name);
  assert.equal(found.prefillOwn, 8000);
  assert.deepEqual(engine.seen, { closed: 1, forgot: 3 });
});

test('an engine that took tokens from a cache, counts another prompt or stops early gives an error and no figure', async () => {
  for (const [wrong, reason] of [[{ cachedTokens: 1 }, /cache: 1, not 0/], [{ promptTokens: 7 }, /prompt: 7, not/], [{ tokens: 1 }, /generated: 1, not 2/]]) {
    const engine = engineOf(wrong);
    await assert.rejects(measure(engine, null, plan), reason);
    assert.equal(engine.seen.closed, 1);
  }
});

test('prompts have exactly the tokens asked for, begin differently, and are the same every time', async () => {
  const tokenize = async (text) => ['<bos>', ...text.match(/ ?.{1,4}/g)]; // longer words are two tokens
  const texts = [];
  for (const number of [0, 1, 2, 40, 41, 80]) {
    const { text, count } = await makePrompt(tokenize, number, 33);
    assert.equal(count, 33);
    assert.equal((await tokenize(text)).length, 33);
    assert.deepEqual(await makePrompt(tokenize, number, 33), { text, count });
    texts.push(text);
  }
  assert.equal(new Set(texts.map((text) => text.split(' ')[0])).size, texts.length);
  await assert.rejects(makePrompt(async () => ['one'], 0, 2), /no text of 2 tokens/);
});

test('medians, spread and ratios', () => {
  assert.deepEqual(spread([3, 1, 2]), { median: 2, min: 1, max: 3, values: [3, 1, 2] });
  assert.equal(spread([4, 1, 2, 3]).median, 2.5);
});

test('a table has ratios to both peers, names what failed and what is missing, and says when the machine was busy', () => {
  const settings = { repeat: 1, threads: [1], prefill: 128, decode: 64 };
  const runs = [
    { engine: 'ours', wanted: 1, busy: 0.1, loadMs: 500, prefill: 120, decode: 60 },
    { engine: 'wllama', wanted: 1, busy: 0.1, loadMs: 2000, prefill: 12, decode: 10 },
    { engine: 'native', wanted: 1, busy: 0.1, error: 'out of luck' },
  ];
  const record = {
    machine: { cpu: 'C', cores: 2, vnni: false, load: [0, 0, 0] }, model: { file: 'm.gguf', bytes: 1e6, architecture: 'llama', quantization: 'Q4_1' },
    settings, engines: ['ours', 'wllama', 'native'], versions: { ours: '1' }, missing: {}, runs,
  };
  record.summary = summarize(record);
  assert.deepEqual(record.summary.map((row) => row.ratios), [{ wllama: 4 }, { wllama: 10 }, { wllama: 6 }]);
  assert.match(table(record), /prefill 128, tokens\/s +1 +120 \(120\.\.120\) +12\.0 \(12\.0\.\.12\.0\) +missing +10\.0 +-/);
  assert.match(table(record), /FAILED native, 1 thread\(s\): out of luck/);
  assert.match(table(record), /quiet before every measurement/);
  runs[1].busy = 1.5;
  assert.match(table({ ...record, missing: { native: 'no such thing' } }), /NOT QUIET: before 1 of 3 measurements others used up to 1\.5 cores[^]*/);
  assert.match(table({ ...record, missing: { native: 'no such thing' } }), /native is missing: no such thing/);
});
