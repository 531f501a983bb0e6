// SPDX-License-Identifier: Apache-2.0
// Loads pages (layers, experts) and rows of a paged model into its memory, piece by piece: in the I/O worker,
// with an instance of its own (serve.ts), or in the thread that computes (pager.ts). A block of the model's
// memory is between the two threads:
//
//   int32  STATE     what the computing thread asks for: rows, or nothing
//   int32  FAULT     bytes of the error record; 0: none
//   int32  N_ROWS    rows that are asked for
//   f64    READ      bytes read since the load
//   f64    list      file, offset and bytes of each row that is asked for
//   int32  missing   tensor, row and id of rows that a batch lacks: the computing thread's own
//   bytes  fault     the record in JSON
//   bytes  rows      the rows, one behind the other
//   bytes  piece     where files are read to
import { statusErrors } from '../abi/abi.gen.js';
import { ChordError, toErrorRecord } from '../errors.js';
import type { ErrorRecord } from '../errors.js';
import { checkUnchanged, readWhole } from './reader.js';
import type { RandomReader } from './reader.js';

/** A matrix that is paged: the pages page .. page + pages - 1 have equal parts of its rows, in order. */
export interface PagedTensor {
  readonly index: number;
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
  readonly rowBytes: number;
  readonly page: number;
  readonly pages: number;
}

/** The exports that a loader's thread may call. */
export interface PagingExports {
  model_want_page(m: number): number;
  model_load_rows(m: number, tensor: number, firstRow: number, rows: number, bytes: number): number;
  model_page_loaded(m: number, page: number): number;
  model_page_failed(m: number, page: number, status: number): number;
  pager_error(m: number, dst: number, cap: number): number;
}

/** The block between the threads: its address, and the sizes of its parts. */
export interface PagingBlock {
  readonly address: number;
  readonly rowsBytes: number;
  readonly pieceBytes: number;
}

/** What a loader works on; plain data, which travels to the I/O worker. */
export interface PagedModel {
  readonly model: number;
  /** Address of pager_word(): pages that came or failed, and what may make a page wanted. */
  readonly word: number;
  readonly memory: WebAssembly.Memory;
  readonly block: PagingBlock;
  readonly tensors: readonly PagedTensor[];
}

/** Bytes that are read at once, unless four rows are more. Larger reads were no faster in any engine. */
export const PIECE = 4 << 20;
/** Bytes of rows that are asked for at once, unless one row is more. */
export const ROWS = 64 << 10;
/** Rows that are asked for at once. */
export const MOST_ROWS = 128;

export const [STATE, FAULT, N_ROWS] = [0, 1, 2];
const READ_AT = 16;
export const LIST_AT = 24;
const MISSING_AT = LIST_AT + 24 * MOST_ROWS;
const FAULT_AT = MISSING_AT + 12 * MOST_ROWS;
const FAULT_BYTES = 2048;
const ROWS_AT = FAULT_AT + FAULT_BYTES;
/** Values of STATE. */
export const [IDLE, WANTED] = [0, 1];
/** The status of a page that is given up: CHORD_INTERNAL. */
export const FAILED = -40;

export const blockBytes = (rowsBytes: number, pieceBytes: number): number => ROWS_AT + rowsBytes + pieceBytes;

/** The block's words, in the memory as it is now. */
export const wordsOf = ({ memory, block }: PagedModel): Int32Array =>
  new Int32Array(memory.buffer, block.address, 4);
export const bytesReadOf = ({ memory, block }: PagedModel): number =>
  new DataView(memory.buffer).getFloat64(block.address + READ_AT, true);
/** What a load reads isn't counted. */
export const forgetBytesRead = ({ memory, block }: PagedModel): void =>
  new DataView(memory.buffer).setFloat64(block.address + READ_AT, 0, true);
/** Address of the rows that were asked for. */
export const rowsAt = ({ block }: PagedModel): number => block.address + ROWS_AT;

/** Address of 3 * MOST_ROWS int32. */
export const missingAt = ({ block }: PagedModel): number => block.address + MISSING_AT;

/** Takes the error with which the loader gave up a page or rows; undefined: it had none. */
export function takeFault(paged: PagedModel): ErrorRecord | undefined {
  const length = Atomics.exchange(wordsOf(paged), FAULT, 0);
  if (length === 0) return undefined;
  const bytes = new Uint8Array(paged.memory.buffer, paged.block.address + FAULT_AT, length).slice();
  return JSON.parse(new TextDecoder().decode(bytes)) as ErrorRecord;
}

const pieceAt = ({ block }: PagedModel): number => block.address + ROWS_AT + block.rowsBytes;

export class PageLoader {
  readonly #paged: PagedModel;
  readonly #exports: PagingExports;
  readonly #readers: readonly RandomReader[];
  /** The page that was claimed, what is left of its matrices, and the row of the first that comes next. */
  #page: number | undefined;
  #tensors: PagedTensor[] = [];
  #row = 0;

  /** `readers`: of the model's files, by number. */
  constructor(paged: PagedModel, exports: PagingExports, readers: readonly RandomReader[]) {
    this.#paged = paged;
    this.#exports = exports;
    this.#readers = readers;
  }

