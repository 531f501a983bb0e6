// SPDX-License-Identifier: Apache-2.0
// chat.mjs: changes a fixture's metadata: adds a chat template, sets the trained context length.
import { readFile } from 'node:fs/promises';
import { FIXTURE } from './level2.mjs';

/** A ChatML template. Its special tokens are in vocabularies like SmolLM's. */
export const CHATML =
  '{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}' +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/** Sets the trained context length in a llama's bytes, which it returns. A fixture's own is 256 tokens. */
export function withContext(bytes, tokens) {
  const key = 'llama.context_length';
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(key) + key.length;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(at, true) !== 4) throw new Error(`${key} isn't a u32`);
  view.setUint32(at + 4, tokens, true);
  return bytes;
}

/** Resolves to the bytes of `file` with `template` as tokenizer.chat_template. */
export async function withTemplate(template, file = FIXTURE) {
  const bytes = await readFile(file);
  const string = (text) => {
    const utf8 = Buffer.from(text);
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(utf8.length));
    return Buffer.concat([size, utf8]);
  };
  // Type 8 is a string.
  const entry = (text) =>
    Buffer.concat([string('tokenizer.chat_template'), Buffer.from([8, 0, 0, 0]), string(text)]);
  // A comment, which renders to nothing, makes the entry's size a multiple of the alignment. So the tensors
  // stay aligned.
  const missing = (32 - (entry(`${template}{##}`).length % 32)) % 32;
  const added = entry(`${template}{#${' '.repeat(missing)}#}`);
  const head = Buffer.from(bytes.subarray(0, 24)); // magic, version, tensors, entries
  head.writeBigUInt64LE(head.readBigUInt64LE(16) + 1n, 16);
  return new Uint8Array(Buffer.concat([head, added, bytes.subarray(24)]));
}

/** The ids of the prompt as llama-server makes them: special tokens are added, a BOS is not doubled. */
export async function promptIds(model, messages, options = {}) {
  const ids = await model.tokenize(await model.applyChatTemplate(messages, options));
  return ids[0] === ids[1] && (await model.tokenize(''))[0] === ids[0] ? ids.slice(1) : ids;
}
