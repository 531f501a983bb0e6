// SPDX-License-Identifier: Apache-2.0
// Level 2: embeddings, ranks and OpenAI's embeddings.create, over small models of random weights.
import test from 'node:test';
import assert from 'node:assert/strict';
import { inspectModel, loadModel } from '../../dist/index.js';
import { encoderOf } from '../families/encoders.mjs';

const load = (name, options) =>
  loadModel(encoderOf(name), { cache: 'none', backend: 'cpu', threads: 1, ...options });
async function using(name, use, options) {
  const model = await load(name, options);
  try {
    await use(model);
  } finally {
    await model.dispose();
  }
}
const lengthOf = (row) => Math.hypot(...row);
const texts = Array.from({ length: 120 }, (_, i) => `sea ${i}` + ' and'.repeat(i % 7));

test('many texts a call: each with the bytes of a call of its own, in a fraction of the batches', () =>
  using('bert', async (model) => {
    let batches = 0;
    const rows = await model.embed(texts, { onProgress: () => (batches += 1) });
    assert.equal(rows.length, texts.length);
    for (const i of [0, 1, 57, 119]) {
      const one = await model.embed(texts[i]);
      assert.ok(one instanceof Float32Array);
      assert.deepEqual(one, rows[i]);
      assert.ok(Math.abs(lengthOf(one) - 1) < 1e-6);
    }
    // Weights are read once a batch.
    assert.ok(batches < texts.length / 5, `${batches} batches for ${texts.length} texts`);
  }));

test('poolings and ids: a row for each token, the first and the last of them, their mean', () =>
  using('bert', async (model) => {
    const ids = Int32Array.from([5, 9, 200, 31]);
    const options = { normalize: false };
    const all = await model.embed(ids, { ...options, pooling: 'none' });
    const width = model.info.embeddingLength;
    assert.equal(all.length, 4 * width);
    assert.deepEqual(await model.embed([5, 9, 200, 31], { ...options, pooling: 'cls' }), all.slice(0, width));
    assert.deepEqual(await model.embed(ids, { ...options, pooling: 'last' }), all.slice(3 * width));
    const mean = await model.embed(ids, options); // the file's pooling
    mean.forEach((x, i) => {
      const sum = all[i] + all[width + i] + all[2 * width + i] + all[3 * width + i];
      assert.ok(Math.abs(x - sum / 4) < 1e-5);
    });
    const two = await model.embed([ids, 'a text', [7]], { ...options, pooling: 'none' });
    assert.deepEqual(two[0], all);
    assert.equal(two[2].length, width);
    assert.deepEqual(await model.embed([]), []);
  }));

test('progress after each batch; an abort ends the call with its reason, and the model stays usable', () =>
  using('bert', async (model) => {
    const seen = [];
    await model.embed(texts, { onProgress: ({ done, total }) => seen.push([done, total]) });
    assert.ok(seen.length > 1);
    assert.deepEqual(seen.at(-1), [texts.length, texts.length]);
    assert.ok(seen.every(([done], i) => i === 0 || done > seen[i - 1][0]));
    const control = new AbortController();
    const reason = new Error('enough');
    const aborted = model.embed(texts, {
      signal: control.signal,
      onProgress: () => control.abort(reason),
    });
    await assert.rejects(aborted, (error) => error === reason);
    assert.equal((await model.embed('after it')).length, model.info.embeddingLength);
  }));

test('what onProgress throws ends the call, which rejects with it, in a worker and without one', async () => {
  for (const worker of [true, false])
    await using(
      'bert',
      async (model) => {
        const reason = new Error('enough');
        let calls = 0;
        const fail = () => {
          calls += 1;
          throw reason;
        };
        const isReason = (error) => error === reason;
        await assert.rejects(model.embed(texts, { onProgress: fail }), isReason);
        assert.ok(calls < 5, `${calls} batches after the error`);
        await assert.rejects(model.embed('alone', { onProgress: fail }), isReason);
        await assert.rejects(model.embed(texts, { onProgress: async () => fail() }), isReason);
        assert.equal((await model.embed('after it')).length, model.info.embeddingLength);
      },
      { worker },
    );
});

test('an encoder continues no text, and says so; texts and continuations live beside each other', async () => {
  await using('bert', async (model) => {
    await assert.rejects(model.generate('once').text(), {
      code: 'unsupported-architecture',
      message: /the model is an encoder/,
    });
    await assert.rejects(model.logits([1, 2]), { code: 'unsupported-architecture' });
    assert.equal((await model.embed('then')).length, model.info.embeddingLength);
  });
  await using('qwen3-embedding', async (model) => {
    const before = await model.generate([1, 2, 3], { maxTokens: 4, temperature: 0 }).text();
    const row = await model.embed('a text');
    assert.equal(await model.generate([1, 2, 3], { maxTokens: 4, temperature: 0 }).text(), before);
    assert.deepEqual(await model.embed('a text'), row);
  });
});

