// SPDX-License-Identifier: Apache-2.0
// answers.mjs: ts/chat/answer for the tests, and checks of what a reader gives.
//
// In the texts of the tests ⟦x⟧ is the control token x. Everything else is text.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const { outputFiles } = await build({
  stdin: {
    contents: ['describe', 'formats', 'reader', 'tape']
      .map((name) => `export * from './${name}.js';`)
      .join('\n'),
    resolveDir: fileURLToPath(new URL('../../ts/chat/answer', import.meta.url)),
  },
  bundle: true,
  format: 'esm',
  write: false,
});
export const { createAnswerReader, describeTools, findFormat, FORMATS, Tape, usesTools, withToolsInText } =
  await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);

const tool = (name, properties = {}) => ({
  type: 'function',
  function: { name, description: `What ${name} does.`, parameters: { type: 'object', properties } },
});

export const TOOLS = [
  tool('get_weather', {
    city: { type: 'string' },
    days: { type: 'integer' },
    metric: { type: 'boolean' },
    places: { type: 'array', items: { type: 'string' } },
    any: {},
  }),
  tool('add', { a: { type: 'number' }, b: { type: 'number' } }),
  tool('now'),
];

/** Cuts a text of the tests into pieces of text, each with the control token behind it. */
export function piecesOf(text) {
  return [...text.matchAll(/([^⟦]*)(?:⟦([^⟧]*)⟧)?/gu)]
    .filter(([all]) => all !== '')
    .map(([, plain, control]) => [plain, control]);
}

/** Cuts every piece in two at each place, and everything into single UTF-16 units. */
function* cuts(pieces) {
  for (let i = 0; i < pieces.length; i++) {
    const [text, control] = pieces[i];
    for (let at = 0; at <= text.length; at++)
      yield [...pieces.slice(0, i), [text.slice(0, at)], [text.slice(at), control], ...pieces.slice(i + 1)];
  }
  yield pieces.flatMap(([text, control]) => [...text.split('').map((unit) => [unit]), ['', control]]);
}

/** Reads pieces. Returns the parts, those of one kind joined: {content}, {reasoning}, {call, arguments}. */
export function readPieces(pieces, options = {}) {
  const reader = createAnswerReader({ template: '', promptTail: '', tools: TOOLS, ...options });
  const read = [];
  const ids = new Set();
  const calls = [];
  const take = (parts) => {
    for (const part of parts) {
      const last = read.at(-1);
      if (part.type === 'call') {
        assert.equal(part.index, calls.length, 'calls are numbered');
        assert.ok(part.id !== '' && !ids.has(part.id), 'each call has an id of its own');
        ids.add(part.id);
        calls.push({ call: part.name, arguments: '', id: part.id });
        read.push(calls.at(-1));
      } else if (part.type === 'arguments') {
        assert.equal(part.index, calls.length - 1, 'arguments belong to the last call');
        assert.notEqual(part.text, '');
        calls.at(-1).arguments += part.text;
      } else {
        assert.notEqual(part.text, '');
        if (last !== undefined && part.type in last) last[part.type] += part.text;
        else read.push({ [part.type]: part.text });
      }
    }
  };
  for (const [text, control] of pieces) take(reader.push(text, control));
  take(reader.end());
  return read;
}

export const readText = (text, options) => readPieces(piecesOf(text), options);

/** Leaves out ids that `wanted` doesn't name, and parses arguments that it has as objects. */
function likeWanted(read, wanted) {
  return read.map((part, i) => {
    if (!('call' in part)) return part;
    const { call, id } = part;
    const want = wanted[i] ?? {};
    const given = typeof want.arguments === 'object' ? JSON.parse(part.arguments) : part.arguments;
    return { call, arguments: given, ...('id' in want ? { id } : {}) };
  });
}

/** Checks what is read from a text, whole and however it is cut. */
export function checkAnswer(text, wanted, options) {
  const pieces = piecesOf(text);
  const check = (read, how) =>
    assert.deepEqual(likeWanted(read, wanted), wanted, `${how}: ${JSON.stringify(read)} of ${text}`);
  check(readPieces(pieces, options), 'whole');
  for (const cut of cuts(pieces)) check(readPieces(cut, options), JSON.stringify(cut));
}

/** Numbers from 0 to 1 that depend on the seed alone. */
export function randomOf(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
