// SPDX-License-Identifier: Apache-2.0
// The engine worker's end of the protocol. The host answers each request once. Calls that compute run one at
// a time and in order. Text calls and counters are answered between two steps of the running call, so a
// reader may make them inside its loop. No message may crash or hang the worker.
import { wrong } from '../check.js';
import { ChordError, toErrorRecord } from '../errors.js';
import { BufferMeter } from '../load/meter.js';
import { fileName, opensAgain } from '../load/remote.js';
import type { RemoteFile } from '../load/remote.js';
import { atRandom, whyNotAtRandom } from '../store/at-random.js';
import { checked, openSource } from '../store/open.js';
import { TemplateEngine } from '../template/engine.js';
import { describe, describeTemplates } from '../wasm/describe.js';
import { Pace } from '../wasm/pace.js';
import { endGpu, gpuIsQuiet } from '../webgpu/chunk.js';
import { Call } from './call.js';
import { downloadFiles } from './download.js';
import { estimateEngine, inspectEngine, loadEngine } from './load.js';
import type { LoadJob } from './job.js';
import { callOf, parseRequest } from './protocol.js';
import type { ModelCounters, Reply, Request, Results } from './protocol.js';
import { PushedReads, PushedStream } from './pushed.js';
import { Cancelled, Runner } from './runner.js';
import type { LoadedEngine } from './runner.js';

type Requested<Op extends Request['op']> = Extract<Request, { op: Op }>;

/**
 * Calls that compute, or that need a session in which nothing computes. They run one at a time and in order.
 */
type Queued =
  'logits' | 'embed' | 'generate' | 'fork-session' | 'close-session' | 'save-session' | 'restore-session';
const queued: ReadonlySet<string> = new Set<Queued>([
  'logits',
  'embed',
  'generate',
  'fork-session',
  'close-session',
  'save-session',
  'restore-session',
]);

/**
 * Milliseconds that a call waits behind a generation whose reader reads nothing, before the call is refused.
 */
const BUSY_MS = 2000;

/** Milliseconds that a step on the GPU should take: the page draws its frames between two steps. */
const GPU_STEP_MS = 10;

export interface HostOptions {
  /** Milliseconds that a step on the CPU should take: 20 in the engine worker, 10 in the caller's thread. */
  readonly stepMs: number;
  /** Whether this thread may start a pool and wait for it. A page's main thread may not. */
  readonly mayThread: boolean;
}

export class EngineHost {
  readonly #post: (reply: Reply, transfer?: Transferable[]) => void;
  readonly #options: HostOptions;
  readonly #calls = new Map<number, Call>();
  readonly #queue: { call: Call; since: number; run: () => Promise<Results[keyof Results]> }[] = [];
  readonly #meter = new BufferMeter();
  readonly #idle: (() => void)[] = [];
  readonly #reads = new PushedReads((reply) => this.#post(reply));
  #running: Call | undefined;
  #patience: ReturnType<typeof setTimeout> | undefined;
  #isLoading = false;
  #isDisposed = false;
  #bytesRead = 0;
  /** The streams of files that the client pushes, by the number of their call. */
  readonly #pushed = new Map<number, readonly (PushedStream | undefined)[]>();
  #loaded: LoadedEngine | undefined;
  #runner: Runner | undefined;
  #templates: TemplateEngine | undefined;

  constructor(post: (reply: Reply, transfer?: Transferable[]) => void, options: HostOptions) {
    this.#post = post;
    this.#options = options;
  }

  /** Handles any message. Never throws. */
  handle(message: unknown): void {
    let request: Request;
    try {
      request = parseRequest(message);
    } catch (error) {
      return this.#refuse(callOf(message), error);
    }
    switch (request.op) {
      case 'chunk':
        return this.#pushedFile(request)?.push(request.bytes);
      case 'end':
        return this.#pushedFile(request)?.end();
      case 'fail':
        return this.#pushedFile(request)?.fail(request.error);
      case 'bytes':
        return this.#reads.take(request.call, request.bytes);
      case 'taken':
        return this.#calls.get(request.call)?.take(request.count);
      case 'pong':
        return this.#watch(request.call);
      case 'cancel':
        return this.#calls.get(request.call)?.cancel();
      default:
        return this.#open(request);
    }
  }