test('what can not be embedded is refused by name', () =>
  using('bert', async (model) => {
    await assert.rejects(model.embed(['short', 'long '.repeat(400)]), {
      code: 'context-full',
      message: /text 1: /,
      hint: 'split the text',
    });
    await assert.rejects(model.embed(['', Int32Array.from([])]), {
      code: 'invalid-argument',
      message: /text 0: .*a text without tokens/,
    });
    await assert.rejects(model.embed('a', { pooling: 'max' }), {
      code: 'invalid-argument',
      message: /pooling/,
    });
    await assert.rejects(model.embed('a', { prefix: 'x' }), { code: 'invalid-argument', message: /prefix/ });
    for (const id of [2.5, NaN, 2 ** 32 + 5])
      await assert.rejects(model.embed(['a', [5, id]]), {
        code: 'invalid-argument',
        message: new RegExp(`text 1: ids\\[1\\] is ${id}, not a token id`),
      });
    await assert.rejects(model.embed([[5, 100000]]), { code: 'invalid-argument', message: /100000/ });
    await assert.rejects(model.rerank('a', ['b']), { code: 'invalid-argument', message: /no classifier/ });
    await assert.rejects(model.embed([{}]), { code: 'invalid-argument' });
  }));

test('info says whether a model is an encoder, and its pooling; of a file that can not run it is unknown', async () => {
  for (const [name, isEncoder, pooling] of [
    ['bert', true, 'mean'],
    ['bert-rank', true, 'rank'],
    ['qwen3-embedding', false, 'last'],
  ]) {
    await using(name, ({ info }) => assert.deepEqual([info.isEncoder, info.pooling], [isEncoder, pooling]));
    const found = await inspectModel(encoderOf(name));
    assert.deepEqual([found.isEncoder, found.pooling], [isEncoder, pooling]);
  }
  const file = Buffer.from(encoderOf('bert'));
  file.write('x', file.indexOf('general.architecture') + 'general.architecture'.length + 12);
  const found = await inspectModel(file);
  assert.equal(found.problem.code, 'unsupported-architecture');
  assert.deepEqual([found.isEncoder, found.pooling], [undefined, undefined]);
});

test('the hint for a text that is too long says what helps', async () => {
  const long = Array(300).fill(5);
  const hint = "split the text, or take the pooling 'last'";
  await using('qwen3-embedding', (model) =>
    assert.rejects(model.embed(long, { pooling: 'mean' }), { code: 'context-full', hint }),
  );
  const larger = { hint: 'split the text, or load the model with a larger contextLength' };
  await using('bert', (model) => assert.rejects(model.embed(long.slice(0, 100)), larger), {
    contextLength: 64,
  });
});

test('rerank sorts documents by the classifier', () =>
  using('bert-rank', async (model) => {
    const documents = texts.slice(0, 9);
    const ranked = await model.rerank('what moved the stone', documents);
    assert.deepEqual(
      ranked.map(({ index }) => index).sort((a, b) => a - b),
      [0, 1, 2, 3, 4, 5, 6, 7, 8],
    );
    assert.ok(ranked.every(({ score }, i) => i === 0 || score <= ranked[i - 1].score));
    const [query, document] = await Promise.all(
      ['what moved the stone', documents[4]].map((text) => model.tokenize(text, { addSpecial: false })),
    );
    const labels = await model.embed([[...query, ...document]]);
    assert.equal(labels[0].length, 3);
    assert.equal(ranked.find(({ index }) => index === 4).score, labels[0][0]);
    assert.deepEqual(await model.rerank('what moved the stone', documents, { topN: 2 }), ranked.slice(0, 2));
    assert.deepEqual(await model.rerank('nothing', []), []);
  }));

test("embeddings.create has OpenAI's shape", () =>
  using('bert', async (model) => {
    const input = ['one text', 'another text'];
    const [first] = await model.embed(input);
    const answer = await model.embeddings.create({ input, model: 'any-name' });
    assert.equal(answer.object, 'list');
    assert.equal(answer.model, 'any-name');
    assert.deepEqual(answer.data[0], { object: 'embedding', index: 0, embedding: Array.from(first) });
    const counts = await Promise.all(input.map(async (text) => (await model.tokenize(text)).length));
    assert.deepEqual(answer.usage, {
      prompt_tokens: counts[0] + counts[1],
      total_tokens: counts[0] + counts[1],
    });
    const coded = await model.embeddings.create({ input: 'one text', encoding_format: 'base64' });
    const bytes = Buffer.from(coded.data[0].embedding, 'base64');
    assert.deepEqual(new Float32Array(Uint8Array.from(bytes).buffer), first);
    const short = await model.embeddings.create({ input: 'one text', dimensions: 8 });
    assert.equal(short.data[0].embedding.length, 8);
    assert.ok(Math.abs(lengthOf(short.data[0].embedding) - 1) < 1e-6);
    await assert.rejects(model.embeddings.create({ input: [] }), { code: 'invalid-argument' });
  }));
