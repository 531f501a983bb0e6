// SPDX-License-Identifier: Apache-2.0
// tokens.ts: the commands `tokenize` and `logits`.
import type { LanguageModel } from '../index.js';
import type { Command } from './arguments.js';
import { print, printJson, printText } from './terminal.js';

/**
 * Resolves to the text of one token. Detokenising drops a leading blank. So the token is detokenised twice in
 * a row, and the text of the first is removed.
 */
async function pieceOf(model: LanguageModel, id: number): Promise<string> {
  const [once, twice] = await Promise.all([model.detokenize([id]), model.detokenize([id, id])]);
  return twice.slice(once.length);
}

export async function tokenize(model: LanguageModel, command: Command, text: string): Promise<void> {
  const ids = await model.tokenize(text, command.special);
  const pieces: string[] = [];
  for (const id of ids) {
    const piece = await pieceOf(model, id);
    if (command.json) pieces.push(piece);
    else await printText(`${String(id).padStart(7)}  ${JSON.stringify(piece)}\n`);
  }
  if (command.json) await printJson({ ids, pieces });
}

export async function logits(model: LanguageModel, command: Command, text: string): Promise<void> {
  const ids = command.ids ?? (await model.tokenize(text, command.special));
  const values = await model.logits(ids, { all: command.all });
  const vocabulary = model.info.vocabularySize;
  const rows = values.length / vocabulary;
  for (let index = 0; index < rows; index++) {
    const row = values.subarray(index * vocabulary, (index + 1) * vocabulary);
    const position = ids.length - rows + index;
    if (command.full) {
      await printJson({ position, logits: Array.from(row) });
      continue;
    }
    const top = await Promise.all(
      largest(row, command.top).map(async (token) => ({
        token,
        logit: row[token]!,
        text: await pieceOf(model, token),
      })),
    );
    if (command.json) {
      await printJson({ position, top });
      continue;
    }
    await print(`position ${position}\n`);
    for (const { token, logit, text } of top)
      await printText(
        `${String(token).padStart(7)}  ${logit.toFixed(4).padStart(9)}  ${JSON.stringify(text)}\n`,
      );
  }
}

/** The ids of the `n` largest values, the largest first; the lower id on a tie. */
function largest(row: Float32Array, n: number): number[] {
  return Array.from(row.keys())
    .sort((a, b) => row[b]! - row[a]! || a - b)
    .slice(0, n);
}
