// SPDX-License-Identifier: Apache-2.0
import type { LanguageModel, ProfileEntry } from '../index.js';
import type { Command } from './arguments.js';
import { systemOf } from './preset.js';
import {
  faint,
  note,
  onOneLine,
  pagedText,
  perSecond,
  print,
  printJson,
  TextPrinter,
  wrapped,
} from './terminal.js';

/** The command `generate`: the continuation goes to stdout while it is written, the figures to stderr. */
export async function generate(
  model: LanguageModel,
  command: Command,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const prompt = await promptOf(model, command, text);
  if (command.profile) await model.profile();
  const run = model.generate(prompt, { ...command.sampling, signal });
  const printer = new TextPrinter();
  try {
    for await (const { text, token, ...more } of run)
      await (command.json ? printJson({ token, text, ...more }) : printer.write(text));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const { stats } = run;
  const profile = command.profile ? await model.profile() : undefined;
  if (command.json) return printJson({ stats, ...(profile && { profile }) });
  await print('\n');
  if (stats === undefined || stats.tokens + stats.promptMs === 0) return;
  const figures =
    `${stats.promptTokens} tokens read in ${stats.promptMs.toFixed(0)} ms, ${stats.tokens} written at ` +
    `${perSecond(stats.tokensPerSecond)} (${stats.finishReason})${pagedText(model.info)}` +
    (command.backend === undefined ? '' : `\n${model.info.backend}: ${model.info.backendReason}`);
  note(command, `\n${faint(wrapped(figures))}\n`);
  if (profile) note(command, profileTable(profile, stats.promptTokens - stats.cachedTokens + stats.tokens));
}

/** The profile of the whole run, prompt included. */
function profileTable(entries: readonly ProfileEntry[], tokens: number): string {
  const total = entries.reduce((sum, { ms }) => sum + ms, 0);
  const row = (op: string, ops: string, ms: string, perToken: string, share: string): string =>
    `${op.padEnd(34)}${ops.padStart(5)}${ms.padStart(10)}${perToken.padStart(10)}${share.padStart(8)}\n`;
  return (
    `\n${row('op', 'ops', 'ms', 'ms/token', 'share')}` +
    entries
      .map(({ op, count, ms }) =>
        row(
          onOneLine(op),
          String(count),
          ms.toFixed(1),
          (ms / tokens).toFixed(3),
          `${((100 * ms) / total).toFixed(1)} %`,
        ),
      )
      .join('')
  );
}

/** The prompt of `generate`: ids unchanged, text as the file says, or a user's turn in the chat template. */
async function promptOf(model: LanguageModel, command: Command, text: string): Promise<string | number[]> {
  if (command.ids) return command.ids;
  if (!command.chat) {
    const { addSpecial, parseSpecial } = command.special;
    return addSpecial && parseSpecial ? text : model.tokenize(text, command.special);
  }
  const system = await systemOf(model, command);
  const messages = [
    ...(system === null ? [] : [{ role: 'system' as const, content: system }]),
    { role: 'user' as const, content: text },
  ];
  return model.applyChatTemplate(messages, { chatTemplate: command.chatTemplate });
}