  /**
   * Loads one piece: rows that are asked for, or a piece of the page that the walk needs next. Returns false
   * when nothing is wanted. An error is left in the block, and the page given up: the step that needs it
   * throws the error. Never throws, and returns a promise where a file is read by promises.
   */
  step(): boolean | Promise<boolean> {
    const { model, tensors } = this.#paged;
    const areRows = Atomics.load(wordsOf(this.#paged), STATE) === WANTED;
    if (!areRows && this.#page === undefined) {
      const wanted = this.#exports.model_want_page(model);
      if (wanted < 0) return false;
      this.#page = wanted;
      this.#tensors = tensors.filter(({ page, pages }) => wanted >= page && wanted < page + pages);
      this.#row = 0;
    }
    try {
      const loading = areRows ? this.#rows(0, rowsAt(this.#paged)) : this.#piece();
      if (!(loading instanceof Promise)) return true;
      return loading.then(
        () => true,
        (error: unknown) => this.#fail(error, areRows),
      );
    } catch (error) {
      return this.#fail(error, areRows);
    }
  }

  #fail(error: unknown, areRows: boolean): true {
    const { model, memory, block } = this.#paged;
    const { code, message, hint } = toErrorRecord(error);
    const record: ErrorRecord = { code, message: message.slice(0, 400), hint: hint?.slice(0, 200) };
    const json = new TextEncoder().encode(JSON.stringify(record)).subarray(0, FAULT_BYTES);
    new Uint8Array(memory.buffer, block.address + FAULT_AT, FAULT_BYTES).set(json);
    Atomics.store(wordsOf(this.#paged), FAULT, json.byteLength);
    if (areRows) return this.#answer();
    this.#exports.model_page_failed(model, this.#page!, FAILED);
    this.#page = undefined;
    return true;
  }

  #answer(): true {
    const words = wordsOf(this.#paged);
    Atomics.store(words, STATE, IDLE);
    Atomics.notify(words, STATE);
    return true;
  }

  // ---- a piece of a page ------------------------------------------------------------------------------

  #piece(): void | Promise<void> {
    const { memory, block } = this.#paged;
    const tensor = this.#tensors[0]!;
    const all = tensor.bytes / tensor.pages;
    const at = this.#row * tensor.rowBytes;
    const most = Math.max(4, Math.floor(block.pieceBytes / tensor.rowBytes / 4) * 4) * tensor.rowBytes;
    const bytes = Math.min(most, all - at);
    const target = new Uint8Array(memory.buffer, pieceAt(this.#paged), bytes);
    const from = tensor.offset + (this.#page! - tensor.page) * all + at;
    const reading = readWhole(this.#readers[tensor.file]!, from, target);
    return reading === undefined ? this.#put(tensor, bytes) : reading.then(() => this.#put(tensor, bytes));
  }

  /** The piece was read: repacks it, and goes on to the next place. */
  #put(tensor: PagedTensor, bytes: number): void {
    const { model } = this.#paged;
    const page = this.#page!;
    this.#count(bytes);
    const rows = tensor.bytes / tensor.pages / tensor.rowBytes;
    const first = (page - tensor.page) * rows + this.#row;
    this.#check(
      this.#exports.model_load_rows(model, tensor.index, first, pieceAt(this.#paged), bytes),
      tensor,
    );
    this.#row += bytes / tensor.rowBytes;
    if (this.#row < rows) return;
    // What was read of a file that has changed since is never computed with.
    checkUnchanged(this.#readers[tensor.file]!);
    [this.#tensors, this.#row] = [this.#tensors.slice(1), 0];
    if (this.#tensors.length > 0) return;
    this.#check(this.#exports.model_page_loaded(model, page), tensor);
    this.#page = undefined;
  }

  #count(bytes: number): void {
    const { memory, block } = this.#paged;
    new DataView(memory.buffer).setFloat64(block.address + READ_AT, bytesReadOf(this.#paged) + bytes, true);
  }

  #check(status: number, { file }: PagedTensor): void {
    if (status >= 0) return;
    checkUnchanged(this.#readers[file]!); // another file's bytes needn't be blocks
    const { model, memory } = this.#paged;
    const cap = 1024;
    const piece = pieceAt(this.#paged);
    const length = Math.min(this.#exports.pager_error(model, piece, cap), cap - 1);
    const text = new TextDecoder().decode(new Uint8Array(memory.buffer, piece, length).slice());
    const { code } = (statusErrors as { [status: number]: { code: ErrorRecord['code'] } | undefined })[
      status
    ] ?? { code: 'internal' };
    throw new ChordError(code, `${this.#readers[file]!.name}: ${text}`, {
      hint: code === 'invalid-gguf' ? 'the file is damaged: get it again' : undefined,
    });
  }

  // ---- rows -------------------------------------------------------------------------------------------

  /** Reads the rows that are asked for, from number `i` on, to `at`. */
  #rows(i: number, at: number): void | Promise<void> {
    const { memory, block } = this.#paged;
    const count = Atomics.load(wordsOf(this.#paged), N_ROWS);
    for (; i < count; i++) {
      const entry = new DataView(memory.buffer, block.address + LIST_AT + 24 * i, 24);
      const [file, offset, bytes] = [0, 8, 16].map((field) => entry.getFloat64(field, true)) as [
        number,
        number,
        number,
      ];
      const reading = readWhole(this.#readers[file]!, offset, new Uint8Array(memory.buffer, at, bytes));
      this.#count(bytes);
      at += bytes;
      const next = i + 1;
      const end = at;
      if (reading !== undefined) return reading.then(() => this.#rows(next, end));
    }
    for (const reader of this.#readers) checkUnchanged(reader);
    this.#answer();
  }
}
