// SPDX-License-Identifier: Apache-2.0
// models.ts: the commands `pull`, `list` and `rm` over the cache of model files.
import { cacheUsage, ChordError, deleteModel, downloadModel, listModels } from '../index.js';
import type { CachedModel } from '../index.js';
import type { Command } from './arguments.js';
import { cacheOptions, downloadOptions } from './load.js';
import { ProgressBar } from './progress.js';
import { note, onOneLine, print, printJson, printText, size } from './terminal.js';

/** Downloads a model into the cache. After Ctrl-C what came is kept, and the next call continues. */
export async function pull(command: Command, signal: AbortSignal): Promise<void> {
  if (!/^(?:https?|hf):/i.test(command.model))
    throw new ChordError(
      'invalid-argument',
      `pull downloads an http(s) URL or hf:owner/repo:Q4_K_M; ${command.model} is neither`,
      { hint: 'a file of this machine needs no pull: give its path to the other commands' },
    );
  const bar = new ProgressBar(!command.quiet);
  const model = await downloadModel(command.model, {
    ...downloadOptions(command),
    signal,
    onProgress: (progress) => bar.update(progress),
  })
    .catch((error: unknown) => {
      bar.clear();
      if (signal.aborted) note(command, 'Stopped. What came is kept: the same command downloads the rest.\n');
      throw error;
    })
    .finally(() => bar.clear());
  if (command.json) return printJson(model);
  await printText(`${onOneLine(nameOf(model))}  ${size(model.bytes)}\n`);
}

/** The models in the cache, the one used last first. With --json one line per model. */
export async function list(command: Command): Promise<void> {
  const models = await listModels(cacheOptions(command));
  if (command.json) {
    for (const model of models) await printJson({ file: nameOf(model), ...model });
    return;
  }
  if (models.length === 0) return print('The cache is empty.\n');
  const rows = models.map((model) => [
    onOneLine(nameOf(model)),
    state(model),
    used(model.usedAt),
    onOneLine(model.source),
  ]);
  const widths = [0, 1, 2].map((i) => Math.max(...rows.map((row) => row[i]!.length)));
  await print(
    rows.map((row) => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}\n`).join(''),
  );
  const { bytes } = await cacheUsage(cacheOptions(command));
  note(command, `${models.length} ${models.length === 1 ? 'model' : 'models'}, ${size(bytes)}\n`);
}

/** The file's name, without the address before it. */
function nameOf({ source, name }: CachedModel): string {
  const last = source.split(/[?#]/)[0]!.split('/').at(-1)!;
  try {
    return decodeURIComponent(last) || name;
  } catch {
    return last || name;
  }
}

const state = ({ bytes, totalBytes, isComplete }: CachedModel): string =>
  isComplete || !totalBytes ? size(bytes) : `${size(bytes)} of ${size(totalBytes)}`;

/** The day of a date, in the time of this machine. */
function used(date: Date): string {
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()];
  return day.map((n) => String(n).padStart(2, '0')).join('-');
}

/** Deletes models by their source, or by the name that `list` shows. */
export async function remove(command: Command): Promise<void> {
  const options = cacheOptions(command);
  for (const word of command.models) {
    const known = (await listModels(options)).filter((one) => nameOf(one) === word || one.source === word);
    if (known.length > 1)
      throw new ChordError(
        'invalid-argument',
        `${word} is the name of ${known.length} models: give the source that list shows`,
      );
    const source = known[0]?.source ?? word;
    if (!(await deleteModel(source, options)))
      throw new ChordError('invalid-argument', `${word} isn't in the cache`);
    if (command.json) await printJson({ source, bytes: known[0]?.bytes ?? 0 });
    else note(command, `Deleted ${onOneLine(word)}${known[0] ? `, ${size(known[0].bytes)}` : ''}.\n`);
  }
}