  #open(
    request: Requested<
      | 'load'
      | 'download'
      | 'estimate'
      | 'inspect'
      | 'tokenize'
      | 'render'
      | 'detokenize'
      | Queued
      | 'open-session'
      | 'counters'
      | 'profile'
      | 'dispatches'
      | 'dispose'
    >,
  ): void {
    if (this.#calls.has(request.call))
      return this.#refuse(
        undefined,
        new ChordError('invalid-argument', `call ${request.call} is under way already`),
      );
    const call = new Call<Request>(request, this.#post);
    this.#calls.set(call.id, call);
    if (request.op === 'restore-session')
      this.#pushed.set(call.id, [this.#openPushed(call, savedSession, 0)]);
    if (request.op === 'close-session') this.#stop(call, request.session);
    if (queued.has(request.op)) this.#enqueue(call);
    else void this.#answer(call, () => this.#serve(call));
  }

  /**
   * Answers a message that can't be handled. The answer has number -1 if the message opens no call, or if
   * its number belongs to a call under way, which gets its own answer.
   */
  #refuse(call: number | undefined, error: unknown): void {
    const isOwn = call !== undefined && !this.#calls.has(call);
    this.#post({ type: 'failed', call: isOwn ? call : -1, error: toErrorRecord(error) });
  }

  async #serve(call: Call): Promise<Results[keyof Results]> {
    const { request } = call;
    switch (request.op) {
      case 'load':
      case 'estimate':
      case 'inspect':
        return this.#load(call, request);
      case 'download':
        return this.#download(call as Call<Requested<'download'>>);
      case 'tokenize':
        return this.#work().tokenize(call as Call<Requested<'tokenize'>>);
      case 'render':
        this.#work();
        if (request.module !== undefined) this.#templates ??= new TemplateEngine(request.module);
        if (this.#templates === undefined) wrong('module', undefined, "the template engine's");
        return this.#templates.render(request, call.signal);
      case 'detokenize':
        return this.#work().detokenize(call as Call<Requested<'detokenize'>>);
      case 'counters':
        return this.#counters();
      case 'profile':
        return this.#work().engine.executor.profile?.() ?? this.#work().engine.profile.read();
      case 'dispatches':
        return (await this.#work().engine.executor.dispatches?.()) ?? [];
      case 'open-session':
        return this.#work().openSession();
      case 'fork-session':
        return this.#work().forkSession(call as Call<Requested<'fork-session'>>);
      case 'close-session':
        return this.#work().closeSession(request.session);
      case 'save-session':
        return this.#work().saveSession(call as Call<Requested<'save-session'>>);
      case 'restore-session':
        return this.#work().restoreSession(
          call as Call<Requested<'restore-session'>>,
          this.#pushed.get(call.id)![0]!,
        );
      case 'dispose':
        return this.#dispose(call as Call<Requested<'dispose'>>);
      case 'logits':
        return this.#work().logits(call as Call<Requested<'logits'>>);
      case 'embed':
        return this.#work().embed(call as Call<Requested<'embed'>>);
      case 'generate':
        return this.#work().generate(call as Call<Requested<'generate'>>);
      default:
        throw new ChordError('internal', `${request.op} doesn't open a call`);
    }
  }

  /** Runs a call and posts its one answer. */
  async #answer(call: Call, run: () => Promise<Results[keyof Results]>): Promise<void> {
    let reply: Reply;
    try {
      const value = await run();
      if (call.signal.reason instanceof ChordError) throw new Cancelled();
      reply = { type: 'result', call: call.id, value };
    } catch (error) {
      // A cancelled call is answered as `aborted` or `disposed`, unless it failed with `internal`.
      const isStopped =
        error instanceof Cancelled ||
        (call.signal.aborted && !(ChordError.isInstance(error) && error.code === 'internal'));
      const why: unknown = this.#isDisposed ? modelDisposed() : call.signal.reason;
      const stopped = why instanceof ChordError ? why : new ChordError('aborted', 'the call was cancelled');
      reply = { type: 'failed', call: call.id, error: toErrorRecord(isStopped ? stopped : error) };
    }
    this.#calls.delete(call.id);
    this.#pushed.delete(call.id);
    this.#post(reply);
  }

  /** Stops the calls of a session that will be closed. */
  #stop(own: Call, session: number): void {
    for (const call of this.#calls.values())
      if (call !== own && (call.request as { session?: number }).session === session && session > 0)
        call.cancel(new ChordError('disposed', 'the session was disposed of'));
  }

  // ---- the queue --------------------------------------------------------------------------------------

  #enqueue(call: Call): void {
    this.#queue.push({ call, since: performance.now(), run: () => this.#serve(call) });
    call.onPause = () => this.#watch();
    call.signal.addEventListener('abort', () => {
      const at = this.#queue.findIndex((entry) => entry.call === call);
      if (at < 0) return; // the call runs, or has run
      this.#queue.splice(at, 1);
      void this.#answer(call, () => Promise.reject(new Cancelled()));
    });
    this.#watch();
    void this.#drain();
  }

  async #drain(): Promise<void> {
    if (this.#running !== undefined) return;
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#running = next.call;
      await this.#answer(next.call, next.run);
    }
    this.#running = undefined;
    this.#watch(); // stops the timer: no call waits
    this.#onIdle();
  }

  /**
   * Starts, restarts or stops the timer that refuses a waiting call. A call inside the loop over a
   * generation would wait for ever: the call waits for the generation, the generation for its reader, and
   * the reader for the call. So the first waiting call is refused when the reader has read nothing for
   * BUSY_MS.
   *
   * The client's thread may have been blocked in that time. So the host posts a `ping` first, and refuses
   * the waiting call when the `pong` comes. The client posts `taken` for everything it has read before the
   * `pong`. `ponged`: the call of the `pong`.
   */
  #watch(ponged?: number): void {
    clearTimeout(this.#patience);
    const running = this.#running;
    const [waiting] = this.#queue;
    if (running?.pausedAt === undefined || waiting === undefined) return;
    const left = Math.max(running.pausedAt, waiting.since) + BUSY_MS - performance.now();
    if (left > 0 || ponged !== running.id) {
      this.#patience = setTimeout(() => this.#post({ type: 'ping', call: running.id }), Math.max(left, 0));
      return;
    }
    this.#queue.shift();
    void this.#answer(waiting.call, () => Promise.reject(busy(waiting.call.request.op, running.request.op)));
    this.#watch();
  }

  /** Wakes `#dispose`, which waits until nothing runs or loads. */
  #onIdle(): void {
    for (const wake of this.#idle.splice(0)) wake();
  }

  #work(): Runner {
    if (this.#isDisposed) throw modelDisposed();
    if (this.#runner === undefined) throw new ChordError('invalid-argument', 'no model is loaded');
    return this.#runner;
  }

  // ---- load and dispose -------------------------------------------------------------------------------

  async #load(
    call: Call,
    request: Requested<'load' | 'estimate' | 'inspect'>,
  ): Promise<Results['load' | 'estimate' | 'inspect']> {
    if (this.#isDisposed) throw modelDisposed();
    if (this.#isLoading || this.#loaded !== undefined)
      throw new ChordError('busy', 'a model is loaded already');
    this.#isLoading = true;
    const { source } = request;
    const files = source.kind === 'files' ? source.files : [source];
    const streams = files.map((file, i) => this.#openPushed(call, file, i)); // before any await
    this.#pushed.set(call.id, streams);
    try {
      const job: LoadJob = {
        options: request.options,
        signal: call.signal,
        meter: this.#meter,
        mayThread: this.#options.mayThread,
        files: files.map((file, i) => ({
          name: fileName(file),
          isPushed: file.kind === 'pushed',
          opensAgain: () => opensAgain(file),
          whyNotAtRandom: () => whyNotAtRandom(file, request.options.cache),
          atRandom: async () =>
            file.kind === 'pushed' ? this.#reads.of(file, i) : atRandom(file, request.options.cache),
          open: (signal) =>
            file.kind === 'pushed'
              ? checked(streams[i]!, request.options.sha256)
              : openSource(file, request.options, signal, request.op !== 'load'),
        })),
        onBytes: (bytes) => (this.#bytesRead += bytes),
        onProgress: (progress) => this.#post({ type: 'progress', call: call.id, progress }),
      };
      if (request.op === 'estimate') return await estimateEngine(job);
      if (request.op === 'inspect') return await inspectEngine(job);
      const loaded = await loadEngine(job);
      this.#loaded = loaded;
      const { stepMs } = this.#options;
      const pace = new Pace(
        loaded.engine.executor.name === 'webgpu' ? Math.min(stepMs, GPU_STEP_MS) : stepMs,
      );
      this.#runner = new Runner(loaded, pace);
      return describeLoaded(loaded);
    } finally {
      this.#isLoading = false;
      this.#onIdle();
    }
  }

  /** A download counts as a load: `dispose` waits for it. */
  async #download({ id, signal, request }: Call<Requested<'download'>>): Promise<Results['download']> {
    if (this.#isDisposed) throw modelDisposed();
    if (this.#isLoading) throw new ChordError('busy', 'a model is loaded or downloaded already');
    this.#isLoading = true;
    try {
      return await downloadFiles(request.source, request.options, signal, (progress) =>
        this.#post({ type: 'progress', call: id, progress }),
      );
    } finally {
      this.#isLoading = false;
      this.#onIdle();
    }
  }

  #openPushed(call: Call, source: RemoteFile, file: number): PushedStream | undefined {
    if (source.kind !== 'pushed') return undefined;
    const stream = new PushedStream(source, ({ byteLength, buffer }) =>
      this.#post(
        { type: 'taken', call: call.id, file, bytes: byteLength, buffer },
        buffer instanceof ArrayBuffer ? [buffer] : [],
      ),
    );
    call.signal.addEventListener('abort', () => stream.stop(call.signal.reason));
    return stream;
  }

  #pushedFile({ call, file }: { call: number; file: number }): PushedStream | undefined {
    return this.#pushed.get(call)?.[file];
  }

  #counters(): ModelCounters {
    const runner = this.#work();
    return {
      ...runner.counters,
      bytesRead: this.#bytesRead,
      bytesUploaded: this.#loaded!.bytesUploaded,
      kvPages: runner.kvPages,
      wasmBytes: runner.engine.instance.heap.size,
      bufferBytesPeak: this.#meter.peak,
      bytesPaged: this.#loaded!.paging?.pager.bytesRead ?? 0,
      pagingWaits: this.#loaded!.paging?.pager.waits ?? 0,
      ...(runner.engine.executor.counters ?? noGpu),
    };
  }

  /**
   * Cancels all calls, waits until none runs or loads, then frees the memory and ends the pool's threads.
   */
  async #dispose(own: Call<Requested<'dispose'>>): Promise<null> {
    const { isClosed } = own.request;
    if (isClosed !== undefined) endGpu();
    this.#isDisposed = true;
    this.#reads.stop(modelDisposed());
    const others = [...this.#calls.values()].filter((call) => call !== own && call.request.op !== 'dispose');
    for (const call of others) call.cancel(modelDisposed());
    // What the GPU was asked, a step and those ahead of it, fails at once.
    const executor = this.#loaded?.engine.executor;
    if (executor?.name === 'webgpu') executor.free();
    while (this.#running !== undefined || this.#isLoading)
      await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#loaded?.engine.free();
    await this.#loaded?.pool?.stop();
    await this.#loaded?.paging?.stop();
    this.#loaded = undefined;
    this.#runner = undefined;
    if (this.#options.mayThread) await gpuIsQuiet(); // this worker is ended now
    if (isClosed !== undefined) {
      Atomics.store(isClosed, 0, 1);
      Atomics.notify(isClosed, 0);
    }
    return null;
  }
}

const noGpu = { gpuDispatches: 0, gpuBytes: 0, gpuBytesRead: 0, submits: 0, submitsAhead: 0, readbacks: 0 };

const savedSession = {
  kind: 'pushed',
  name: 'the saved session',
  phase: 'read',
  totalBytes: undefined,
} as const;

const modelDisposed = (): ChordError => new ChordError('disposed', 'the model was disposed of');

function busy(waiting: string, running: string): ChordError {
  return new ChordError(
    'busy',
    `${waiting} waits behind a ${running} whose reader has read nothing for ${BUSY_MS / 1000} s`,
    {
      hint: "inside the loop over a run, a call that computes waits for that run: before the call, read the run to its end, leave the loop, or call the run's return()",
    },
  );
}

function describeLoaded(loaded: LoadedEngine): Results['load'] {
  const { engine, compiled, why, reason, pagingReason } = loaded;
  return {
    info: describe(engine, compiled, why, reason, pagingReason),
    templates: describeTemplates(engine),
  };
}
