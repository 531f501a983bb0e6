// SPDX-License-Identifier: Apache-2.0
import { estimateModel } from '../index.js';
import type { ModelEstimate } from '../index.js';
import type { Command } from './arguments.js';
import { loadOptions } from './load.js';
import { ProgressBar } from './progress.js';
import { count, onOneLine, print, printJson, size } from './terminal.js';

/** A sentence with its bytes in units that people read. */
const inUnits = (text: string): string =>
  text.replace(/\b(\d{6,})(?: bytes)?\b/g, (_, bytes) => size(Number(bytes)));

function needs({ memory, contextLength, kvType }: ModelEstimate): string {
  const big = `weights ${size(memory.weights)}, KV cache ${size(memory.kv)} (${kvType})`;
  const small = `activations ${size(memory.activations)}, vocabulary ${size(memory.vocabulary)}`;
  const context = `with ${contextLength} tokens of context`;
  return memory.gpu === 0
    ? `${size(memory.total)} ${context}: ${big}, ${small}`
    : `${size(memory.gpu)} on the GPU ${context}: ${big}; and ${size(memory.total)} of memory: ${small}`;
}

/** The command `estimate`: what a model needs and whether it fits here, from its header alone. */
export async function estimate(command: Command, signal: AbortSignal): Promise<void> {
  const bar = new ProgressBar(!command.quiet);
  const found = await estimateModel(command.model, {
    ...loadOptions(command),
    signal,
    onProgress: (progress) => bar.update(progress),
  }).finally(() => bar.clear());
  if (command.json) return printJson(found);
  const rows: [string, string][] = [
    ['name', found.name || found.architecture],
    ['parameters', count(found.parameters)],
    ['quantization', found.quantization],
    ['file', size(found.fileBytes)],
    ['needs', needs(found)],
    ['fits', `${found.fits ? 'yes' : 'no'}: ${inUnits(found.why)}`],
    [
      'context',
      found.largestContextLength > 0
        ? `at most ${found.largestContextLength} tokens fit${found.pagedLayers > 0 ? ' with so many layers in memory' : ''}`
        : 'none fits',
    ],
    ['weights', `${found.placement}: ${inUnits(found.pagingReason)}`],
    ['runs on', `${found.backend}: ${found.backendReason}`],
    ['variant', found.variant],
    ['threads', String(found.threads)],
  ];
  await print(rows.map(([label, value]) => `${label.padEnd(14)}${onOneLine(value)}\n`).join(''));
}
