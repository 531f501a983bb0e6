// SPDX-License-Identifier: Apache-2.0
import { ChordError, inspectModel, loadModel } from '../index.js';
import type { GpuDispatch, ModelEstimate, ModelInspection } from '../index.js';
import type { Command } from './arguments.js';
import { loadOptions } from './load.js';
import { ProgressBar } from './progress.js';
import { onOneLine, pagedText, print, printJson, size } from './terminal.js';

/**
 * The command `info`: what a file's header says, and how the model would run here. The model is loaded for
 * --dispatches alone. Throws why the model can't run, after its facts.
 */
export async function info(command: Command, signal: AbortSignal): Promise<void> {
  const bar = new ProgressBar(!command.quiet);
  const options = {
    ...loadOptions(command),
    signal,
    onProgress: (progress: Parameters<ProgressBar['update']>[0]) => bar.update(progress),
  };
  const found = await inspectModel(command.model, options).finally(() => bar.clear());
  const { estimate, tensors, metadata, problem, ...facts } = found;
  const refused = problem ?? (estimate?.fits ? undefined : { code: 'out-of-memory', message: estimate!.why });
  if (command.json) {
    const tables = { ...(command.tensors && { tensors }), ...(command.metadata && { metadata }) };
    const dispatches = command.dispatches && !refused ? await dispatchesOf(command, options) : undefined;
    await printJson({ ...facts, ...estimate, ...tables, problem, ...(dispatches && { dispatches }) });
  } else {
    await print(table(rowsOf(command, found)));
    if (command.metadata)
      await print(
        `\n${table(
          Object.entries(metadata).map(([key, value]) => [key, cut(value)]),
          45,
        )}`,
      );
    if (command.tensors) await print(`\n${tensors.map(tensorLine).join('')}`);
    if (command.dispatches && !refused) await print(dispatchTable(await dispatchesOf(command, options)));
  }
  if (refused !== undefined) throw ChordError.from(refused as Parameters<typeof ChordError.from>[0]);
}

type Row = readonly [label: string, value: unknown];

const table = (rows: readonly Row[], width = 14): string =>
  rows
    .map(([label, value]) => `${onOneLine(label).padEnd(width)}${onOneLine(String(value ?? '-'))}\n`)
    .join('');

/** The beginning of a long value. */
const cut = (text: string): string => (text.length > 100 ? `${text.slice(0, 100)} ...` : text);

function rowsOf(command: Command, found: ModelInspection): Row[] {
  const { tensorTypes, specialTokens, estimate, problem } = found;
  const types = tensorTypes.map(
    ({ type, share }) => `${type} ${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`,
  );
  const specials = Object.entries(specialTokens).map(
    ([name, { id, text }]) => `${name} ${id} ${JSON.stringify(text)}`,
  );
  return [
    ['file', command.model.split(/[?#]/)[0]!.split(/[\\/]/).at(-1)],
    ['name', found.name],
    ['architecture', found.architecture],
    ['quantization', found.quantization],
    ['types', types.join(', ')],
    ['parameters', `${(found.parameters / 1e6).toFixed(1)} M`],
    ['size', found.fileBytes === undefined ? undefined : size(found.fileBytes)],
    ['vocabulary', `${found.vocabularySize ?? 0} tokens (${found.tokenizer})`],
    ['special', specials.join(', ')],
    ['embedding', found.embeddingLength],
    ['blocks', found.blockCount],
    ['makes', purposeOf(found)],
    ['chat template', templateOf(found)],
    ...(estimate === undefined ? [['context', contextOf(found)] as const] : estimateRows(estimate)),
    ...(problem === undefined ? [] : [["can't run", `${problem.code}: ${problem.message}`] as const]),
  ];
}

const purposeOf = ({ isEncoder, pooling }: ModelInspection): string | undefined =>
  pooling &&
  (isEncoder ? '' : 'text, ') +
    (pooling === 'rank' ? "a reranker's scores" : `embeddings (pooling ${pooling})`);

const contextOf = ({ trainedContextLength: trained }: ModelInspection): string =>
  trained === undefined ? '-' : `the model was trained on ${trained} tokens`;

function estimateRows(found: ModelEstimate): Row[] {
  const { memory } = found;
  const big = `weights ${size(memory.weights)}, KV cache ${memory.gpu ? '' : 'up to '}${size(memory.kv)}`;
  return [
    ['context', `${found.contextLength} tokens; the model was trained on ${found.trainedContextLength}`],
    ...(memory.gpu === 0
      ? [['memory', `${size(memory.total)} (${big})${pagedText(found)}`] as const]
      : [['memory', size(memory.total)] as const, ['on the GPU', `${size(memory.gpu)} (${big})`] as const]),
    ['runs on', `${found.backend}: ${found.backendReason}`],
    ['variant', found.variant],
    ['threads', found.threads],
  ];
}

const tensorLine = ({ name, type, shape, bytes }: ModelInspection['tensors'][number]): string =>
  `${onOneLine(name).padEnd(40)}${type.padEnd(10)}${shape.join(' x ').padEnd(24)}${size(bytes).padStart(10)}\n`;

async function dispatchesOf(
  command: Command,
  options: Parameters<typeof loadModel>[1],
): Promise<readonly GpuDispatch[]> {
  const model = await loadModel(command.model, { ...options, onProgress: undefined });
  return model.dispatches().finally(() => model.dispose());
}

/** A line for each dispatch of a token, and their sum. */
function dispatchTable(dispatches: readonly GpuDispatch[]): string {
  if (dispatches.length === 0) return '\nno dispatches: the model runs on the CPU\n';
  const line = (label: string, workgroups: number | string, bytes: number, madds: number): string =>
    `${label.padEnd(40)}${String(workgroups).padStart(10)}${(bytes / 1e6).toFixed(3).padStart(12)}${(madds / 1e6).toFixed(3).padStart(12)}\n`;
  const sum = (key: 'bytes' | 'madds'): number => dispatches.reduce((total, one) => total + one[key], 0);
  return [
    `\n${'dispatch'.padEnd(40)}${'workgroups'.padStart(10)}${'MB read'.padStart(12)}${'M madds'.padStart(12)}\n`,
    ...dispatches.map(({ label, workgroups, bytes, madds }) => line(label, workgroups, bytes, madds)),
    line(`${dispatches.length} dispatches`, '', sum('bytes'), sum('madds')),
  ].join('');
}

function templateOf({ chatTemplateSource: source, chatTemplates: names }: ModelInspection): string {
  const main = source === undefined ? 'none' : source === 'file' ? 'yes' : "the architecture's";
  return names.length > 0 ? `${main}; by name: ${names.join(', ')}` : main;
}
