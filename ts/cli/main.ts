#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// main.ts: the npm command `wasm-chord`: info, tokenize, generate, chat and logits over the package's public
// exports. Results go to stdout, progress and figures to stderr. The exit status is 0, 1 for a failure, or 2
// for wrong usage.
import { loadModel, version, ChordError } from '../index.js';
import type { LanguageModel, ProfileEntry } from '../index.js';
import { help, parseCommand, UsageError } from './arguments.js';
import type { Command } from './arguments.js';
import { chat } from './chat.js';
import { interruptible, onOneLine, print, printText, ProgressBar, readStdin } from './terminal.js';

const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const printJson = (value: unknown) => printText(JSON.stringify(value) + '\n');

async function info(model: LanguageModel, command: Command): Promise<void> {
  const { info } = model;
  if (command.json) return printJson(info);
  const rows: [string, unknown][] = [
    ['name', info.name],
    ['architecture', info.architecture],
    ['quantization', info.quantization],
    ['parameters', `${(info.parameters / 1e6).toFixed(1)} M`],
    ['vocabulary', info.vocabularySize],
    ['context', info.contextLength],
    ['embedding', info.embeddingLength],
    ['blocks', info.blockCount],
    [
      'memory',
      `${mebibytes(info.memory.total)} (weights ${mebibytes(info.memory.weights)}, KV cache up to ${mebibytes(info.memory.kv)})`,
    ],
    ['runs on', `${info.backend}: ${info.backendReason}`],
    ['variant', info.variant],
    ['threads', info.threads],
    ['chat template', info.chatTemplate ? 'yes' : 'none'],
  ];
  await print(
    rows.map(([label, value]) => `${label.padEnd(14)}${onOneLine(String(value ?? '-'))}\n`).join(''),
  );
}

/**
 * Resolves to the text of one token. Detokenising drops a leading blank. So the token is detokenised twice in
 * a row, and the text of the first is removed.
 */
async function pieceOf(model: LanguageModel, id: number): Promise<string> {
  const [once, twice] = await Promise.all([model.detokenize([id]), model.detokenize([id, id])]);
  return twice.slice(once.length);
}

async function tokenize(model: LanguageModel, command: Command, text: string): Promise<void> {
  const ids = await model.tokenize(text, command.special);
  if (command.json) return printJson({ ids });
  for (const id of ids)
    await printText(`${String(id).padStart(7)}  ${JSON.stringify(await pieceOf(model, id))}\n`);
}

async function generate(
  model: LanguageModel,
  command: Command,
  text: string,
  signal: AbortSignal,
): Promise<void> {
  const prompt = await promptOf(model, command, text);
  if (command.profile) await model.profile();
  const run = model.generate(prompt, { ...command.sampling, signal });
  try {
    for await (const { text, token } of run)
      await (command.json ? printJson({ token, text }) : printText(text));
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const { stats } = run;
  const profile = command.profile ? await model.profile() : undefined;
  if (command.json) return printJson({ stats, ...(profile && { profile }) });
  await print('\n');
  if (command.quiet || !stats) return;
  process.stderr.write(
    `\n${stats.promptTokens} tokens read in ${stats.promptMs.toFixed(0)} ms, ${stats.tokens} written at ` +
      `${stats.tokensPerSecond.toFixed(1)} tokens/s (${stats.finishReason})\n`,
  );
  if (profile) printProfile(profile, stats.promptTokens - stats.cachedTokens + stats.tokens);
}

/** Prints the profile of the whole run, prompt included. */
function printProfile(entries: readonly ProfileEntry[], tokens: number): void {
  const total = entries.reduce((sum, { ms }) => sum + ms, 0);
  process.stderr.write(
    `\n${'op'.padEnd(34)}${'ops'.padStart(5)}${'ms'.padStart(10)}${'ms/token'.padStart(10)}${'share'.padStart(8)}\n`,
  );
  for (const { op, count, ms } of entries) {
    process.stderr.write(
      `${onOneLine(op).padEnd(34)}${String(count).padStart(5)}${ms.toFixed(1).padStart(10)}${(ms / tokens).toFixed(3).padStart(10)}${`${((100 * ms) / total).toFixed(1)} %`.padStart(8)}\n`,
    );
  }
}

/** The prompt of `generate`: ids unchanged, text as the file says, or a user's turn in the chat template. */
async function promptOf(model: LanguageModel, command: Command, text: string): Promise<string | number[]> {
  if (command.ids) return command.ids;
  if (!command.chat) {
    const { addSpecial, parseSpecial } = command.special;
    return addSpecial && parseSpecial ? text : model.tokenize(text, command.special);
  }
  const messages = [
    ...(command.system === null ? [] : [{ role: 'system' as const, content: command.system }]),
    { role: 'user' as const, content: text },
  ];
  // The template writes the special tokens itself, so tokenising adds none, as in llama.cpp's server.
  return model.tokenize(await model.applyChatTemplate(messages), { addSpecial: false, parseSpecial: true });
}

async function logits(model: LanguageModel, command: Command, text: string): Promise<void> {
  const ids = command.ids ?? (await model.tokenize(text, command.special));
  const values = await model.logits(ids, { all: command.all });
  const vocabulary = model.info.vocabularySize;
  const rows = Array.from({ length: values.length / vocabulary }, (_, row) =>
    values.subarray(row * vocabulary, (row + 1) * vocabulary),
  );
  for (const [index, row] of rows.entries()) {
    const position = ids.length - rows.length + index;
    if (command.json) {
      await printJson({ position, logits: Array.from(row) });
      continue;
    }
    await print(`position ${position}\n`);
    const largest = Array.from(row.keys())
      .sort((a, b) => row[b]! - row[a]! || a - b)
      .slice(0, command.top);
    for (const id of largest) {
      await printText(
        `${String(id).padStart(7)}  ${row[id]!.toFixed(4).padStart(9)}  ${JSON.stringify(await pieceOf(model, id))}\n`,
      );
    }
  }
}

async function load(command: Command, signal: AbortSignal): Promise<LanguageModel> {
  const bar = new ProgressBar(!command.quiet);
  const { contextLength, threads, kvType } = command;
  return loadModel(command.model, {
    ...(contextLength !== undefined && { contextLength }),
    ...(threads !== undefined && { threads }),
    ...(kvType !== undefined && { kvType }),
    signal,
    onProgress: (progress) => bar.update(progress),
  }).finally(() => bar.clear());
}

async function run(command: Command, signal: AbortSignal): Promise<void> {
  const text = command.name === 'info' || command.ids ? '' : (command.text ?? (await readStdin()));
  const model = await load(command, signal);
  try {
    if (command.name === 'info') await info(model, command);
    else if (command.name === 'tokenize') await tokenize(model, command, text);
    else if (command.name === 'generate') await generate(model, command, text, signal);
    else await logits(model, command, text);
  } finally {
    await model.dispose();
  }
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
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    const command = parseCommand(process.argv.slice(2));
    if (command === 'help') return await print(help);
    if (command === 'version') return await print(`${version()}\n`);
    if (command.name === 'chat') await converse(command);
    else await interruptible((signal) => run(command, signal));
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`wasm-chord: ${onOneLine(error.message)}\nTry 'wasm-chord --help'.\n`);
      process.exitCode = 2;
      return;
    }
    process.stderr.write(
      `wasm-chord: ${onOneLine(error instanceof ChordError ? `${error.code}: ${error.message}` : String(error))}\n`,
    );
    if (error instanceof ChordError && error.hint) process.stderr.write(`hint: ${onOneLine(error.hint)}\n`);
    process.exitCode = 1;
  }
}

await main();
