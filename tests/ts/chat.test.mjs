// SPDX-License-Identifier: Apache-2.0
// chat.test.mjs: chat.completions.create over a small fixture with a template: OpenAI's objects whole and in
// chunks, the prompt's ids, options, errors, leaving and aborting, the KV cache kept between turns.
import test from 'node:test';
import assert from 'node:assert/strict';
import { CHATML, withTemplate, promptIds } from './chat.mjs';
import { SMOLLM2, needsModel, refused, withModel } from './level2.mjs';
import { collect } from './scripted.mjs';

const fixture = await withTemplate(CHATML);
/** A model whose greedy answer to `asked` ends with an end-of-generation token. */
const ending = await withTemplate(CHATML, new URL('../golden/f32-linear-spm.gguf', import.meta.url));
const asked = [{ role: 'user', content: 'Hi there' }];
const greedy = { messages: asked, temperature: 0, max_tokens: 12 };
/** A SentencePiece model: every text starts with a space, and a token that is detokenised alone loses it. */
const blanks = await withTemplate(CHATML, new URL('../golden/q4_0-spm.gguf', import.meta.url));
const withChat = (use, source = fixture, options = { threads: 1 }) =>
  withModel(source, options, (model) =>
    use(model, (body, more) => model.chat.completions.create(body, more)),
  );

const textOf = (chunks) => chunks.map(({ choices }) => choices[0]?.delta.content ?? '').join('');

/**
 * Generates from the template's text, tokenised with special tokens parsed and none added, as in llama.cpp.
 */
async function expected(model, messages, options) {
  const ids = await promptIds(model, messages);
  const run = model.generate(ids, options);
  const events = [];
  for await (const event of run) events.push(event);
  return { ids, events, text: events.map(({ text }) => text).join(''), stats: run.stats };
}

test("a completion has exactly OpenAI's fields, and the text that generate returns for the template's text", () =>
  withChat(async (model, create) => {
    const before = Math.floor(Date.now() / 1000);
    const answer = await create({ ...greedy, model: 'any' });
    const { ids, text } = await expected(model, asked, { temperature: 0, maxTokens: 12 });
    assert.match(answer.id, /^chatcmpl-[0-9a-z]{24}$/);
    assert.ok(
      Number.isSafeInteger(answer.created) && answer.created >= before && answer.created <= Date.now() / 1000,
    );
    assert.deepEqual(answer, {
      id: answer.id,
      object: 'chat.completion',
      created: answer.created,
      model: model.info.name,
      system_fingerprint: model.info.variant,
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: text, refusal: null },
          logprobs: null,
          finish_reason: 'length',
        },
      ],
      usage: {
        prompt_tokens: ids.length,
        completion_tokens: 12,
        total_tokens: ids.length + 12,
        prompt_tokens_details: { cached_tokens: 0 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    });
    assert.notEqual((await create(greedy)).id, answer.id);
  }));

test('a stream is the same completion in chunks: the role, the text, the finish reason, and the usage when asked for', () =>
  withChat(async (model, create) => {
    const { text } = await expected(model, asked, { temperature: 0, maxTokens: 12 });
    for (const include_usage of [false, true]) {
      const stream = await create({ ...greedy, stream: true, stream_options: { include_usage } });
      assert.ok(stream.controller instanceof AbortController);
      const chunks = await collect(stream);
      const { id, created } = chunks[0];
      const head = {
        id,
        object: 'chat.completion.chunk',
        created,
        model: model.info.name,
        system_fingerprint: model.info.variant,
      };
      const of = (delta, finish_reason = null) => ({
        ...head,
        choices: [{ index: 0, delta, logprobs: null, finish_reason }],
        ...(include_usage ? { usage: null } : {}),
      });
      assert.deepEqual(chunks[0], of({ role: 'assistant', content: '', refusal: null }));
      if (include_usage) {
        const { promptTokens, cachedTokens, tokens } = stream.stats;
        assert.deepEqual(chunks.pop(), {
          ...head,
          choices: [],
          usage: {
            prompt_tokens: promptTokens,
            completion_tokens: tokens,
            total_tokens: promptTokens + tokens,
            prompt_tokens_details: { cached_tokens: cachedTokens },
            completion_tokens_details: { reasoning_tokens: 0 },
          },
        });
        assert.equal(tokens, 12);
      }
      assert.deepEqual(chunks.at(-1), of({}, 'length'));
      for (const chunk of chunks.slice(1, -1))
        assert.deepEqual(chunk, of({ content: chunk.choices[0].delta.content }));
      assert.equal(textOf(chunks), text);
      assert.ok(chunks.length > 5);
    }
  }));

