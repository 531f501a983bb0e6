// SPDX-License-Identifier: Apache-2.0
// chat-template.test.mjs: compares the real models' own templates with jinja2
// (tests/ts/chat-template.golden.py).
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { loadModel } from '../../dist/index.js';
import { REAL, fileOf, needs } from '../reference/real.mjs';

const golden = JSON.parse(await readFile(new URL('chat-template.golden.json', import.meta.url), 'utf8'));

for (const [name, { title, file }] of Object.entries(REAL)) {
  const cases = golden[file];
  if (cases === undefined) continue;
  test(
    `${title}'s own template renders as in jinja2, tools and tool calls included`,
    needs(name),
    async (t) => {
      const model = await loadModel(fileOf(name), { threads: 1, contextLength: 32 });
      try {
        for (const { messages, tools, addGenerationPrompt, text } of cases)
          assert.equal(
            await model.applyChatTemplate(messages, { addGenerationPrompt, ...(tools && { tools }) }),
            text,
            JSON.stringify(messages),
          );
      } finally {
        await model.dispose();
      }
      t.diagnostic(`${name}: ${cases.length} renderings`);
    },
  );
}

test(
  "Gemma 3 270M, a base model without a template, gets its family's, and info says so",
  needs('gemma3-270m'),
  async () => {
    const model = await loadModel(fileOf('gemma3-270m'), { threads: 1, contextLength: 32 });
    try {
      assert.equal(model.info.chatTemplateSource, 'architecture');
      assert.equal(
        await model.applyChatTemplate([{ role: 'user', content: 'Hi' }]),
        '<bos><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\n',
      );
    } finally {
      await model.dispose();
    }
  },
);
