// SPDX-License-Identifier: Apache-2.0
// states.test.mjs: the recurrent states of each hybrid family (hybrids.mjs), and latent keys, whose first
// part are the values: a sequence that is cut, cloned, taken back, stopped, or saved and restored has the
// bits of the sequence evaluated in one go: the logits after its next tokens, which its states decide.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { loadModel } from '../../dist/index.js';
import { HYBRIDS } from './hybrids.mjs';
import { modelOf } from './models.mjs';
import { RWKV } from './rwkv.mjs';

const GREEDY = { temperature: 0, maxTokens: 6, ignoreEos: true };
const ids = Array.from({ length: 150 }, (_, i) => (i * 37 + 11) % 256);
const hash = (values) => createHash('sha256').update(values).digest('hex');
const bits = (floats) => hash(new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength));

async function withModel(name, options, use) {
  const model = await loadModel(modelOf(name), {
    backend: 'cpu',
    cache: 'none',
    contextLength: 256,
    ...options,
  });
  try {
    return await use(model);
  } finally {
    await model.dispose();
  }
}

async function read(run) {
  const tokens = [];
  for await (const { token } of run) tokens.push(token);
  return tokens;
}

for (const name of [...Object.keys({ ...HYBRIDS, ...RWKV }), 'deepseek2', 'minicpm3'].flatMap((family) => [
  family,
  `${family}.mix`,
])) {
  test(`${name}: one token at a time equals a prompt at once, with one thread and with two`, async () => {
    const one = await withModel(name, { threads: 1 }, async (model) =>
      bits(await model.logits(ids, { all: true })),
    );
    await withModel(name, { threads: 2 }, async (model) => {
      assert.equal(bits(await model.logits(ids, { all: true })), one, 'two threads');
      const rows = await model.logits(ids, { all: true });
      const width = rows.length / ids.length;
      const session = await model.createSession();
      for (let n = 1; n <= ids.length; n++) {
        const row = await session.logits(ids.slice(0, n));
        assert.equal(bits(row), bits(rows.slice((n - 1) * width, n * width)), `token ${n}`);
      }
    });
  });

  test(`${name}: clone, prefix, save and restore, and abort keep the bits`, () =>
    withModel(name, { threads: 2 }, async (model) => {
      const goOn = async (session) => bits(await session.logits([...session.tokens, 1, 2], { all: false }));
      const fresh = async (prompt) => {
        const session = await model.createSession();
        const tokens = await read(session.generate(prompt, GREEDY));
        const after = await goOn(session);
        await session.dispose();
        return { tokens, after };
      };
      const session = await model.createSession();
      const first = await read(session.generate(ids, GREEDY));
      const clone = await session.clone();
      const bytes = await session.save();

      // The answer stays, a question follows: a chat's next turn.
      const next = [...ids, ...first, 7, 9, 11];
      const turn = session.generate(next, GREEDY);
      const want = await fresh(next);
      assert.deepEqual(await read(turn), want.tokens);
      assert.ok(turn.stats.cachedTokens >= ids.length, `${turn.stats.cachedTokens} tokens are kept`);
      assert.equal(await goOn(session), want.after, 'the next turn');

      // The answer is taken back: the checkpoint at the prompt's end.
      const other = [...ids, 3, 4, 5];
      const back = clone.generate(other, GREEDY);
      const taken = await fresh(other);
      assert.deepEqual(await read(back), taken.tokens);
      assert.ok(back.stats.cachedTokens > 0, 'the checkpoint is used');
      assert.equal(await goOn(clone), taken.after, 'the answer taken back');

      const copy = await model.createSession();
      await copy.restore(bytes);
      assert.equal(hash(await copy.save()), hash(bytes), 'a save of the copy');
      assert.deepEqual(await read(copy.generate(next, GREEDY)), want.tokens, 'restored');

      const stopped = await model.createSession();
      const abort = new AbortController();
      const run = stopped.generate(ids, { ...GREEDY, maxTokens: 60, signal: abort.signal });
      await assert.rejects(async () => {
        let n = 0;
        for await (const _ of run) if (++n === 3) abort.abort();
      });
      assert.deepEqual(await read(stopped.generate(next, GREEDY)), want.tokens, 'after an abort');
      assert.equal(await goOn(stopped), want.after, 'states after an abort');
    }));
}
