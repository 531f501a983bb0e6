// SPDX-License-Identifier: Apache-2.0
// chat-template.test.mjs: compares the real models' own templates with jinja2
// (tests/ts/chat-template.golden.py).
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { ChordError, loadModel } from '../../dist/index.js';
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
  'applyChatTemplate on Gemma 3 270M, a base model, says that the model has no chat template',
  needs('gemma3-270m'),
  async () => {
    const model = await loadModel(fileOf('gemma3-270m'), { threads: 1, contextLength: 32 });
    try {
      await assert.rejects(
        model.applyChatTemplate([{ role: 'user', content: 'Hi' }]),
        (error) =>
          ChordError.isInstance(error) &&
          error.code === 'invalid-argument' &&
          error.message.includes('no chat template'),
      );
    } finally {
      await model.dispose();
    }
  },
);
