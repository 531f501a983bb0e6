// SPDX-License-Identifier: Apache-2.0
// chat.mjs: a small model with a chat template of a test's choice: a fixture with one more line of metadata.
import { readFile } from 'node:fs/promises';
import { FIXTURE } from './level2.mjs';

/** A template of the chatml kind that a vocabulary like SmolLM's has the special tokens for. */
export const CHATML = '{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}' +
  '{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}';

/** The bytes of `file` with `template` as tokenizer.chat_template. */
export async function withTemplate(template, file = FIXTURE) {
  const bytes = await readFile(file);
  const string = (text) => {
    const utf8 = Buffer.from(text);
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(utf8.length));
    return Buffer.concat([size, utf8]);
  };
  const entry = (text) => Buffer.concat([string('tokenizer.chat_template'), Buffer.from([8, 0, 0, 0]), string(text)]); // 8: a string
  // A whole number of alignments more leaves what follows aligned; a comment renders to nothing.
  const missing = (32 - (entry(`${template}{##}`).length % 32)) % 32;
  const added = entry(`${template}{#${' '.repeat(missing)}#}`);
  const head = Buffer.from(bytes.subarray(0, 24)); // magic, version, tensors, entries
  head.writeBigUInt64LE(head.readBigUInt64LE(16) + 1n, 16);
  return new Uint8Array(Buffer.concat([head, added, bytes.subarray(24)]));
}