test('the finish reason is stop at an end-of-generation token and a stop string, length at max_tokens; a prompt over the context is context-full', () =>
  withChat(async (_, create) => {
    const own = await create({ ...greedy, max_tokens: 100 });
    assert.equal(own.choices[0].finish_reason, 'stop');
    assert.equal(own.choices[0].stop_reason, undefined);
    const { content } = own.choices[0].message;
    assert.ok(own.usage.completion_tokens > 2 && own.usage.completion_tokens < 100);
    assert.equal(
      (await create({ ...greedy, max_completion_tokens: 2, max_tokens: null })).choices[0].finish_reason,
      'length',
    );
    for (const stop of [content[3], [content[3]], ['never in it', content[3]]]) {
      const {
        choices: [choice],
      } = await create({ ...greedy, max_tokens: 100, stop });
      assert.equal(choice.finish_reason, 'stop');
      assert.equal(choice.stop_reason, content[3]);
      assert.equal(choice.message.content, content.slice(0, content.indexOf(content[3])));
      const chunks = await collect(await create({ ...greedy, max_tokens: 100, stop, stream: true }));
      assert.equal(textOf(chunks), choice.message.content);
      assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
      assert.equal(chunks.at(-1).choices[0].stop_reason, content[3]);
      assert.ok(chunks.slice(0, -1).every(({ choices: [one] }) => !('stop_reason' in one)));
    }
    await refused(
      create({ messages: [{ role: 'user', content: 'many words '.repeat(100) }] }),
      'context-full',
    );
    const late = await create({
      messages: [{ role: 'user', content: 'many words '.repeat(100) }],
      stream: true,
    });
    await refused(collect(late), 'context-full');
  }, ending));

test('without max_tokens an answer goes on until the context is full', () =>
  withChat(
    async (_, create) => {
      // The bias rules out the end-of-generation tokens.
      const full = await create({ messages: asked, temperature: 0, logit_bias: { 2: -1000, 442: -1000 } });
      assert.equal(full.choices[0].finish_reason, 'length');
      assert.equal(full.usage.total_tokens, 250);
    },
    ending,
    { contextLength: 250, threads: 1 },
  ));

test('sampling fields reach the sampler: the text is that of generate with the same options', () =>
  withChat(async (model, create) => {
    const cases = [
      [
        { seed: 7, temperature: 1.5 },
        { seed: 7, temperature: 1.5 },
      ],
      [
        { seed: 7, temperature: 1.5, top_p: 0.5 },
        { seed: 7, temperature: 1.5, topP: 0.5 },
      ],
      [
        { seed: 7, temperature: 3, extra_body: { top_k: 3, min_p: 0 } },
        { seed: 7, temperature: 3, topK: 3, minP: 0 },
      ],
      [
        { seed: 7, temperature: 2, extra_body: { min_p: 0.3 } },
        { seed: 7, temperature: 2, minP: 0.3 },
      ],
      [
        { temperature: 0, extra_body: { repetition_penalty: 3 } },
        { temperature: 0, repetitionPenalty: 3 },
      ],
      [
        { temperature: 0, frequency_penalty: -1 },
        { temperature: 0, frequencyPenalty: -1 },
      ],
      [
        { temperature: 0, presence_penalty: -2 },
        { temperature: 0, presencePenalty: -2 },
      ],
      [
        { temperature: 0, logit_bias: { 97: 100 } },
        { temperature: 0, logitBias: { 97: 100 } },
      ],
      [{ seed: 8 }, { seed: 8 }],
    ];
    const texts = new Set();
    for (const [body, options] of cases) {
      const answer = await create({ messages: asked, max_tokens: 40, ...body });
      const { content } = answer.choices[0].message;
      assert.equal(
        content,
        (await expected(model, asked, { maxTokens: 40, ...options })).text,
        JSON.stringify(body),
      );
      texts.add(content);
    }
    assert.equal(texts.size, cases.length, 'every case must give another text');
  }));

