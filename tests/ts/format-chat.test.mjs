// SPDX-License-Identifier: Apache-2.0
// format-chat.test.mjs: compares format_chat with goldens written by hand from the published forms (sources
// in ts/chat/format-chat.ts), and with llama.cpp's renderings of the four forms that it knows
// (format-chat.golden.json, printed by format-chat.golden.py).
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { ChordError, format_chat } from '../../dist/index.js';

const SYSTEM = 'You are a helpful assistant.';
const USER = 'What is the capital of France?';

const goldens = {
  chatml: {
    with: '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n',
    without: '<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n',
  },
  llama2: {
    with: '[INST] <<SYS>>\nYou are a helpful assistant.\n<</SYS>>\n\nWhat is the capital of France? [/INST]',
    without: '[INST] What is the capital of France? [/INST]',
  },
  llama3: {
    with: '<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful assistant.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of France?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
    without:
      '<|start_header_id|>user<|end_header_id|>\n\nWhat is the capital of France?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n',
  },
  gemma: {
    with: '<start_of_turn>user\nYou are a helpful assistant.\n\nWhat is the capital of France?<end_of_turn>\n<start_of_turn>model\n',
    without: '<start_of_turn>user\nWhat is the capital of France?<end_of_turn>\n<start_of_turn>model\n',
  },
  alpaca: {
    with: 'You are a helpful assistant.\n\n### Instruction:\nWhat is the capital of France?\n\n### Response:\n',
    without:
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nWhat is the capital of France?\n\n### Response:\n',
  },
};

for (const [format, golden] of Object.entries(goldens)) {
  test(`${format} with and without a system text is the published form`, () => {
    assert.equal(format_chat(SYSTEM, USER, format), golden.with);
    for (const none of ['', null, undefined]) assert.equal(format_chat(none, USER, format), golden.without);
  });
}

test('the four forms that llama.cpp knows equal its renderings, also for texts with white space and template syntax', async () => {
  const cases = JSON.parse(await readFile(new URL('format-chat.golden.json', import.meta.url), 'utf8'));
  assert.ok(cases.length >= 20);
  for (const { format, system, user, text } of cases)
    assert.equal(format_chat(system, user, format), text, JSON.stringify({ format, system, user }));
});

test('texts are inserted unchanged: nothing in them is a placeholder', () => {
  for (const format of ['chatml', 'llama2', 'llama3', 'gemma', 'alpaca']) {
    const text = format_chat('$& ${x} {}', '$1 %s {user}', format);
    assert.ok(text.includes('$& ${x} {}') && text.includes('$1 %s {user}'));
  }
});

test("an unknown form and a text that isn't a string are invalid-argument, and the hint names the known forms", () => {
  assert.throws(
    () => format_chat('', 'x', 'vicuna'),
    (e) =>
      e instanceof ChordError &&
      e.code === 'invalid-argument' &&
      /vicuna/.test(e.message) &&
      /chatml.*alpaca/.test(e.hint),
  );
  for (const format of ['toString', '__proto__', undefined])
    assert.throws(() => format_chat('', 'x', format), { code: 'invalid-argument' });
  assert.throws(() => format_chat('', undefined, 'chatml'), { code: 'invalid-argument' });
  assert.throws(() => format_chat(7, 'x', 'chatml'), { code: 'invalid-argument' });
});
