#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// main.ts: the npm command `wasm-chord`, over the package's public exports. Results go to stdout, progress
// and figures to stderr. The exit status is 0, 1 for a failure, or 2 for wrong usage.
import { version, ChordError } from '../index.js';
import type { LanguageModel } from '../index.js';
import { parseCommand, UsageError } from './arguments.js';
import type { Command } from './arguments.js';
import { bench } from './bench.js';
import { chat } from './chat.js';
import { embed } from './embed.js';
import { estimate } from './estimate.js';
import { generate } from './generate.js';
import { commandHelp, generalHelp } from './help.js';
import { info } from './info.js';
import { interruptible } from './interrupt.js';
import { load } from './load.js';
import { list, pull, remove } from './models.js';
import { onOneLine, print, readStdin } from './terminal.js';
import { logits, tokenize } from './tokens.js';

/** Loads the model, and disposes of it after `work`. */
async function withModel(
  command: Command,
  signal: AbortSignal,
  work: (model: LanguageModel) => Promise<void>,
): Promise<void> {
  const model = await load(command, signal);
  try {
    await work(model);
  } finally {
    await model.dispose();
  }
}

async function run(command: Command, signal: AbortSignal): Promise<void> {
  const { name } = command;
  if (name === 'pull') return pull(command, signal);
  if (name === 'estimate') return estimate(command, signal);
  if (name === 'info') return info(command, signal);
  if (name === 'list') return list(command);
  if (name === 'rm') return remove(command);
  const needsText = (name === 'tokenize' || name === 'generate' || name === 'logits') && command.ids === null;
  const text = needsText ? (command.text ?? (await readStdin(command.exact))) : '';
  if (name === 'bench') return bench(command, signal, () => load(command, signal));
  return withModel(command, signal, (model) => {
    if (name === 'tokenize') return tokenize(model, command, text);
    if (name === 'embed') return embed(model, command, signal);
    if (name === 'generate') return generate(model, command, text, signal);
    return logits(model, command, text);
  });
}

/**
 * A conversation handles Ctrl-C itself. Before the conversation starts, Ctrl-C interrupts the whole command.
 */
async function converse(command: Command): Promise<void> {
  let model: LanguageModel | undefined;
  await interruptible(async (signal) => void (model = await load(command, signal)));
  if (model === undefined) return;
  const isInterrupted = await chat(model, command).finally(() => model?.dispose());
  if (isInterrupted) process.kill(process.pid, 'SIGINT');
}

async function main(): Promise<void> {
  // A reader that closes the pipe early (`| head`) isn't a failure.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE')
      process.stderr.write(`wasm-chord: io: can't write to stdout: ${onOneLine(error.message)}\n`);
    process.exit(error.code === 'EPIPE' ? 0 : 1);
  });
  try {
    const request = parseCommand(process.argv.slice(2));
    if ('help' in request) await print(request.help ? commandHelp(request.help) : generalHelp());
    else if ('version' in request) await print(`${version()}\n`);
    else if (request.name === 'chat') await converse(request);
    else await interruptible((signal) => run(request, signal));
  } catch (error) {
    process.exitCode = report(error);
  }
}

/** Prints an error, its hint or the help that tells more. Returns the exit status. */
function report(error: unknown): number {
  const isUsage = error instanceof UsageError;
  const text = ChordError.isInstance(error)
    ? `${error.code}: ${error.message}`
    : isUsage
      ? error.message
      : String(error);
  process.stderr.write(`wasm-chord: ${onOneLine(text)}\n`);
  if (isUsage) process.stderr.write(`Try 'wasm-chord ${error.command ? `${error.command} ` : ''}--help'.\n`);
  else if (ChordError.isInstance(error) && error.hint)
    process.stderr.write(`hint: ${onOneLine(error.hint)}\n`);
  return isUsage ? 2 : 1;
}

await main();
