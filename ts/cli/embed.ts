// SPDX-License-Identifier: Apache-2.0
import type { LanguageModel } from '../index.js';
import type { Command } from './arguments.js';
import { printJson, printText, readStdin } from './terminal.js';

/** The command `embed`: the vector of each text. */
export async function embed(model: LanguageModel, command: Command, signal: AbortSignal): Promise<void> {
  const texts = command.text === null ? linesOf(await readStdin(true)) : [command.text];
  const { pooling, raw } = command;
  const vectors = await model.embed(texts, { pooling, normalize: !raw, signal });
  if (command.json) return printJson({ embeddings: vectors.map((vector) => Array.from(vector)) });
  for (const vector of vectors) await printText(`${vector.join(' ')}\n`);
}

/** The lines of a text; a line end at its end begins no line. */
const linesOf = (text: string): string[] => text.replace(/\r?\n$/, '').split(/\r?\n/);
