// SPDX-License-Identifier: Apache-2.0
/// <reference lib="es2022.error" />

/** Every way a call can fail, stable across versions; `message` names what was at fault. */
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
  'invalid-argument', 'invalid-gguf', 'unsupported-architecture', 'unsupported-quantization', 'unsupported-tokenizer',
  'out-of-memory', 'context-full', 'io', 'http', 'quota', 'integrity', 'aborted', 'no-webgpu', 'device-lost', 'busy',
  'disposed', 'internal',
]);

/** An error as it crosses a worker's border: structured clone would drop `code` and `hint`. */
export interface ErrorRecord {
  readonly code: ChordErrorCode;
  readonly message: string;
  readonly hint?: string | undefined;
}

const brand = Symbol.for('wasm-chord.ChordError');

/**
 * The one error class. `code` says what kind of failure it is, `message` names the tensor, key, offset,
 * option or URL at fault, `hint` a way out where there is one, `cause` the error underneath.
 */
export class ChordError extends Error {
  override readonly name = 'ChordError';
  readonly code: ChordErrorCode;
  readonly hint: string | undefined;

  constructor(code: ChordErrorCode, message: string, options: { hint?: string | undefined; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    Object.defineProperty(this, brand, { value: true });
  }

  /** Like `instanceof`, but true also for an error of another copy of this package. */
  static isInstance(value: unknown): value is ChordError {
    return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true;
  }

  // `this`, not the class by its name: a bundler renames a class that names itself, and the error then prints as `_ChordError`.
  static from(record: ErrorRecord): ChordError {
    return new this(record.code, record.message, { hint: record.hint });
  }
}

/** Any thrown value as a record; what isn't ours is `code`, with its own message. */
export function toErrorRecord(error: unknown, code: ChordErrorCode = 'internal'): ErrorRecord {
  if (ChordError.isInstance(error)) return { code: error.code, message: error.message, hint: error.hint };
  return { code, message: error instanceof Error ? error.message || error.name : String(error) };
}

/** Whether a value from the other side of a worker is a record that `ChordError.from` may take. */
export function isErrorRecord(value: unknown): value is ErrorRecord {
  const record = value as Partial<ErrorRecord> | null | undefined;
  return typeof record === 'object' && record !== null && typeof record.message === 'string' && codes.has(record.code ?? '');
}