test('logprobs are those of the chosen tokens, the same in a completion and in its chunks', async () => {
  let blank = 0;
  let parts = 0;
  for (const source of [fixture, ending, blanks]) {
    await withChat(async (model, create) => {
      const { events, ids } = await expected(model, asked, { temperature: 0, maxTokens: 7, logprobs: true });
      const answer = await create({ ...greedy, max_tokens: 7, logprobs: true });
      const { content, refusal } = answer.choices[0].logprobs;
      assert.equal(refusal, null);
      assert.deepEqual(
        content.map(({ logprob }) => logprob),
        events.map(({ logprob }) => logprob),
      );
      const rest = (await model.detokenize(ids)).length;
      for (const [index, entry] of content.entries()) {
        const { token, bytes, top_logprobs } = entry;
        assert.equal(Buffer.from(bytes).toString('utf8'), token);
        assert.equal(
          await model.detokenize([...ids, events[index].token]).then((text) => text.slice(rest)),
          token,
        );
        assert.ok(bytes.length > 0);
        if (token.includes('\ufffd')) parts += 1;
        assert.deepEqual(top_logprobs, []);
        if (token.startsWith(' ') && source === blanks) blank += 1;
      }
      // Also where a token is a part of a character, the bytes of all tokens are those of the answer.
      const shown = [];
      for (const [index, { bytes }] of content.entries())
        if ((await model.detokenize([events[index].token], { skipSpecial: true })) !== '')
          shown.push(...bytes);
      assert.equal(Buffer.from(shown).toString('utf8'), answer.choices[0].message.content);
      const chunks = await collect(
        await create({ ...greedy, max_tokens: 7, logprobs: true, stream: true, top_logprobs: 0 }),
      );
      assert.deepEqual(
        chunks.flatMap(({ choices }) => choices[0].logprobs?.content ?? []),
        content,
      );
    }, source);
  }
  assert.ok(blank > 0, 'a token must start with a space');
  assert.ok(parts > 0, 'a token must be a part of a character');
});

test('top_logprobs are the most likely tokens at each place, as in generate, with their bytes', () =>
  withChat(async (model, create) => {
    const { events } = await expected(model, asked, {
      temperature: 0,
      maxTokens: 5,
      logprobs: true,
      topLogprobs: 4,
    });
    const answer = await create({ ...greedy, max_tokens: 5, logprobs: true, top_logprobs: 4 });
    const { content } = answer.choices[0].logprobs;
    for (const [index, { token, bytes, logprob, top_logprobs: top }] of content.entries()) {
      assert.deepEqual(
        top.map((one) => one.logprob),
        events[index].topLogprobs.map((one) => one.logprob),
      );
      assert.deepEqual(
        top[0],
        { token, bytes, logprob },
        'without sampling the best token is the chosen one',
      );
      for (const one of top) assert.equal(Buffer.from(one.bytes).toString('utf8'), one.token);
    }
  }));

test("messages: text parts are joined, developer means system, and an answer's message is accepted in a later prompt", () =>
  withChat(async (model, create) => {
    const ids = async (messages) => (await promptIds(model, messages)).length;
    const promptTokens = async (messages) => (await create({ messages, max_tokens: 1 })).usage.prompt_tokens;
    const parts = [
      {
        role: 'developer',
        content: [
          { type: 'text', text: 'Be' },
          { type: 'text', text: 'brief.' },
        ],
      },
      ...asked,
    ];
    const plain = [{ role: 'system', content: 'Be\nbrief.' }, ...asked];
    assert.equal(await promptTokens(parts), await ids(plain));
    await model.chat.completions.create({ messages: plain, max_tokens: 1 });
    assert.equal(
      (await create({ messages: parts, max_tokens: 1 })).usage.prompt_tokens_details.cached_tokens,
      (await ids(plain)) - 1,
      'both forms of the messages must have the same ids',
    );
    const answer = await create(greedy);
    await create({ messages: [...asked, answer.choices[0].message, ...asked], max_tokens: 1 });
    await create({
      messages: [...asked, { ...answer.choices[0].message, annotations: [], tool_calls: null }, ...asked],
      max_tokens: 1,
    });
  }));

