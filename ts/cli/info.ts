// SPDX-License-Identifier: Apache-2.0
import type { LanguageModel, LanguageModelInfo } from '../index.js';
import type { Command } from './arguments.js';
import { onOneLine, print, printJson, size } from './terminal.js';

/** The command `info`: facts about the model and how it runs here. */
export async function info({ info }: LanguageModel, command: Command): Promise<void> {
  if (command.json) return printJson(info);
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
    ['runs on', `${info.backend}: ${info.backendReason}`],
    ['variant', info.variant],
    ['threads', info.threads],
    ['chat template', templateOf(info)],
  ];
  await print(
    rows.map(([label, value]) => `${label.padEnd(14)}${onOneLine(String(value ?? '-'))}\n`).join(''),
  );
}

function templateOf({ chatTemplateSource: source, chatTemplates: names }: LanguageModelInfo): string {
  const main = source === undefined ? 'none' : source === 'file' ? 'yes' : "the architecture's";
  return names.length > 0 ? `${main}; by name: ${names.join(', ')}` : main;
}
