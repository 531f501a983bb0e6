// SPDX-License-Identifier: Apache-2.0
// bench.ts: the command `bench`: what the package does with one model on this machine. `make bench` of the
// sources measures more, and compares with others.
import type { LanguageModel } from '../index.js';
import type { Command } from './arguments.js';
import { count, isScreen, onOneLine, print, printJson, size } from './terminal.js';

const PREFILL_TOKENS = 128;
const DECODE_TOKENS = 32;
/** On a slow machine repetitions at a depth end after so long. */
const DEPTH_MS = 10_000;
/** An abort comes so long after the call. */
const ABORT_AFTER_MS = 50;

interface DepthFigures {
  depth: number;
  /** Measurements, of which the medians are. */
  repetitions: number;
  prefillTokensPerSecond: number;
  decodeTokensPerSecond: number;
}

export async function bench(
  command: Command,
  signal: AbortSignal,
  load: () => Promise<LanguageModel>,
): Promise<void> {
  const status = new StatusLine(!command.quiet);
  const loads: number[] = [];
  let model: LanguageModel | undefined;
  try {
    for (let i = 0; i < command.repeat; i++) {
      await model?.dispose();
      const start = performance.now();
      model = await load();
      loads.push(performance.now() - start);
    }
    const ids = await randomIds(model!);
    const { contextLength } = model!.info;
    const depths = command.depths.filter((depth) => depth + PREFILL_TOKENS + DECODE_TOKENS <= contextLength);
    const measured: DepthFigures[] = [];
    for (const depth of depths) measured.push(await atDepth(model!, command, ids, depth, signal, status));
    status.show('abort');
    const aborts: number[] = [];
    for (let i = 0; i < command.repeat; i++) {
      const ms = await abortion(model!, ids, contextLength, signal);
      if (ms !== null) aborts.push(ms);
    }
    const { wasmBytes, bufferBytesPeak, gpuBytes } = await model!.counters();
    const { name, architecture, quantization, parameters, variant, threads, backend, backendReason } =
      model!.info;
    status.clear();
    const found = {
      model: name || architecture,
      parameters,
      quantization,
      variant,
      threads,
      backend,
      backendReason,
      prefillTokens: PREFILL_TOKENS,
      decodeTokens: DECODE_TOKENS,
      loadMs: median(loads),
      depths: measured,
      leftOut: command.depths.filter((depth) => !depths.includes(depth)),
      abortMs: aborts.length > 0 ? median(aborts) : null,
      memoryBytes: wasmBytes + bufferBytesPeak,
      gpuBytes,
    };
    await (command.json ? printJson(found) : print(table(found, contextLength)));
  } finally {
    status.clear();
    await model?.dispose();
  }
}

/** Tokens of words, so that no special token is among them: [n] ids, the same in every run. */
async function randomIds(model: LanguageModel): Promise<(n: number, seed: number) => number[]> {
  const text = 'the quick brown fox jumps over a lazy dog while rain falls on seven old houses by the sea';
  const words = await model.tokenize(text, { addSpecial: false, parseSpecial: false });
  return (n, seed) => {
    let state = seed + 1;
    return Array.from({ length: n }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return words[(state >>> 8) % words.length]!;
    });
  };
}

/**
 * Reads `depth` tokens, and then, in each repetition, other PREFILL_TOKENS after them (the KV cache keeps
 * what two prompts share) and writes DECODE_TOKENS. Medians.
 */
