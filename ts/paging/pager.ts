// SPDX-License-Identifier: Apache-2.0
// The computing thread's end of paging: what a step does when weights aren't there. With an I/O worker it
// waits a little and lets the event loop turn; without one it reads a piece itself. Either way the step ends
// soon, so a cancel arrives, and the next step goes on where this one stopped.
import { ChordError } from '../errors.js';
import type { ErrorRecord } from '../errors.js';
import {
  FAILED,
  FAULT,
  IDLE,
  LIST_AT,
  PageLoader,
  MOST_ROWS,
  N_ROWS,
  STATE,
  WANTED,
  bytesReadOf,
  forgetBytesRead,
  missingAt,
  rowsAt,
  takeFault,
  wordsOf,
} from './layers.js';
import type { PagedModel, PagingExports } from './layers.js';
import type { RandomReader } from './reader.js';

/** Bytes of a matrix that the fingerprint of saves has, as in save.c. */
const SAMPLE = 256;
/** Milliseconds after which a step that waits or reads ends. */
const STEP_MS = 20;

/** A tensor of which rows are read when a batch names them. */
export interface LazyTensor {
  readonly file: number;
  readonly offset: number;
  readonly rowBytes: number;
}

/** Bytes of a file of the model. */
interface Place {
  readonly file: number;
  readonly offset: number;
  readonly bytes: number;
}

interface SessionExports extends PagingExports {
  session_lazy_rows(s: number, triples: number, cap: number): number;
  session_load_row(s: number, tensor: number, row: number, bytes: number, n: number): number;
}

/** Where a step finds the weights that it lacks (WasmInstance.weights). */
export class Pager {
  readonly #paged: PagedModel;
  readonly #exports: SessionExports;
  readonly #lazy: ReadonlyMap<number, LazyTensor>;
  readonly #check: (status: number) => number;
  /** Reads in this thread; undefined: the I/O worker does. */
  #own: { readonly loader: PageLoader; readonly readers: readonly RandomReader[] } | undefined;
  /** A read of this thread that hasn't ended. */
  #underWay: Promise<boolean> | undefined;
  /** The rows that the loader was asked for last, as #missing() names them. */
  #asked: Int32Array = new Int32Array();
  #last: ErrorRecord | undefined;
  /** Why the I/O worker is gone. */
  fault: ChordError | undefined;
  waits = 0;

  constructor(
    paged: PagedModel,
    exports: SessionExports,
    lazy: ReadonlyMap<number, LazyTensor>,
    check: (status: number) => number,
  ) {
    this.#paged = paged;
    this.#exports = exports;
    this.#lazy = lazy;
    this.#check = check;
  }

  /** Reads with `readers` in this thread from now on. */
  useReaders(readers: readonly RandomReader[]): void {
    this.#own = { readers, loader: new PageLoader(this.#paged, this.#exports, readers) };
  }

