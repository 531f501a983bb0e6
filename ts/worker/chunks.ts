// SPDX-License-Identifier: Apache-2.0
// A file of a load, chunk by chunk.
import { ChordError } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { checkStart } from '../load/http.js';
import type { ByteStream } from '../load/stream.js';
import { nextTurn } from '../platform.js';
import type { Loader } from '../wasm/loader.js';
import type { Sink } from '../webgpu/load.js';
import type { JobFile, LoadJob } from './job.js';

/** The event loop turns at least once per TURN_BYTES, so that a cancel arrives while chunks are ready. */
const TURN_BYTES = 1 << 20;
/** Fewer bytes that aren't needed are read. */
const SKIP_BYTES = 1 << 20;

/**
 * The chunks of a file. The end of the header and the first data may be in one chunk. A shard behind the
 * first is closed when its header is complete, and opened again for its data: many open requests would block
 * each other. A pushed file stays open, and one that must be read to its end: a download that is kept.
 */
export class Chunks {
  readonly name: string;
  totalBytes: number | undefined;
  readonly #file: JobFile;
  readonly #job: LoadJob;
  readonly #report: () => void;
  #stream: ByteStream | undefined;
  #chunk: Uint8Array = new Uint8Array();
  #offset = 0;
  #sinceTurn = 0;
  #kept: Uint8Array[] | undefined;
  #isRequired = false;
  /** Whether the source has failed: the bytes before may be right. */
  isBroken = false;
  /** Bytes of the file that have arrived. */
  loaded = 0;

  constructor(file: JobFile, job: LoadJob, report: () => void) {
    this.name = file.name;
    this.#file = file;
    this.#job = job;
    this.#report = report;
  }

  /** Keeps the header's bytes from now on, for headerAgain(). */
  keep(): void {
    this.#kept = [];
  }

  /** Pushes the header to another loader. */
  headerAgain(loader: Loader, file: number): void {
    if (this.totalBytes !== undefined) loader.setFileBytes(this.totalBytes);
    let offset = 0;
    for (const chunk of [...(this.#kept ?? []), this.#chunk]) {
      loader.push(offset, chunk, file);
      offset += chunk.byteLength;
    }
  }

  forget(): void {
    for (const { byteLength } of this.#kept ?? []) this.#job.meter.hold(-byteLength);
    this.#kept = undefined;
  }

  /** Keeps the present chunk, whose memory the source uses again. */
  #copy(): void {
    if (this.#kept === undefined || this.#chunk.byteLength === 0) return;
    this.#kept.push(this.#chunk.slice());
    this.#job.meter.hold(this.#chunk.byteLength);
  }

  /** A paged model will read the stored copy. */
  require(): void {
    this.#isRequired = true;
    this.#stream?.require?.();
  }

  begin(stream: ByteStream): void {
    this.#stream = stream;
    if (this.#isRequired) stream.require?.();
    this.totalBytes = stream.totalBytes;
    this.#hold(stream.aheadBytes ?? 0);
    stream.watch?.((loaded) => this.#arrived(loaded));
  }

  #arrived(loaded: number): void {
    this.loaded = Math.max(loaded, this.loaded);
    this.#report();
  }

  async header(loader: Loader, file: number): Promise<void> {
    if (this.#stream === undefined) this.begin(await this.#file.open(this.#job.signal));
    if (this.totalBytes !== undefined) loader.setFileBytes(this.totalBytes);
    await this.#until(loader, file);
    if (file > 0 && !this.#file.isPushed && !this.#stream?.mustEnd) {
      this.#copy();
      await this.close();
    }
  }

  async data(sink: Sink, file: number): Promise<void> {
    if (this.#stream === undefined) this.begin(await this.#file.open(this.#job.signal));
    await this.#until(sink, file);
    await this.finish();
  }

  /** Closes the file, and reads the bytes behind the model before if something depends on them. */
  async finish(): Promise<void> {
    const stream = this.#stream;
    if (stream?.mustEnd) while (await this.#next(stream)) continue;
    await this.close();
  }

  drop(code: ChordErrorCode): void {
    this.#stream?.drop?.(code);
  }

  async close(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#hold(-this.#chunk.byteLength - (stream.aheadBytes ?? 0));
    this.#stream = undefined;
    this.#chunk = new Uint8Array();
    this.#offset = 0;
    await stream.close();
  }

  #hold(bytes: number): void {
    if (!this.#file.isPushed) this.#job.meter.hold(bytes);
  }

  /**
   * Pushes chunks until the header or the data is complete. Throws `invalid-gguf` if the file ends before.
   */
  async #until(sink: Sink, file: number): Promise<void> {
    while (!(await sink.push(this.#offset, this.#chunk, file))) {
      this.#skip(sink.position ?? 0);
      if (await this.#next(this.#stream!)) continue;
      sink.end();
      throw new ChordError('invalid-gguf', 'the file ends before its model is complete');
    }
  }

  /** Leaves out the bytes before `to`, where the source can and they are many: layers that are paged. */
  #skip(to: number): void {
    const stream = this.#stream!;
    if (stream.skip === undefined || to - this.#offset - this.#chunk.byteLength < SKIP_BYTES) return;
    stream.skip(to);
    this.#hold(-this.#chunk.byteLength);
    this.#chunk = new Uint8Array();
    this.#offset = to;
  }

  /** Reads the next chunk. Returns false at the end of the source. */
  async #next(stream: ByteStream): Promise<boolean> {
    this.#copy();
    this.#hold(-this.#chunk.byteLength);
    this.#offset += this.#chunk.byteLength;
    this.#sinceTurn += this.#chunk.byteLength;
    this.#chunk = new Uint8Array();
    if (this.#sinceTurn >= TURN_BYTES) await nextTurn();
    if (this.#sinceTurn >= TURN_BYTES) this.#sinceTurn = 0;
    this.isBroken = true;
    const chunk = await stream.read();
    this.isBroken = false;
    this.#job.signal.throwIfAborted();
    if (chunk === undefined) return false;
    if (this.#offset === 0) checkStart(chunk, this.name);
    this.#hold(chunk.byteLength);
    this.#job.onBytes(chunk.byteLength);
    if (stream.watch === undefined) this.#arrived(this.#offset + chunk.byteLength);
    this.#chunk = chunk;
    return true;
  }
}