test('the KV cache of the last turn is kept: cached tokens are the longest common prefix', async () => {
  await withChat(async (model, create) => {
    const first = await create(greedy);
    const { ids, events } = await expected(model, asked, { temperature: 0, maxTokens: 12 });
    const next = [...asked, first.choices[0].message, { role: 'user', content: 'And then?' }];
    // The last token was never evaluated.
    const known = [...ids, ...events.slice(0, -1).map(({ token }) => token)];
    const nextIds = await promptIds(model, next);
    const common = nextIds.findIndex((id, index) => id !== known[index]);
    const before = (await model.counters()).tokensPrefilled;
    const stream = await create({
      ...greedy,
      messages: next,
      stream: true,
      stream_options: { include_usage: true },
    });
    const chunks = await collect(stream);
    assert.ok(
      common >= ids.length,
      `the next turn shares ${common} tokens, at least ${ids.length} were expected`,
    );
    assert.equal(stream.stats.cachedTokens, common);
    assert.equal(chunks.at(-1).usage.prompt_tokens_details.cached_tokens, common);
    assert.equal((await model.counters()).tokensPrefilled - before, nextIds.length - common);
  });
});

test('a second turn over SmolLM2 evaluates only the new tokens', needsModel, () =>
  withChat(async (model, create) => {
    const messages = [{ role: 'user', content: 'Name a colour.' }];
    const first = await create({ messages, temperature: 0, max_tokens: 12 });
    messages.push(first.choices[0].message, { role: 'user', content: 'Another one.' });
    const second = await create({ messages, temperature: 0, max_tokens: 4 });
    const kept = second.usage.prompt_tokens_details.cached_tokens;
    assert.ok(
      kept >= first.usage.total_tokens - 1,
      `${kept} tokens were kept, at least ${first.usage.total_tokens - 1} were expected`,
    );
    const alone = await model.chat.completions.create({
      messages: [{ role: 'user', content: 'Hi' }],
      max_tokens: 1,
    });
    assert.ok(alone.usage.prompt_tokens_details.cached_tokens < first.usage.prompt_tokens);
    assert.equal(
      (await create({ messages, temperature: 0, max_tokens: 4 })).choices[0].message.content,
      second.choices[0].message.content,
    );
  }, SMOLLM2),
);

test('break, throw, controller.abort() and a cancelled reader stop the generation; the model stays usable', async () => {
  for (const options of [{ threads: 1 }, { worker: false }]) {
    await withChat(
      async (model, create) => {
        const whole = (await create(greedy)).choices[0].message.content;
        const endless = { messages: asked, temperature: 0, stream: true, max_tokens: 200 };
        const ways = {
          async break() {
            for await (const _ of await create(endless)) break;
          },
          async throw() {
            await assert.rejects(async () => {
              for await (const _ of await create(endless)) throw new Error('mine');
            }, /mine/);
          },
          async 'controller.abort()'() {
            const stream = await create(endless);
            let count = 0;
            for await (const _ of stream) if (++count === 3) stream.controller.abort();
            assert.equal(count, 3, 'an aborted loop must end without an error, as in openai-node');
            assert.equal(stream.stats.finishReason, 'abort');
          },
          async 'abort before it is read'() {
            const stream = await create(endless);
            stream.controller.abort();
            assert.deepEqual(await collect(stream), []);
          },
          async 'a cancelled reader'() {
            const reader = (await create(endless)).toReadableStream().getReader();
            await reader.read();
            await reader.cancel();
          },
          async 'a reader cancelled while it waits'() {
            const reader = (await create(endless)).toReadableStream().getReader();
            const pending = reader.read();
            await reader.cancel();
            await pending;
          },
          async 'never read'() {
            await create(endless);
          },
        };
        for (const [how, way] of Object.entries(ways)) {
          const before = (await model.counters()).tokensDecoded;
          await way();
          const after = (await model.counters()).tokensDecoded;
          assert.ok(
            after - before <= 10,
            `${how}: ${after - before} tokens were sampled, at most 10 are allowed`,
          );
          assert.equal((await create(greedy)).choices[0].message.content, whole, how);
        }
      },
      fixture,
      options,
    );
  }
});

test('a reader that cancels during the prefill stops it', needsModel, () =>
  withChat(async (model, create) => {
    const content = 'The keeper climbed the stairs every morning. '.repeat(100);
    const length = (await model.tokenize(content)).length;
    const stream = await create({ messages: [{ role: 'user', content }], stream: true });
    const before = (await model.counters()).stepsRun;
    const reader = stream.toReadableStream().getReader();
    const pending = reader.read();
    while ((await model.counters()).stepsRun < before + 2);
    await reader.cancel();
    assert.equal((await pending).done, true);
    const { tokensPrefilled, tokensDecoded } = await model.counters();
    assert.equal(tokensDecoded, 0);
    assert.ok(
      tokensPrefilled < length,
      `the prefill must not reach all ${length} tokens, it reached ${tokensPrefilled}`,
    );
  }, SMOLLM2),
);

