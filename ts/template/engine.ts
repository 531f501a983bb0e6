// SPDX-License-Identifier: Apache-2.0
// Renders chat templates with the template engine's own wasm module (src/host/wasm/template.c), in a memory
// of its own. A rendering stops every few milliseconds, so that the event loop turns and a signal can end it.
// Steps, memory and depth have bounds: a template is foreign code.
import { Status } from '../abi/abi.gen.js';
import { ChordError, messageOf } from '../errors.js';
import { nextTurn } from '../platform.js';
import { unpacked } from '../unpacked.js';

/** What is rendered. */
export interface Rendering {
  readonly template: string;
  /** JSON text of an object. */
  readonly variables: string;
  /** Local time: year, month (1 to 12), day, hour, minute, second. */
  readonly now: readonly number[];
  /** Merges a first system message into the next message of a user. */
  readonly mergeSystem: boolean;
}

/** `isRaised`: the template called raise_exception, and `text` is the error's message. */
export interface Rendered {
  readonly text: string;
  readonly isRaised: boolean;
}

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly __heap_base: WebAssembly.Global;
  source_at(): number;
  begin(block: number, bytes: number, source: number, variables: number): number;
  step(block: number, steps: number): number;
  text(block: number, which: number): number;
  text_bytes(block: number, which: number): number;
}

/** Texts of a rendering: what it wrote, its error's message, what raise_exception was given. */
const WRITTEN = 0;
const ERROR = 1;
const RAISED = 2;

/** Steps of the engine per call: less than a millisecond. */
const STEPS = 20_000;
/** Milliseconds between two turns of the event loop. */
const TURN_MS = 8;
/**
 * Bytes that a rendering may use: values aren't freed before its end. Bytes that it doesn't use cost nothing
 * but addresses.
 */
const BASE = 32 << 20;
/** More for each byte of the variables. */
const FACTOR = 32;
const MOST = 512 << 20;
/** A memory that has grown above this is dropped after the rendering. */
const KEPT = BASE + (4 << 20);
const PAGE = 65536;
/** Characters of what raise_exception was given that the message holds. */
const RAISED_CHARACTERS = 2000;

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export class TemplateEngine {
  readonly #module: Promise<WebAssembly.Module>;
  #exports: Exports | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `bytes`: the template engine's module. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#module = WebAssembly.compile(bytes).then(unpacked);
    this.#module.catch(() => {});
  }

  /**
   * Renders. One rendering at a time; others wait for it.
   *
   * @throws {ChordError} `invalid-argument` if the template fails or exceeds a bound; the message names the
   *   template's line.
   * @throws The signal's reason.
   */
  render(rendering: Rendering, signal?: AbortSignal): Promise<Rendered> {
    const rendered = this.#last.then(() => this.#render(rendering, signal));
    this.#last = rendered.catch(() => {});
    return rendered;
  }

  async #render(rendering: Rendering, signal: AbortSignal | undefined): Promise<Rendered> {
    signal?.throwIfAborted();
    try {
      this.#exports ??= instantiate(await this.#module.catch(notTheEngine));
      return await run(this.#exports, rendering, signal);
    } catch (cause) {
      this.#exports = undefined; // what failed may have used all of its memory
      if (!(cause instanceof WebAssembly.RuntimeError)) throw cause;
      throw new ChordError('internal', `the template engine stopped: ${messageOf(cause)}`, { cause });
    } finally {
      if ((this.#exports?.memory.buffer.byteLength ?? 0) > KEPT) this.#exports = undefined;
    }
  }
}

function notTheEngine(cause: unknown): never {
  throw new ChordError('invalid-argument', `module isn't the template engine's: ${messageOf(cause)}`, {
    cause,
  });
}

function instantiate(module: WebAssembly.Module): Exports {
  const bytes = (at: number, n?: number): Uint8Array => new Uint8Array(exports.memory.buffer, at, n);
  const exports = new WebAssembly.Instance(module, {
    env: {
      pow: Math.pow,
      parse: (at: number, n: number) => Number(decoder.decode(bytes(at, n))),
      print: (value: number, digits: number, at: number) =>
        encoder.encodeInto(digits < 0 ? value.toExponential() : fixed(value, digits), bytes(at)).written,
    },
  }).exports as unknown as Exports;
  return exports;
}

/** `value` with `digits` digits behind the point, a half rounded to even; toFixed rounds it up. */
function fixed(value: number, digits: number): string {
  if (value >= 1e21) return BigInt(value) + (digits > 0 ? `.${'0'.repeat(digits)}` : '');
  const exact = value.toFixed(100);
  const end = exact.length - 100 + digits;
  const isHalf = /^50*$/.test(exact.slice(end)) && /[02468]\.?$/.test(exact.slice(0, end));
  return isHalf ? exact.slice(0, digits > 0 ? end : -101) : value.toFixed(digits);
}

async function run(
  exports: Exports,
  rendering: Rendering,
  signal: AbortSignal | undefined,
): Promise<Rendered> {
  const source = encoder.encode(rendering.template);
  const variables = encoder.encode(rendering.variables);
  const block = Math.ceil((exports.__heap_base.value as number) / 64) * 64;
  const at = block + exports.source_at();
  const texts = source.byteLength + variables.byteLength;
  const arena = Math.min(BASE + FACTOR * variables.byteLength, MOST);
  const bytes = Math.ceil((at - block + texts + arena) / 64) * 64;
  grow(exports.memory, block + bytes);
  const memory = new Uint8Array(exports.memory.buffer);
  memory.set(source, at);
  memory.set(variables, at + source.byteLength);
  new Int32Array(exports.memory.buffer, block, 7).set([...rendering.now, Number(rendering.mergeSystem)]);

  let status = exports.begin(block, bytes, source.byteLength, variables.byteLength);
  for (let turned = performance.now(); status >= 0 && status !== Status.DONE;) {
    status = exports.step(block, STEPS);
    if (performance.now() - turned < TURN_MS) continue;
    await nextTurn();
    signal?.throwIfAborted();
    turned = performance.now();
  }
  const read = (which: number, most = Infinity): string => {
    const begin = exports.text(block, which);
    return decoder.decode(memory.subarray(begin, begin + Math.min(exports.text_bytes(block, which), most)));
  };
  if (status === Status.DONE) return { text: read(WRITTEN), isRaised: false };
  const message = read(ERROR);
  // The error's text is cut after some 300 bytes.
  if (exports.text(block, RAISED) !== 0)
    return {
      text: message.slice(0, message.indexOf(': ') + 2) + read(RAISED).slice(0, RAISED_CHARACTERS),
      isRaised: true,
    };
  throw new ChordError('invalid-argument', message || 'the chat template needs too much memory');
}

function grow(memory: WebAssembly.Memory, end: number): void {
  const missing = end - memory.buffer.byteLength;
  if (missing <= 0) return;
  try {
    memory.grow(Math.ceil(missing / PAGE));
  } catch (cause) {
    throw new ChordError('out-of-memory', `${end} bytes of memory for the chat template were refused`, {
      cause,
    });
  }
}