  get bytesRead(): number {
    return bytesReadOf(this.#paged);
  }

  /** The count of pages that have come. Read before a step, it says whether one has come since. */
  seen(): number {
    return Atomics.load(this.#words(), 0);
  }

  #words(): Int32Array {
    return new Int32Array(this.#paged.memory.buffer, this.#paged.word, 2);
  }

  /** Throws the error of the file, if a step has failed with `status` because a page couldn't be read. */
  throwFault(status: number): void {
    const record = takeFault(this.#paged);
    // A page's error may have been taken with a row's.
    if (record === undefined && (status !== FAILED || this.#last === undefined)) return;
    throw ChordError.from((this.#last = record ?? this.#last!));
  }

  /**
   * Waits for `layer`, or for rows if it is -1, at most about STEP_MS. `seen`: the count before the step that
   * lacks it. Throws what reading has thrown.
   */
  async wait(session: number, layer: number, seen: number): Promise<void> {
    this.waits += 1;
    if (layer < 0) return this.#rows(session);
    await this.#until(
      () => this.seen() !== seen,
      () => sleep(this.#words(), 0, seen),
    );
  }

  /** Waits, or reads in this thread, until `isThere`, at most about STEP_MS. */
  async #until(isThere: () => boolean, wait: () => Promise<void>): Promise<void> {
    if (this.fault !== undefined) throw this.fault;
    if (this.#own === undefined) return isThere() ? undefined : wait();
    const end = performance.now() + STEP_MS;
    while (!isThere() && performance.now() < end) {
      const step = this.#underWay ?? this.#own.loader.step();
      if (step === false) return;
      if (step === true) continue;
      // A read that hangs must not hold a cancel: the next step waits for it again.
      this.#underWay = step;
      const ended = step.then(() => (this.#underWay = undefined));
      await Promise.race([ended, atMost(STEP_MS)]);
    }
  }

  /**
   * Asks for the missing rows of the batch, as many as go at once. Rows that came for another batch, which
   * was given up, are asked for again.
   */
  async #rows(session: number): Promise<void> {
    const words = wordsOf(this.#paged);
    const isThere = (): boolean => Atomics.load(words, STATE) === IDLE;
    const wait = (): Promise<void> => this.#until(isThere, () => sleep(words, STATE, WANTED));
    if (!isThere()) await wait();
    if (!isThere()) return;
    const missing = this.#missing(session);
    if (this.#asked.join() !== missing.join()) {
      this.#ask(missing);
      await wait();
      if (!isThere()) return;
    }
    this.#asked = new Int32Array();
    this.throwFault(0);
    for (let i = 0, from = rowsAt(this.#paged); i < missing.length; i += 3) {
      const [tensor, row] = missing.subarray(i) as unknown as [number, number];
      const { rowBytes } = this.#lazy.get(tensor)!;
      this.#check(this.#exports.session_load_row(session, tensor, row, from, rowBytes));
      from += rowBytes;
    }
  }

  /** Tensor, row and id of the rows that the batch lacks, as many as the block holds. */
  #missing(session: number): Int32Array {
    const at = missingAt(this.#paged);
    const n = Math.min(this.#check(this.#exports.session_lazy_rows(session, at, MOST_ROWS)), MOST_ROWS);
    const missing = new Int32Array(this.#paged.memory.buffer, at, 3 * n).slice();
    let count = 0;
    for (let bytes = 0; count < n; count++)
      if ((bytes += this.#lazy.get(missing[3 * count]!)!.rowBytes) > this.#paged.block.rowsBytes) break;
    return missing.subarray(0, 3 * count);
  }

  #ask(missing: Int32Array): void {
    const places: Place[] = [];
    for (let i = 0; i < missing.length; i += 3) {
      const { file, offset, rowBytes } = this.#lazy.get(missing[i]!)!;
      places.push({ file, offset: offset + missing[i + 2]! * rowBytes, bytes: rowBytes });
    }
    this.#asked = missing;
    this.#read(places);
  }

  /** Asks the loader for bytes of the files, at most MOST_ROWS places and what the block holds. */
  #read(places: readonly Place[]): void {
    const { memory, block } = this.#paged;
    const list = new DataView(memory.buffer, block.address + LIST_AT);
    places.forEach(({ file, offset, bytes }, i) => {
      list.setFloat64(24 * i, file, true);
      list.setFloat64(24 * i + 8, offset, true);
      list.setFloat64(24 * i + 16, bytes, true);
    });
    const words = wordsOf(this.#paged);
    Atomics.store(words, FAULT, 0);
    Atomics.store(words, N_ROWS, places.length);
    Atomics.store(words, STATE, WANTED);
    Atomics.add(this.#words(), 1, 1);
    Atomics.notify(this.#words(), 1);
  }

  /**
   * Reads the first bytes of each matrix that isn't in memory, for the fingerprint of saves, and calls `tell`
   * with them. Called once, before the first step. Throws what reading throws, and the signal's reason.
   */
  async sample(tell: (tensor: number, bytes: Uint8Array) => void, signal: AbortSignal): Promise<void> {
    const { memory, block, tensors } = this.#paged;
    const all = [...tensors, ...[...this.#lazy].map(([index, tensor]) => ({ index, ...tensor }))].map(
      ({ index, file, offset, rowBytes }) => ({
        index,
        file,
        offset,
        bytes: Math.min(rowBytes, SAMPLE),
      }),
    );
    const words = wordsOf(this.#paged);
    const isThere = (): boolean => Atomics.load(words, STATE) === IDLE;
    const atOnce = Math.min(MOST_ROWS, Math.floor(block.rowsBytes / SAMPLE));
    for (let i = 0; i < all.length; i += atOnce) {
      const places = all.slice(i, i + atOnce);
      this.#read(places);
      while (!isThere()) {
        await this.#until(isThere, () => sleep(words, STATE, WANTED));
        signal.throwIfAborted();
      }
      this.throwFault(0);
      let at = rowsAt(this.#paged);
      for (const { index, bytes } of places) {
        tell(index, new Uint8Array(memory.buffer, at, bytes).slice());
        at += bytes;
      }
    }
    forgetBytesRead(this.#paged);
  }

  /** Closes what this thread has open. The I/O worker closes its files when the model stops. */
  close(): void {
    for (const reader of this.#own?.readers ?? []) reader.close();
  }
}

const atMost = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

type WaitAsync = (
  words: Int32Array,
  index: number,
  value: number,
  ms: number,
) => { readonly async: boolean; readonly value: unknown };

/** Sleeps while `words[index]` is `value`, at most STEP_MS; the event loop turns meanwhile. */
async function sleep(words: Int32Array, index: number, value: number): Promise<void> {
  const { waitAsync } = Atomics as { waitAsync?: WaitAsync };
  if (waitAsync !== undefined) return void (await waitAsync(words, index, value, STEP_MS).value);
  for (let ms = 0; ms < STEP_MS && Atomics.load(words, index) === value; ms++) await atMost(1);
}
