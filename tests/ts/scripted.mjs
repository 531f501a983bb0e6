// SPDX-License-Identifier: Apache-2.0
// scripted.mjs: chat.completions over an engine that answers with given texts instead of a model's.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const folder = await mkdtemp(path.join(tmpdir(), 'chord-scripted-'));
const outfile = path.join(folder, 'completions.mjs');
await build({
  entryPoints: [fileURLToPath(new URL('../../ts/chat/completions.ts', import.meta.url))],
  bundle: true,
  format: 'esm',
  outfile,
});
const { ChatCompletions } = await import(pathToFileURL(outfile));
await rm(folder, { recursive: true });

/** A template that writes tools in the form of Hermes, and shows that the model thinks. */
export const HERMES = '{% if tools %}<tool_call>{% endif %}';
export const THINKING = `${HERMES}<think></think>`;

/** Cuts a text into tokens of one to three characters, always the same. ⟦x⟧ is the control token x. */
function tokensOf(text) {
  const tokens = [];
  for (const part of text.split(/(⟦[^⟧]*⟧)/)) {
    if (part.startsWith('⟦')) {
      tokens.push({ text: '', control: part.slice(1, -1) });
      continue;
    }
    for (let at = 0, width = 1; at < part.length; at += width, width = (width % 3) + 1)
      tokens.push({ text: part.slice(at, at + width) });
  }
  return tokens;
}

/**
 * chat.completions whose runs answer with `texts`, one after the other. `log` gets what was asked: prompts
 * and the options of runs; `left` counts runs that were left before their end. `controls` and `words`:
 * the engine's control tokens, and its ordinary tokens of several characters.
 */
export function scripted(
  texts,
  { template = HERMES, promptTail = '', finishReason = 'stop', controls = [], words = [] } = {},
) {
  const log = { prompts: [], runs: [], left: 0 };
  const engine = {
    name: 'scripted',
    fingerprint: 'none',
    contextLength: 4096,
    async encode(request) {
      log.prompts.push(structuredClone(request));
      return { ids: [1, 2, 3], promptTail, template };
    },
    async tokenize(text, parseSpecial) {
      return parseSpecial && controls.includes(text) ? [0] : [...(words.includes(text) ? [text] : text)];
    },
    generate(ids, sampling) {
      const all = tokensOf(texts[log.runs.length % texts.length]);
      log.runs.push({ ids, ...sampling });
      let taken = 0;
      const stats = (reason) => ({
        promptTokens: ids.length,
        cachedTokens: log.runs.length === 1 ? 1 : ids.length - 1,
        tokens: taken,
        finishReason: reason,
        stopString: undefined,
      });
      const run = {
        stats: undefined,
        async *[Symbol.asyncIterator]() {
          try {
            for (const { text, control } of all) {
              const token = taken++;
              const bytes = new TextEncoder().encode(control ?? text);
              const logprob = -token - 1;
              yield {
                text,
                token,
                ...(control === undefined ? {} : { control }),
                ...(sampling.logprobs ? { logprob, bytes } : {}),
                ...(sampling.topLogprobs > 0 ? { topLogprobs: [{ token, logprob, bytes }] } : {}),
              };
            }
            run.stats = stats(finishReason);
          } finally {
            if (run.stats === undefined) log.left += 1;
            run.stats ??= stats('abort');
          }
        },
      };
      return run;
    },
  };
  const completions = new ChatCompletions(engine);
  return { create: (body, options) => completions.create(body, options), log };
}

export const tool = (name, properties = {}) => ({
  type: 'function',
  function: { name, description: `What ${name} does.`, parameters: { type: 'object', properties } },
});
export const TOOLS = [tool('get_weather', { city: { type: 'string' } }), tool('now')];

/** A call in the form of Hermes. */
export const call = (name, args) => `<tool_call>\n${JSON.stringify({ name, arguments: args })}\n</tool_call>`;

export async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

/** Checks that a call is refused as `invalid-argument`, in a message with `words`. */
export async function refused(call, ...words) {
  await assert.rejects(call, ({ name, code, message, hint = '' }) => {
    assert.deepEqual([name, code], ['ChordError', 'invalid-argument']);
    for (const word of words)
      assert.ok(`${message} (${hint})`.includes(word), `${message} (${hint}): ${word}`);
    return true;
  });
}
