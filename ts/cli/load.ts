// SPDX-License-Identifier: Apache-2.0
// load.ts: the command line's loading options as options of the package.
import { loadModel } from '../index.js';
import type { CacheOptions, DownloadModelOptions, LanguageModel, LoadModelOptions } from '../index.js';
import type { Command } from './arguments.js';
import { ProgressBar } from './progress.js';

export const cacheOptions = ({ cache }: Command): CacheOptions => ({ cache });

export const downloadOptions = ({ cache, token, sha256, connections }: Command): DownloadModelOptions => ({
  cache,
  sha256,
  connections,
  ...(token !== undefined && { hub: { token } }),
});

export const loadOptions = (command: Command): LoadModelOptions => ({
  ...downloadOptions(command),
  contextLength: command.contextLength,
  memoryBudget: command.memoryBudget,
  threads: command.threads,
  backend: command.backend,
  gpu: command.gpu,
  kvType: command.kvType,
  unknownPreTokenizer: command.anyPre ? 'default' : 'refuse',
});

/** Loads the command's model, with a progress bar. */
export async function load(command: Command, signal: AbortSignal): Promise<LanguageModel> {
  const bar = new ProgressBar(!command.quiet);
  return loadModel(command.model, {
    ...loadOptions(command),
    signal,
    onProgress: (progress) => bar.update(progress),
  }).finally(() => bar.clear());
}
