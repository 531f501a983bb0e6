// SPDX-License-Identifier: Apache-2.0
import { ChordError, quiet } from '../errors.js';
import { gpuScript, inlineModule, inlineScript, pagingScript } from '../files.js';
import { BufferMeter } from '../load/meter.js';
import { sortSource } from '../load/source.js';
import type { ModelSource } from '../load/source.js';
import type { ByteStream } from '../load/stream.js';
import { hasWorkers, isNode } from '../platform.js';
import { CHUNKS, CHUNK_BYTES } from '../worker/protocol.js';
import type { LoadOptions, Results } from '../worker/protocol.js';
import { chooseVariant } from '../wasm/detect.js';
import { hasOwnGpu } from '../webgpu/detect.js';
import { Connection } from './connection.js';
import type { Message, OpenCall } from './connection.js';
import { keptFiles } from './kept.js';
import { LanguageModel } from './model.js';
import { checkLoadOptions } from './options.js';
import type { CheckedLoad, LoadModelOptions } from './options.js';

/**
 * Loads a GGUF model into an engine worker of its own.
 *
 * @param source A URL, a path (Node), a Blob or File, a FileSystemFileHandle, bytes, a Response or a
 *   ReadableStream. Bytes are read in slices: they are never detached and never cloned whole. Of a model in
 *   several files: a list of its files, or the URL or path of one shard; its name says where the others are.
 * @throws {ChordError} `http` and `io` for a source that can't be read; `integrity` for one that changes or
 *   has another hash; `quota` for a named cache that is full; `invalid-gguf` for a file that is no
 *   model, or is cut off; `unsupported-*`, which names what this version doesn't know; `out-of-memory`,
 *   before the data is read, with the bytes needed and available and a hint at what fits;
 *   `invalid-argument`, `no-webgpu`. After an error everything is released, and the next load works.
 * @throws The signal's `reason` when it aborts.
 */
export function loadModel(source: ModelSource, options: LoadModelOptions = {}): Promise<LanguageModel> {
  return quiet(load(source, options));
}

async function load(source: ModelSource, options: LoadModelOptions): Promise<LanguageModel> {
  const checked = checkLoadOptions(options);
  const { connection, value, meter } = await openInWorker('load', source, checked).catch((error: unknown) => {
    const isGpu = ChordError.isInstance(error) && error.code === 'no-webgpu';
    if (!isGpu || checked.record.backend !== 'auto' || !isRepeatable(source)) throw error;
    // The worker can't read bytes again, this thread can.
    return openInWorker('load', source, {
      ...checked,
      record: { ...checked.record, noGpu: `the CPU: ${error.message}` },
    });
  });
  // Otherwise the connection would hold the caller's bytes.
  if (value.info.pagedLayers === 0) connection.onRead = undefined;
  return new LanguageModel(connection, value, meter);
}

function isRepeatable(source: ModelSource): boolean {
  if (Array.isArray(source)) return source.every(isRepeatable);
  return !/^\[object (Response|ReadableStream)\]$/.test(Object.prototype.toString.call(source));
}

/** Runs `op` over a source in a new worker, which the caller ends. After an error it is ended here. */
export async function openInWorker<Op extends 'load' | 'estimate' | 'inspect' | 'download'>(
  op: Op,
  source: ModelSource,
  { record, http, worker, workerUrl, signal, onProgress }: CheckedLoad,
): Promise<{ connection: Connection; value: Results[Op]; meter: BufferMeter }> {
  signal?.throwIfAborted();
  const meter = new BufferMeter();
  let streams: readonly (ByteStream | undefined)[] = [];
  let connection: Connection | undefined;
  let fail: (error: unknown) => void = () => {};
  const failed = quiet(new Promise<never>((_, reject) => (fail = reject)));
  const onAbort = (): void => fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    // A file handle is the caller's object: its getFile() may never settle.
    const { cache = 'none' } = record;
    const kept = http.fetch === undefined ? (address: string) => keptFiles(address, cache) : undefined;
    const sorted = await Promise.race([sortSource(source, { ...http, signal, kept }), failed]);
    streams = sorted.local;
    if (sorted.remote.kind === 'files' && record.sha256 !== undefined)
      throw new ChordError('invalid-argument', 'sha256 is the hash of one file; the model has several');
    signal?.throwIfAborted();
    const inWorker = worker && hasWorkers;
    const files = await findFiles(record, inWorker);
    connection = await Connection.start(inWorker, workerUrl, files.worker);
    if (isNode && inWorker && files.record.webgpuUrl) (await import('./at-exit.js')).guard(connection);
    const most = streams.length > 1 ? 1 : CHUNKS;
    const seekable = streams;
    connection.onRead = async (file, from, bytes) => seekable[file]!.at!(from, bytes);
    const pumps = streams.map((stream, file) => stream && new Pump(stream, file, most, meter));
    const message = { op, source: sorted.remote, options: files.record } as Extract<Message, { op: Op }>;
    const call = connection.open<Op>(message, {
      onEvent(reply) {
        if (reply.type === 'taken') pumps[reply.file]?.taken(reply.buffer);
        if (reply.type !== 'progress') return;
        // An async function also calls `fail` for what the callback throws.
        (async () => onProgress?.(reply.progress))().catch(fail);
      },
    });
    for (const pump of pumps) pump?.run(call).catch(fail);
    const value = await connection.held(Promise.race([call.ended, failed]));
    return { connection, value, meter };
  } catch (error) {
    await connection?.giveUp(new ChordError('aborted', 'the load was aborted, or has failed'));
    throw error;
  } finally {
    signal?.removeEventListener('abort', onAbort);
    // Not awaited: a stream's cancel() is the caller's code and may never settle.
    for (const stream of streams) stream?.close().catch(() => {});
  }
}

