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
    try {
      return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true;
    } catch {
      return false; // a proxy that refuses
    }
  }

  // `this`, not the class by its name: a bundler renames a class that names itself, and the error then prints as `_ChordError`.
  static from(record: ErrorRecord): ChordError {
    return new this(record.code, record.message, { hint: record.hint });
  }
}

/** A value as a message shows it: short, and safe from what the value's own methods do. */
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

/** What a thrown value says; safe in the same way. */
export function messageOf(cause: unknown): string {
  try {
    if (cause instanceof Error) return String(cause.message || cause.name);
  } catch {
    return 'an error that cannot be read';
  }
  return typeof cause === 'string' ? cause : show(cause);
}

/** Any thrown value as a record; what isn't ours is `code`, with its own message. */
export function toErrorRecord(error: unknown, code: ChordErrorCode = 'internal'): ErrorRecord {
  if (ChordError.isInstance(error)) return { code: error.code, message: error.message, hint: error.hint };
  return { code, message: messageOf(error) };
}

/** Whether a value from the other side of a worker is a record that `ChordError.from` may take. */
export function isErrorRecord(value: unknown): value is ErrorRecord {
  const record = value as Partial<ErrorRecord> | null | undefined;
  return typeof record === 'object' && record !== null && typeof record.message === 'string' && codes.has(record.code ?? '');
}
