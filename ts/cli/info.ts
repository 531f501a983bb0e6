// SPDX-License-Identifier: Apache-2.0
import type { GpuDispatch, LanguageModel, LanguageModelInfo } from '../index.js';
import type { Command } from './arguments.js';
import { onOneLine, print, printJson, size } from './terminal.js';

/** The command `info`: facts about the model and how it runs here. */
export async function info(model: LanguageModel, command: Command): Promise<void> {
  const { info } = model;
  const dispatches = command.dispatches ? await model.dispatches() : undefined;
  if (command.json) return printJson({ ...info, ...(dispatches && { dispatches }) });
  const { memory } = info;
  const rows: [string, unknown][] = [
    ['file', command.model.split(/[?#]/)[0]!.split(/[\\/]/).at(-1)],
    ['name', info.name],
    ['architecture', info.architecture],
    ['quantization', info.quantization],
    ['parameters', `${(info.parameters / 1e6).toFixed(1)} M`],
    ['vocabulary', info.vocabularySize],
    ['context', `${info.contextLength} tokens; the model was trained on ${info.trainedContextLength}`],
    ['embedding', info.embeddingLength],
    ['blocks', info.blockCount],
    ['memory', `${size(memory.total)} (weights ${size(memory.weights)}, KV cache up to ${size(memory.kv)})`],
    ...(memory.gpu === 0 ? [] : [['on the GPU', size(memory.gpu)] as [string, unknown]]),
    ['runs on', `${info.backend}: ${info.backendReason}`],
    ['variant', info.variant],
    ['threads', info.threads],
    ['chat template', templateOf(info)],
  ];
  await print(
    rows.map(([label, value]) => `${label.padEnd(14)}${onOneLine(String(value ?? '-'))}\n`).join(''),
  );
  if (dispatches !== undefined) await print(dispatchTable(dispatches));
}

/** A line for each dispatch of a token, and their sum. */
function dispatchTable(dispatches: readonly GpuDispatch[]): string {
  if (dispatches.length === 0) return '\nno dispatches: the model runs on the CPU (--backend webgpu)\n';
  const line = (label: string, workgroups: number | string, bytes: number, madds: number): string =>
    `${label.padEnd(40)}${String(workgroups).padStart(10)}${(bytes / 1e6).toFixed(3).padStart(12)}${(madds / 1e6).toFixed(3).padStart(12)}\n`;
  const sum = (key: 'bytes' | 'madds'): number => dispatches.reduce((total, one) => total + one[key], 0);
  return [
    `\n${'dispatch'.padEnd(40)}${'workgroups'.padStart(10)}${'MB read'.padStart(12)}${'M madds'.padStart(12)}\n`,
    ...dispatches.map(({ label, workgroups, bytes, madds }) => line(label, workgroups, bytes, madds)),
    line(`${dispatches.length} dispatches`, '', sum('bytes'), sum('madds')),
  ].join('');
}

function templateOf({ chatTemplateSource: source, chatTemplates: names }: LanguageModelInfo): string {
  const main = source === undefined ? 'none' : source === 'file' ? 'yes' : "the architecture's";
  return names.length > 0 ? `${main}; by name: ${names.join(', ')}` : main;
}