async function atDepth(
  model: LanguageModel,
  { repeat }: Command,
  ids: (n: number, seed: number) => number[],
  depth: number,
  signal: AbortSignal,
  status: StatusLine,
): Promise<DepthFigures> {
  const before = ids(depth, 1);
  const prefill: number[] = [];
  const decode: number[] = [];
  const start = performance.now();
  // The first run reads the tokens before, and warms up.
  for (let i = 0; i <= repeat && (i < 2 || performance.now() - start < DEPTH_MS); i++) {
    status.show(`depth ${depth}${i === 0 ? '' : `, ${i} of ${repeat}`}`);
    const run = model.generate([...before, ...ids(PREFILL_TOKENS, 2 + i)], {
      maxTokens: i === 0 ? 2 : DECODE_TOKENS,
      temperature: 0,
      ignoreEos: true,
      signal,
    });
    await run.text();
    const { promptTokens, cachedTokens, promptMs, tokensPerSecond } = run.stats!;
    if (i === 0) continue;
    prefill.push((1000 * (promptTokens - cachedTokens)) / promptMs);
    decode.push(tokensPerSecond);
  }
  return {
    depth,
    repetitions: prefill.length,
    prefillTokensPerSecond: median(prefill),
    decodeTokensPerSecond: median(decode),
  };
}

/**
 * Milliseconds from an abort in the midst of a long prompt to the rejection; null if the model has filled its
 * context before.
 */
async function abortion(
  model: LanguageModel,
  ids: (n: number, seed: number) => number[],
  contextLength: number,
  signal: AbortSignal,
): Promise<number | null> {
  const controller = new AbortController();
  let abortedMs = 0;
  const abort = (): void => {
    abortedMs = performance.now();
    controller.abort();
  };
  signal.addEventListener('abort', abort, { once: true });
  const timer = setTimeout(abort, ABORT_AFTER_MS);
  try {
    const room = Math.min(2000, contextLength - 1);
    const run = model.generate(ids(room, Math.round(performance.now())), {
      maxTokens: contextLength,
      ignoreEos: true,
      signal: controller.signal,
    });
    await run.text();
  } catch (error) {
    if (signal.aborted || !controller.signal.aborted) throw error;
    return performance.now() - abortedMs;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
  }
  return null;
}

function table(
  found: {
    model: string;
    parameters: number;
    quantization: string;
    variant: string;
    threads: number;
    backend: string;
    loadMs: number;
    depths: DepthFigures[];
    leftOut: number[];
    abortMs: number | null;
    memoryBytes: number;
    gpuBytes: number;
  },
  contextLength: number,
): string {
  const { model, parameters, quantization, variant, threads, backend } = found;
  const row = (...cells: string[]): string =>
    `${cells[0]!.padEnd(12)}${cells
      .slice(1)
      .map((cell) => cell.padStart(20))
      .join('')}\n`;
  return (
    `${onOneLine(model)}: ${count(parameters)} parameters, ${onOneLine(quantization)}; ` +
    `${backend === 'webgpu' ? 'WebGPU, ' : ''}${variant}, ${threads} ${threads === 1 ? 'thread' : 'threads'}\n\n` +
    row('depth', 'prefill, tokens/s', 'decode, tokens/s') +
    found.depths
      .map(({ depth, prefillTokensPerSecond, decodeTokensPerSecond }) =>
        row(String(depth), prefillTokensPerSecond.toFixed(1), decodeTokensPerSecond.toFixed(1)),
      )
      .join('') +
    `\nload    ${found.loadMs.toFixed(0)} ms\nabort   ${found.abortMs?.toFixed(0) ?? '-'} ms\nmemory  ${size(found.memoryBytes)}${found.gpuBytes > 0 ? `, on the GPU ${size(found.gpuBytes)}` : ''}\n` +
    (found.leftOut.length === 0
      ? ''
      : `left out: depth ${found.leftOut.join(', ')}; the context has ${contextLength} tokens (--ctx N)\n`)
  );
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** What is measured now, on one line of stderr that is erased at the end. */
class StatusLine {
  readonly #isShown: boolean;
  constructor(isShown: boolean) {
    this.#isShown = isShown && isScreen(process.stderr);
  }
  show(text: string): void {
    if (this.#isShown) process.stderr.write(`\r\x1b[2Kmeasuring ${text}`);
  }
  clear(): void {
    if (this.#isShown) process.stderr.write('\r\x1b[2K');
  }
}