test('an aborted signal, in the body or in the options, makes the call reject with its reason at any stage', () =>
  withChat(async (model, create) => {
    const whole = (await create(greedy)).choices[0].message.content;
    for (const place of [(signal) => [{ signal }], (signal) => [{}, { signal }]]) {
      const call = (signal, more) => {
        const [body, options] = place(signal);
        return create({ ...greedy, max_tokens: 200, ...more, ...body }, options);
      };
      const reason = new Error('enough');
      await assert.rejects(call(AbortSignal.abort(reason)), reason);

      const queued = new AbortController();
      const [, second] = [call(undefined), call(queued.signal)];
      queued.abort(reason);
      await assert.rejects(second, reason);

      const during = new AbortController();
      const stream = await call(during.signal, { stream: true });
      let count = 0;
      await assert.rejects(async () => {
        for await (const _ of stream) if (++count === 3) during.abort(reason);
      }, reason);
      assert.equal(count, 3);

      const between = new AbortController();
      const unread = await call(between.signal, { stream: true });
      between.abort(reason);
      await assert.rejects(collect(unread), reason);
      assert.equal((await create(greedy)).choices[0].message.content, whole);
    }
  }));

test('a stream can be read once, and toReadableStream returns its chunks as lines of JSON', () =>
  withChat(async (_, create) => {
    const stream = await create({ ...greedy, stream: true });
    const chunks = await collect(stream);
    assert.throws(() => stream[Symbol.asyncIterator](), { code: 'invalid-argument' });
    let text = '';
    for await (const bytes of (await create({ ...greedy, stream: true })).toReadableStream())
      text += Buffer.from(bytes).toString('utf8');
    assert.ok(text.endsWith('\n'));
    const lines = text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      lines.map(({ choices }) => choices),
      chunks.map(({ choices }) => choices),
    );
  }));

test('unknown, out-of-range and unsupported fields are refused by name', () =>
  withChat(async (model, create) => {
    const notIn = {
      tool_choice: 'required',
      functions: [{}],
      function_call: 'auto',
      response_format: { type: 'json_object' },
      modalities: ['text', 'audio'],
      audio: {},
      prediction: {},
      web_search_options: {},
      verbosity: 'low',
    };
    for (const [name, value] of Object.entries(notIn))
      await refused(create({ ...greedy, [name]: value }), 'invalid-argument', name, 'not in this version');
    await refused(
      create({ ...greedy, logprobs: true, top_logprobs: 21 }),
      'invalid-argument',
      'top_logprobs',
    );
    const wrong = {
      temperature: -1,
      top_p: 2,
      max_tokens: 0,
      max_completion_tokens: 1.5,
      frequency_penalty: 'a',
      presence_penalty: NaN,
      seed: -1,
      stop: [1],
      logit_bias: { x: 1 },
      logprobs: 1,
      stream: 'yes',
      stream_options: { include_usage: true },
      model: 3,
      tempreature: 0,
      top_k: 4,
      signal: {},
      messages: 'Hi',
    };
    for (const [name, value] of Object.entries(wrong))
      await refused(create({ ...greedy, max_tokens: undefined, [name]: value }), 'invalid-argument', name);
    await refused(
      create({ ...greedy, max_completion_tokens: 3 }),
      'invalid-argument',
      'max_tokens',
      'max_completion_tokens',
    );
    await refused(create({ ...greedy, top_logprobs: 0 }), 'invalid-argument', 'top_logprobs');
    await refused(create({ ...greedy, stop: '' }), 'invalid-argument', 'stop');
    await refused(create({ ...greedy, stop: [, 'a'] }), 'invalid-argument', 'stop');
    await refused(create({ ...greedy, extra_body: { top_q: 1 } }), 'invalid-argument', 'top_q');
    await refused(create({ ...greedy, extra_body: { top_k: -1 } }), 'invalid-argument', 'extra_body.top_k');
    await refused(
      create({ ...greedy, stream: true, stream_options: { chunks: 1 } }),
      'invalid-argument',
      'chunks',
    );
    await refused(create({ ...greedy, logit_bias: { 100000: 1 } }), 'invalid-argument', '100000');
    await refused(create(greedy, { timeout: 1 }), 'invalid-argument', 'timeout');
    await refused(create(greedy, { signal: 1 }), 'invalid-argument', 'signal');
    await refused(create(), 'invalid-argument');
    const messages = {
      'is empty': [],
      '[0] is': ['Hi'],
      '[0] is undefined': [, ...asked],
      '[0].role': [{ role: 'robot', content: '' }],
      "role 'function'": [{ role: 'function', content: '' }],
      '[0].content is': [{ role: 'user' }],
      '[0].content[0].type': [{ role: 'user', content: [{ type: 'image_url', image_url: {} }] }],
      '[1].tool_calls': [...asked, { role: 'assistant', content: '', tool_calls: [{}] }],
      "'text'": [{ role: 'user', content: 'x', text: 'y' }],
      '[0].name': [{ role: 'user', content: 'x', name: 1 }],
    };
    for (const [what, list] of Object.entries(messages))
      await refused(create({ ...greedy, messages: list }), 'invalid-argument', 'messages', what);
    const asksForNothing = {
      n: 1,
      tools: [],
      tool_choice: 'none',
      parallel_tool_calls: false,
      functions: [],
      function_call: 'none',
      top_logprobs: null,
      response_format: { type: 'text' },
      modalities: ['text'],
      store: false,
      stop: null,
      audio: null,
    };
    assert.equal((await create({ ...greedy, ...asksForNothing })).usage.completion_tokens, 12);
  }));

