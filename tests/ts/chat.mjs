// SPDX-License-Identifier: Apache-2.0
// chat.mjs: changes a fixture's metadata: adds a chat template, sets the trained context length.
import { readFile } from 'node:fs/promises';
import { FIXTURE } from './level2.mjs';

/** A ChatML template. Its special tokens are in vocabularies like SmolLM's. */
export const CHATML =
  '{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}' +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/** Sets the trained context length in a file's bytes, which it returns. A fixture's own is 256 tokens. */
export function withContext(bytes, tokens) {
  const key = '.context_length';
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(key) + key.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(at, true) !== 4) throw new Error(`${key} isn't a u32`);
  view.setUint32(at + 4, tokens, true);
  return bytes;
}

/** Resolves to the bytes of `file` with `template` as tokenizer.chat_template. */
export const withTemplate = (template, file = FIXTURE) =>
  withKeys({ 'tokenizer.chat_template': template }, file);

/**
 * Resolves to the bytes of `file` with keys of its own: a string, a boolean, or a list of strings. A boolean
 * that the file has is changed.
 */
export async function withKeys(keys, file = FIXTURE) {
  const bytes = Buffer.from(await readFile(file));
  const number = (n, size) => {
    const buffer = Buffer.alloc(size);
    buffer.writeUInt32LE(n);
    return buffer;
  };
  const string = (text) => Buffer.concat([number(Buffer.byteLength(text), 8), Buffer.from(text)]);
  // Type 7 is a boolean, 8 a string, 9 an array.
  const value = (of) => {
    if (typeof of === 'boolean') return Buffer.concat([number(7, 4), Buffer.from([Number(of)])]);
    if (typeof of === 'string') return Buffer.concat([number(8, 4), string(of)]);
    return Buffer.concat([number(9, 4), number(8, 4), number(of.length, 8), ...of.map(string)]);
  };
  const added = [];
  for (const [key, of] of Object.entries(keys)) {
    const at = bytes.indexOf(Buffer.concat([string(key), number(7, 4)]));
    if (typeof of === 'boolean' && at >= 0) bytes[at + 8 + key.length + 4] = Number(of);
    else added.push(Buffer.concat([string(key), value(of)]));
  }
  // A last key makes the size a multiple of the alignment. So the tensors stay aligned.
  const padding = (n) => Buffer.concat([string('tests.padding'), value(' '.repeat(n))]);
  const size = added.reduce((sum, { length }) => sum + length, 0);
  added.push(padding((32 - ((size + padding(0).length) % 32)) % 32));
  const head = bytes.subarray(0, 24); // magic, version, tensors, entries
  head.writeBigUInt64LE(head.readBigUInt64LE(16) + BigInt(added.length), 16);
  return new Uint8Array(Buffer.concat([head, ...added, bytes.subarray(24)]));
}

/** The ids of the prompt as llama-server makes them: special tokens are added, a BOS is not doubled. */
export async function promptIds(model, messages, options = {}) {
  const ids = await model.tokenize(await model.applyChatTemplate(messages, options));
  return ids[0] === ids[1] && (await model.tokenize(''))[0] === ids[0] ? ids.slice(1) : ids;
}
