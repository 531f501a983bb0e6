// SPDX-License-Identifier: Apache-2.0
// cli-chat.test.mjs: `wasm-chord chat` as a process with piped input: turns, commands, Ctrl-C, exit status.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../dist/index.js';
import { CHATML, withContext, withKeys, withTemplate } from './chat.mjs';
import { FIXTURE, SMOLLM2, needsModel } from './level2.mjs';

const bin = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const flags = ['--temperature', '0', '--max-tokens', '6', '--threads', '1'];

/**
 * Runs a conversation with `input` as stdin. `live(child)`, if given, is called at every piece of stdout and
 * must close stdin itself.
 */
function chat(parameters, input, live) {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, 'chat', ...parameters], { stdio: 'pipe' });
    let stdout = '',
      stderr = '';
    child.stdout.on('data', (data) => {
      stdout += data;
      live?.(child);
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.stdin.on('error', () => {});
    if (live) child.stdin.write(input);
    else child.stdin.end(input);
    const late = setTimeout(() => child.kill('SIGKILL'), 60_000);
    child.on('close', (status, signal) => {
      clearTimeout(late);
      resolve({ status, signal, stdout, stderr });
    });
  });
}

async function withFile(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-chat-'));
  try {
    const file = path.join(folder, 'chat.gguf');
    await writeFile(file, withContext(await withTemplate(CHATML), 100_000));
    return await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Resolves to the answers to the turns of `texts`, one after the other. */
async function answers(file, system, texts) {
  const model = await loadModel(file, { threads: 1 });
  const messages = [{ role: 'system', content: system ?? 'You are a helpful assistant.' }];
  const found = [];
  for (const text of texts) {
    messages.push({ role: 'user', content: text });
    const { choices } = await model.chat.completions.create({ messages, temperature: 0, max_tokens: 6 });
    found.push(choices[0].message.content);
    messages.push(choices[0].message);
  }
  await model.dispose();
  return found;
}

const lines = (text) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

test('each line is a turn of one conversation: answers go to stdout, figures to stderr, and the KV cache is kept', () =>
  withFile(async (file) => {
    const expected = await answers(file, 'Be brief.', ['Hi there', 'And then?']);
    const plain = await chat([file, ...flags, '--system', 'Be brief.'], 'Hi there\n\nAnd then?\n');
    assert.equal(plain.status, 0, plain.stderr);
    assert.equal(plain.stdout, expected.map((text) => `${text}\n`).join(''));
    assert.match(
      plain.stderr,
      /\d+ prompt tokens, [1-9]\d* kept and \d+ read in \d+ ms; 6 written at [\d.]+ tokens\/s \(length\)/,
    );
    const quiet = await chat([file, ...flags, '--quiet'], 'Hi there'); // no line end
    assert.deepEqual([quiet.status, quiet.stderr], [0, '']);
    assert.equal(quiet.stdout, `${(await answers(file, undefined, ['Hi there']))[0]}\n`);
    const json = lines(
      (await chat([file, ...flags, '--system', 'Be brief.', '--json'], 'Hi there\nAnd then?\n')).stdout,
    );
    assert.deepEqual(
      json.map(({ text }) => text),
      expected,
    );
    assert.equal(json[0].stats.cachedTokens, 0);
    assert.ok(json[1].stats.cachedTokens >= json[0].stats.promptTokens);
    assert.equal(json[1].stats.finishReason, 'length');
  }));

test("/clear and /reset start over but keep the system text, /exit ends, and an unknown command isn't asked as a question", () =>
  withFile(async (file) => {
    const { status, stdout, stderr } = await chat(
      [file, ...flags, '--json'],
      'Hi there\n/reset\n/what\nHi there\n/clear\nHi there\n/exit\nHi there\n',
    );
    assert.equal(status, 0, stderr);
    const [first, ...others] = lines(stdout);
    assert.equal(others.length, 2);
    for (const other of others) {
      assert.equal(other.text, first.text);
      assert.equal(other.stats.promptTokens, first.stats.promptTokens);
    }
    assert.match(stderr, /^there is no \/what\. The commands are \/help .*\/clear .*\/exit$/m);
    assert.equal((await chat([file, ...flags], '')).status, 0);
  }));

test('/save and /load carry a conversation from one run to the next; /system and /retry change what is asked', () =>
  withFile(async (file) => {
    const saved = path.join(path.dirname(file), 'talk.json');
    const expected = await answers(file, 'Be brief.', ['Hi there', 'And then?']);
    const first = await chat([file, ...flags], `/system Be brief.\nHi there\n/save ${saved}\n`);
    assert.deepEqual([first.status, first.stdout], [0, `${expected[0]}\n`], first.stderr);
    assert.deepEqual(JSON.parse(await readFile(saved, 'utf8')).messages, [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hi there' },
      { role: 'assistant', content: expected[0] },
    ]);
    const second = await chat([file, ...flags], `/load ${saved}\nAnd then?\n/retry\n`);
    assert.equal(second.stdout, `${expected[1]}\n${expected[1]}\n`, second.stderr);
    const several = await chat([file, ...flags, '--quiet'], '"""Hi\nthere\n"""\n');
    assert.equal(several.stdout, `${(await answers(file, undefined, ['Hi\nthere']))[0]}\n`);
  }));

test('/load continues from the keys and values that /save wrote, with the same words', () =>
  withFile(async (file) => {
    const saved = path.join(path.dirname(file), 'talk.json');
    const expected = await answers(file, 'Be brief.', ['Hi there', 'And then?']);
    const first = await chat(
      [file, ...flags, '--json', '--system', 'Be brief.'],
      `Hi there\n/save ${saved}\n`,
    );
    const { stats } = lines(first.stdout)[0];
    assert.ok((await stat(`${saved}.kv`)).size > 1000);
    const [second] = lines((await chat([file, ...flags, '--json'], `/load ${saved}\nAnd then?\n`)).stdout);
    assert.equal(second.text, expected[1]);
    assert.ok(
      second.stats.cachedTokens >= stats.promptTokens,
      `${second.stats.cachedTokens} tokens were kept`,
    );

    await writeFile(`${saved}.kv`, 'damaged');
    const third = await chat([file, ...flags, '--json'], `/load ${saved}\nAnd then?\n`);
    const [{ text, stats: anew }] = lines(third.stdout);
    assert.deepEqual([third.status, text, anew.cachedTokens], [0, expected[1], 0]);
    assert.match(third.stderr, /its KV cache isn't used/);
  }));

test('a conversation longer than the context goes on without its oldest turns, and says so', () =>
  withFile(async (file) => {
    const questions = Array.from({ length: 8 }, (_, i) => `Question number ${i}\n`).join('');
    const { status, stdout, stderr } = await chat([file, ...flags, '--ctx', '160', '--json'], questions);
    assert.equal(status, 0, stderr);
    const found = lines(stdout);
    assert.equal(found.length, 8);
    assert.equal(found[0].droppedMessages, undefined);
    assert.ok(found.at(-1).droppedMessages >= 2, stdout);
    assert.match(stderr, /The context is full: the first \d+ messages were left out/);
  }));

test('in a pipe, what a model thinks stays out of its answer; --json has it apart, and a saved conversation keeps it', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-chat-'));
  try {
    const file = path.join(folder, 'thinks.gguf');
    const saved = path.join(folder, 'talk.json');
    // The prompt opens the reasoning, which the fixture never closes.
    await writeFile(file, withContext(await withTemplate(`${CHATML}{{ '<think>' }}`), 100_000));
    const plain = await chat([file, ...flags], 'Hi there\n');
    assert.deepEqual([plain.status, plain.stdout], [0, '\n'], plain.stderr);
    const json = await chat([file, ...flags, '--json'], `Hi there\n/save ${saved}\n`);
    const [{ text, reasoning, stats }] = lines(json.stdout);
    assert.equal(text, '');
    assert.ok(reasoning.length > 0 && stats.tokens > 0, json.stdout);
    const { messages } = JSON.parse(await readFile(saved, 'utf8'));
    assert.deepEqual(
      messages.filter(({ role }) => role !== 'system'),
      [],
      'a question without an answer is dropped',
    );
    // What a file has of reasoning comes back with /load and goes into the next request's messages.
    await writeFile(
      saved,
      JSON.stringify({
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Ho', reasoning_content: 'Hm' },
        ],
      }),
    );
    const again = path.join(folder, 'again.json');
    await chat([file, ...flags], `/load ${saved}\n/save ${again}\n`);
    assert.deepEqual(JSON.parse(await readFile(again, 'utf8')).messages.slice(-1), [
      { role: 'assistant', content: 'Ho', reasoning_content: 'Hm' },
    ]);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('a file that is no conversation is neither overwritten nor loaded, and the exit status is 1', () =>
  withFile(async (file) => {
    const notes = path.join(path.dirname(file), 'notes.md');
    await writeFile(notes, 'my notes');
    for (const [input, expected] of [
      [`/save ${notes}\n`, /notes\.md exists and isn't a conversation/],
      [`/load ${notes}\n`, /notes\.md isn't a conversation/],
      [`/load ${notes}.missing\n`, /missing can't be read/],
      [`/save ${notes}/talk\n`, /talk can't be written/],
    ]) {
      const { status, stderr } = await chat([file, ...flags], input);
      assert.equal(status, 1, input);
      assert.match(stderr, expected);
    }
    assert.equal(await readFile(notes, 'utf8'), 'my notes');
    const { stderr } = await chat([file, ...flags], '/save\n/sav x\n/retry\n/clear now\n');
    assert.match(stderr, /\/save FILE[^]*did you mean \/save\?[^]*no question[^]*\/clear takes nothing/);
  }));

test('Ctrl-C during an answer stops only the answer; between answers it ends the program', needsModel, () =>
  withFile(async (file) => {
    // The fixture's answers end within milliseconds.
    const story = [SMOLLM2, '--temperature', '0', '--max-tokens', '2000', '--threads', '1'];
    let isStopped = false;
    const goesOn = await chat(story, 'Tell me a long story.\n', (child) => {
      if (isStopped) return;
      isStopped = true;
      child.kill('SIGINT');
      child.stdin.end('/reset\nSay hi.\n/exit\n');
    });
    assert.equal(goesOn.status, 0, goesOn.stderr);
    assert.match(goesOn.stderr, /\(abort\)[^]*\((stop|length)\)/);

    let pieces = 0;
    const ends = await chat([file, ...flags], 'Hi there\n', (child) => {
      // After a second the program waits for a line.
      if (pieces++ === 0) setTimeout(() => child.kill('SIGINT'), 1000);
    });
    assert.deepEqual([ends.status, ends.signal], [null, 'SIGINT']);
    assert.ok(ends.stdout.endsWith('\n'));
  }),
);

test('a missing template and a full context end the conversation with status 1 and the reason; wrong usage is status 2', () =>
  withFile(async (file) => {
    const bare = await chat([FIXTURE], 'Hi there\n');
    assert.equal(bare.status, 1);
    assert.match(bare.stderr, /invalid-argument: the model has no chat template[^]*hint: /);
    const full = await chat([file, ...flags, '--ctx', '40'], `${'many words '.repeat(40)}\n`);
    assert.equal(full.status, 1);
    assert.match(full.stderr, /context-full/);
    for (const more of [['x'], ['--ignore-eos'], ['--prompt', 'x'], ['--chat']])
      assert.equal((await chat([file, ...more], '')).status, 2, more.join(' '));
  }));

test('--chat-template chooses a template by its name, and a wrong name fails before the first question', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'wasm-chord-chat-'));
  try {
    const file = path.join(folder, 'named.gguf');
    const keys = {
      'tokenizer.chat_template': "{{ raise_exception('main') }}",
      'tokenizer.chat_template.tool_use': CHATML,
    };
    await writeFile(file, withContext(await withKeys(keys), 4096));
    const named = [file, ...flags, '--chat-template', 'tool_use', '--json'];
    const plain = path.join(folder, 'plain.gguf');
    await writeFile(plain, withContext(await withTemplate(CHATML), 4096));
    const textOf = ({ stdout }) => stdout.split('\n').flatMap((line) => JSON.parse(line || '[]').text ?? []);
    const answer = await chat(named, 'Hi\n');
    assert.equal(answer.status, 0, answer.stderr);
    // The system turn of a tiny model is there too.
    assert.deepEqual(textOf(answer), textOf(await chat([plain, ...flags, '--json'], 'Hi\n')));
    const main = await chat([file, ...flags], 'Hi\n');
    assert.equal(main.status, 1);
    assert.match(main.stderr, /line 1: main/);
    const wrong = await chat([file, ...flags, '--chat-template', 'rag'], 'Hi\n');
    assert.equal(wrong.status, 1);
    assert.match(wrong.stderr, /no chat template 'rag'[^]*tool_use/);
  } finally {
    await rm(folder, { recursive: true });
  }
});
