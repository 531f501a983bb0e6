// SPDX-License-Identifier: Apache-2.0
/// <reference lib="es2022.error" />

/**
 * All kinds of failure, stable across versions. `message` names what is at fault.
 *
 * - `invalid-argument`: an argument or an option isn't allowed.
 * - `invalid-gguf`: the file is no GGUF model, is cut off, or contradicts itself.
 * - `unsupported-architecture`, `unsupported-quantization`, `unsupported-tokenizer`: the file needs a part
 *   that this version doesn't have.
 * - `out-of-memory`: the model, its context or the text needs more memory than there is, or than
 *   `memoryBudget`.
 * - `context-full`: the prompt leaves no place in the context for a new token.
 * - `io`: a file, a stream or a file of the package can't be read, or a server can't be reached.
 * - `http`: a server answers with something else than the file: a status, a web page, wrong ranges.
 * - `quota`: the place where downloads are kept is full.
 * - `integrity`: a file changed while it was read or has another SHA-256, or a saved session is damaged.
 * - `aborted`: a call was cancelled from inside the package. A call that the caller's signal aborts rejects
 *   with the signal's reason instead, by default a DOMException named AbortError.
 * - `no-webgpu`: the caller asked for the GPU, and the model can't run there: no adapter, no package `webgpu`
 *   in Node, kernels that compute wrongly on this adapter, a build without the backend.
 * - `device-lost`: the GPU was lost and couldn't be made again, or the weights can't be read again.
 * - `busy`: a call waits for a generation whose reader waits for the call; or on level 1 another generation
 *   is unfinished.
 * - `disposed`: the model, session or run was disposed of before the call or during it.
 * - `internal`: a fault of this package, or a worker that ended. Please report it.
 */
export type ChordErrorCode =
  | 'invalid-argument'
  | 'invalid-gguf'
  | 'unsupported-architecture'
  | 'unsupported-quantization'
  | 'unsupported-tokenizer'
  | 'out-of-memory'
  | 'context-full'
  | 'io'
  | 'http'
  | 'quota'
  | 'integrity'
  | 'aborted'
  | 'no-webgpu'
  | 'device-lost'
  | 'busy'
  | 'disposed'
  | 'internal';

const codes: ReadonlySet<string> = new Set<ChordErrorCode>([
  'invalid-argument',
  'invalid-gguf',
  'unsupported-architecture',
  'unsupported-quantization',
  'unsupported-tokenizer',
  'out-of-memory',
  'context-full',
  'io',
  'http',
  'quota',
  'integrity',
  'aborted',
  'no-webgpu',
  'device-lost',
  'busy',
  'disposed',
  'internal',
]);

/** An error on its way between threads. Structured clone would drop `code` and `hint`. */
export interface ErrorRecord {
  readonly code: ChordErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
}

const brand = Symbol.for('wasm-chord.ChordError');

/**
 * The only error class. `code` is the kind of failure. `message` names the tensor, key, offset, option or URL
 * at fault. `hint` says what can be done, if anything. `cause` is the underlying error, if that was in the
 * caller's thread: of an error in the engine worker, `message` says it.
 */
export class ChordError extends Error {
  /** @internal The build shortens other names. */
  static override readonly name: string = 'ChordError';
  override readonly name = 'ChordError';
  readonly code: ChordErrorCode;
  readonly hint: string | undefined;

  constructor(
    code: ChordErrorCode,
    message: string,
    options: { hint?: string | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    Object.defineProperty(this, brand, { value: true });
  }

  /** Like `instanceof`, and also true for an error of another copy of this package. */
  static isInstance(value: unknown): value is ChordError {
    try {
      return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true;
    } catch {
      // A proxy threw.
      return false;
    }
  }

  // `this` instead of the class's name: a bundler renames a class that names itself, and the error prints as
  // `_ChordError`.
  /** @internal */
  static from({ code, message, hint, cause }: ErrorRecord & { cause?: unknown }): ChordError {
    return new this(code, message, { hint, cause });
  }
}

/**
 * Returns `promise`, the result of a public call. Its rejection isn't reported as unhandled if the caller
 * drops it, and a ChordError of it shows the caller's frames: an error that comes from the worker is made in
 * a message's handler, whose stack has none. Call it in the public function itself, before any `await`.
 */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  const call = new Error();
  // This handler was added first, so it runs before the caller's.
  promise.catch((error: unknown) => ChordError.isInstance(error) && addFrames(error, call));
  return promise;
}

function addFrames(error: Error, { stack = '' }: Error): void {
  // V8's stack begins with a line `Error`. The next two frames are `quiet` and the public function.
  const frames = stack
    .replace(/^Error\n/, '')
    .split('\n')
    .slice(2);
  if (error.stack?.includes(frames[0] ?? '') === false) error.stack += `\n${frames.join('\n')}`;
}

/** A value as messages show it: short. The value's own methods can't make this function fail. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40));
  if (typeof value === 'bigint') return `${value}n`.slice(0, 40);
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value).slice(0, 40);
  try {
    return Object.prototype.toString.call(value).slice(0, 40);
  } catch {
    return 'an object';
  }
}

/** The message of a thrown value. The value's own methods can't make this function fail. */
export function messageOf(cause: unknown): string {
  try {
    if (cause instanceof Error) return String(cause.message || cause.name);
  } catch {
    return 'an error that cannot be read';
  }
  return typeof cause === 'string' ? cause : show(cause);
}

/** A thrown value as a record. An error of another class gets `code` and keeps its message. */
export function toErrorRecord(error: unknown, code: ChordErrorCode = 'internal'): ErrorRecord {
  if (ChordError.isInstance(error)) return { code: error.code, message: error.message, hint: error.hint };
  return { code, message: messageOf(error) };
}

/** Whether a value from another thread is a record for `ChordError.from`. */
export function isErrorRecord(value: unknown): value is ErrorRecord {
  const record = value as Partial<ErrorRecord> | null | undefined;
  return (
    typeof record === 'object' &&
    record !== null &&
    typeof record.message === 'string' &&
    codes.has(record.code ?? '')
  );
}