/** The addresses that the caller named; for the rest, what the package holds inside. */
async function findFiles(
  record: LoadOptions,
  inWorker: boolean,
): Promise<{ record: LoadOptions; worker: string | undefined }> {
  const { backend, paging } = record;
  const mayNeedGpu = backend === 'webgpu' || (backend === 'auto' && hasOwnGpu());
  const [worker, threadUrl, webgpuUrl, pagingUrl, wasm] = await Promise.all([
    inWorker ? inlineScript('worker.js') : undefined,
    record.threadUrl ?? (inWorker ? inlineScript('thread.js') : undefined),
    mayNeedGpu ? (record.webgpuUrl ?? gpuScript()) : undefined,
    paging === 'never' ? undefined : (record.pagingUrl ?? pagingScript()),
    record.wasm ?? inlineModule(chooseVariant().variant),
  ]);
  return { record: { ...record, threadUrl, webgpuUrl, pagingUrl, wasm }, worker };
}

/**
 * Posts a local stream in slices. At most `most` slices are under way: CHUNKS of one file, one of each of
 * several files, which are all open at the same time. Their buffers come back with the
 * acknowledgement and are used again, so neither side produces garbage.
 */
class Pump {
  readonly #stream: ByteStream;
  readonly #file: number;
  readonly #most: number;
  readonly #meter: BufferMeter;
  #spare: ArrayBufferLike[] = [];
  #underWay = 0;
  #isOver = false;
  #wake: () => void = () => {};

  constructor(stream: ByteStream, file: number, most: number, meter: BufferMeter) {
    this.#stream = stream;
    this.#file = file;
    this.#most = most;
    this.#meter = meter;
  }

  /** The worker has used a slice and returns its buffer. */
  taken(buffer: ArrayBufferLike): void {
    this.#underWay -= 1;
    this.#spare.push(buffer);
    this.#wake();
  }

  /** Resolves when the stream or the load has ended. Throws what the stream throws. */
  async run(call: OpenCall<unknown>): Promise<void> {
    const stop = (): void => {
      this.#isOver = true;
      this.#spare = [];
      this.#wake();
    };
    call.ended.then(stop, stop);
    this.#meter.hold(this.#stream.aheadBytes ?? 0);
    while (!this.#isOver) {
      const chunk = await this.#stream.read();
      if (chunk === undefined) break;
      this.#meter.hold(chunk.byteLength);
      for (let at = 0; at < chunk.byteLength && !this.#isOver; at += CHUNK_BYTES)
        await this.#post(call, chunk.subarray(at, at + CHUNK_BYTES));
      this.#meter.release(chunk.byteLength);
    }
    this.#meter.release(this.#stream.aheadBytes ?? 0);
    call.post({ op: 'end', file: this.#file });
  }

  async #post(call: OpenCall<unknown>, slice: Uint8Array): Promise<void> {
    while (this.#underWay >= this.#most && !this.#isOver)
      await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#isOver) return;
    this.#underWay += 1;
    const buffer = this.#spare.pop() ?? this.#fresh();
    const bytes = new Uint8Array(buffer, 0, slice.byteLength);
    bytes.set(slice);
    call.post({ op: 'chunk', file: this.#file, bytes }, buffer instanceof ArrayBuffer ? [buffer] : []);
  }

  #fresh(): ArrayBuffer {
    this.#meter.hold(CHUNK_BYTES);
    return new ArrayBuffer(CHUNK_BYTES);
  }
}