test("fields for OpenAI's own service, which can't change an answer here, are accepted", () =>
  withChat(async (_, create) => {
    const plain = await create(greedy);
    const service = {
      user: 'me',
      safety_identifier: 'x',
      metadata: { run: '7' },
      store: true,
      service_tier: 'flex',
      prompt_cache_key: 'k',
      prompt_cache_retention: '24h',
      prompt_cache_options: {},
    };
    for (const more of [
      service,
      ...Object.entries(service).map(([name, value]) => ({ [name]: value })),
      { store: false, user: null },
    ]) {
      const answer = await create({ ...greedy, ...more });
      assert.deepEqual(answer.choices, plain.choices, Object.keys(more).join(', '));
    }
  }));

test('after dispose a completion is refused', async () => {
  let create;
  await withModel(fixture, {}, (model) => void (create = (body) => model.chat.completions.create(body)));
  await refused(create(greedy), 'disposed');
});

test('the body is read at the call: what the caller changes afterwards changes nothing', () =>
  withChat(async (model, create) => {
    const expectedText = (await create(greedy)).choices[0].message.content;
    const message = { ...asked[0] };
    const messages = [message];
    const body = { ...greedy, messages };
    const answer = create(body);
    messages.push({ role: 'user', content: 'and more' });
    message.content = 'another';
    body.max_tokens = 1;
    assert.equal((await answer).choices[0].message.content, expectedText);
  }));

test("n choices of a seed are those of single calls with the seeds in a row, in a model's chat and in a session's", () =>
  withChat(async (model, create) => {
    const body = { messages: asked, temperature: 1.5, max_tokens: 10, logprobs: true, top_logprobs: 2 };
    const alone = [];
    for (const seed of [40, 41, 42]) alone.push((await create({ ...body, seed })).choices[0]);
    const { choices, usage } = await create({ ...body, seed: 40, n: 3 });
    assert.deepEqual(
      choices,
      alone.map((choice, index) => ({ ...choice, index })),
    );
    assert.notEqual(choices[0].message.content, choices[1].message.content);
    assert.equal(
      usage.completion_tokens,
      choices.reduce((sum, { logprobs }) => sum + logprobs.content.length, 0),
    );
    const session = await model.createSession();
    const stream = await session.chat.completions.create({ ...body, seed: 40, n: 3, stream: true });
    const texts = [];
    for (const { choices: deltas } of await collect(stream))
      for (const { index, delta } of deltas) texts[index] = (texts[index] ?? '') + (delta.content ?? '');
    assert.deepEqual(
      texts,
      choices.map(({ message }) => message.content),
    );
    await session.dispose();

    const aborts = new AbortController();
    const reason = new Error('enough');
    const seen = new Set();
    await assert.rejects(async () => {
      const long = { ...body, max_tokens: 100, n: 9, stream: true, signal: aborts.signal };
      for await (const { choices: deltas } of await create(long)) {
        seen.add(deltas[0].index);
        if (deltas[0].index === 1) aborts.abort(reason);
      }
    }, reason);
    assert.deepEqual([...seen], [0, 1]);
    assert.deepEqual((await create({ ...body, seed: 41 })).choices[0], alone[1]);
  }));
