// SPDX-License-Identifier: Apache-2.0
// The client's end of the protocol: call numbers and pending answers. It also keeps a Node process alive
// while a caller awaits a promise of this package.
import { ChordError, isErrorRecord, toErrorRecord } from '../errors.js';
import { isInline } from '../files.js';
import { atMost, isNode, isPrebundled, nextTurn, startWorker } from '../platform.js';
import type { Peer } from '../platform.js';
import type { Reply, Request, Results } from '../worker/protocol.js';

type WithoutCall<R> = R extends unknown ? Omit<R, 'call'> : never;
export type Message = WithoutCall<Request>;

/** Events of a call before its end. */
export interface CallEvents {
  onEvent?(reply: Exclude<Reply, { type: 'result' | 'failed' }>): void;
}

/** A call that has started. */
export interface OpenCall<T> {
  readonly id: number;
  /** Settles once, when the worker has ended the call. It causes no unhandled rejection. */
  readonly ended: Promise<T>;
  post(message: Message, transfer?: Transferable[]): void;
}

/**
 * Maximum time in which a disposed worker closes files and pool workers, before it is terminated. The limit
 * is long because on a busy machine the worker may not have started yet.
 */
const LET_GO_MS = 30_000;
/** Maximum time that `giveUp` waits for the worker to close before it resolves. */
const GIVE_UP_MS = 2000;
/** In a browser: time that the pool workers get to close before the engine worker is terminated. */
const CLOSING_MS = 200;

interface Pending {
  readonly resolve: (value: never) => void;
  readonly reject: (error: unknown) => void;
  readonly events: CallEvents;
}

export class Connection {
  readonly #peer: Peer;
  readonly #pending = new Map<number, Pending>();
  #next = 0;
  #holds = 0;
  #closed: ChordError | undefined;
  #hasSpoken = false;
  /** Reads the sources of a paged model that this thread has; undefined: it has none. */
  onRead: ((file: number, from: number, bytes: number) => Promise<Uint8Array>) | undefined;

  /** Is called when the worker ends, or before. */
  onEnd: (() => void) | undefined;

  /** `url`: the address that the caller named for the worker. */
  constructor(peer: Peer, url?: string) {
    this.#peer = peer;
    peer.listen(
      (message) => this.#receive(message as Reply),
      // The worker's first message comes when it has loaded its script.
      (cause) => {
        this.#close(this.#hasSpoken ? died(cause) : cantStart(cause, url));
        this.onEnd?.();
      },
    );
    peer.hold(false);
  }

  /**
   * Starts an engine worker from `url`, or from the package's own file, at `own` if that is inside the
   * JavaScript, or (`inWorker` false) a host in this thread.
   */
  static async start(
    inWorker: boolean,
    url: string | undefined,
    own: string | undefined,
  ): Promise<Connection> {
    if (!inWorker) return new Connection(await localPeer());
    try {
      const web = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
      return new Connection(await startWorker('worker.js', web, url ?? own), url);
    } catch (cause) {
      throw cantStart(cause, url);
    }
  }

  /** Opens a call. `ended` resolves to the answer. */
  open<Op extends keyof Results>(
    message: Extract<Message, { op: Op }>,
    events: CallEvents = {},
    transfer?: Transferable[],
  ): OpenCall<Results[Op]> {
    const id = this.#next++;
    const ended = new Promise<Results[Op]>((resolve, reject) => {
      if (this.#closed !== undefined) return reject(ChordError.from(this.#closed));
      this.#pending.set(id, { resolve: resolve as (value: never) => void, reject, events });
      this.#peer.post({ ...message, call: id }, transfer);
    });
    ended.catch(() => {});
    const post = (more: Message, transfer?: Transferable[]): void => {
      if (this.#closed === undefined && this.#pending.has(id))
        this.#peer.post({ ...more, call: id }, transfer);
    };
    return { id, ended, post };
  }

  /** A call without events. */
  request<Op extends keyof Results>(message: Extract<Message, { op: Op }>): Promise<Results[Op]> {
    return this.held(this.open<Op>(message).ended);
  }

  /** Keeps a Node process alive while `promise` is pending. */
  held<T>(promise: Promise<T>): Promise<T> {
    if (this.#holds++ === 0) this.#peer.hold(true);
    const held = promise.finally(() => {
      if (--this.#holds === 0) this.#peer.hold(false);
    });
    held.catch(() => {});
    return held;
  }

  /**
   * Ends the worker, which must have handled `dispose`. Pending and later calls fail with `error`. In a
   * browser the worker ends later, and `end` doesn't wait for that: Chromium leaves a worker and its pool
   * workers running when they are terminated within a millisecond of each other.
   */
  async end(error: ChordError): Promise<void> {
    this.#close(error);
    this.onEnd?.();
    // Calls that end now release their hold on the process, so `end` holds the process.
    if (isNode) await this.held(this.#peer.end());
    else setTimeout(() => void this.#peer.end(), CLOSING_MS);
  }

  /**
   * Fails the pending calls, tells the worker to close everything, and then ends the worker. In Node a worker
   * that is terminated during a read, or during its own start, leaks descriptors. Resolves when the worker
   * has closed everything, or after GIVE_UP_MS; a slower worker is ended in the background.
   */
  async giveUp(error: ChordError): Promise<void> {
    const isAlive = this.#closed === undefined;
    this.#close(error);
    const ending = (isAlive ? atMost(LET_GO_MS, this.#letGo()) : Promise.resolve()).then(() =>
      this.end(error),
    );
    await this.held(atMost(GIVE_UP_MS, ending));
  }

  /** Tells the worker to close everything. The number becomes 1 when it has. */
  closeNow(): Int32Array {
    const isClosed = new Int32Array(new SharedArrayBuffer(4));
    this.#peer.post({ op: 'dispose', call: this.#next++, isClosed });
    return isClosed;
  }

  #letGo(): Promise<void> {
    const call = this.#next++;
    return new Promise((resolve, reject) => {
      this.#pending.set(call, { resolve: () => resolve(), reject, events: {} });
      this.#peer.post({ op: 'dispose', call });
    });
  }

  get isClosed(): boolean {
    return this.#closed !== undefined;
  }

  #close(error: ChordError): void {
    this.#closed ??= error;
    // Each call gets an error of its own, with the frames of its caller.
    for (const { reject } of this.#pending.values()) reject(ChordError.from(this.#closed));
    this.#pending.clear();
  }

  /** Answers a read with bytes, which travel as a copy, or with the error. */
  async #read({ call, file, from, bytes }: Extract<Reply, { type: 'read' }>): Promise<void> {
    const read = (async () => this.onRead?.(file, from, bytes))();
    const answer = await read.then(
      (found) => (found === undefined ? new Uint8Array() : Uint8Array.from(found)),
      (error: unknown) => toErrorRecord(error, 'io'),
    );
    if (this.#closed === undefined)
      this.#peer.post({ op: 'bytes', call, bytes: answer }, 'buffer' in answer ? [answer.buffer] : []);
  }

  #receive(reply: Reply): void {
    this.#hasSpoken = true;
    if (reply.type === 'read') return void this.#read(reply);
    const pending = this.#pending.get(reply.call);
    // An answer to a call that was given up.
    if (pending === undefined) return;
    switch (reply.type) {
      case 'result':
        this.#pending.delete(reply.call);
        return pending.resolve(reply.value as never);
      case 'failed':
        this.#pending.delete(reply.call);
        return pending.reject(
          isErrorRecord(reply.error)
            ? ChordError.from(reply.error)
            : new ChordError('internal', 'the engine worker failed and gave no reason'),
        );
      case 'ping':
        pending.events.onEvent?.(reply);
        return this.#peer.post({ op: 'pong', call: reply.call });
      default:
        return pending.events.onEvent?.(reply);
    }
  }
}

const died = (cause: Error): ChordError =>
  new ChordError('internal', `the engine worker died: ${cause.message}`, {
    cause,
    hint: 'load the model again',
  });

/**
 * Browsers don't report why a worker script can't be fetched: a 404, an HTML page, another origin, a policy,
 * or a header that isolated pages need.
 */
function cantStart(cause: unknown, url: string | undefined): ChordError {
  const named = 'name workerUrl, threadUrl and wasmUrl';
  const hint = isNode
    ? `worker.js must be beside the package's JavaScript: a bundler must leave the package out of its bundle, or ${named}`
    : globalThis.location?.protocol === 'file:'
      ? 'a page that is opened as a file can start no worker: serve its folder'
      : isInline()
        ? `the content security policy must allow blob: workers (worker-src blob:). Otherwise: ${named}`
        : 'worker.js must be served as JavaScript, be included by a bundler, be allowed by the content security ' +
          'policy (worker-src), and on an isolated page have its Cross-Origin-Embedder-Policy header. Otherwise: ' +
          (isPrebundled
            ? "Vite: optimizeDeps: { exclude: ['wasm-chord'] }"
            : `import from wasm-chord/inline, or ${named}`);
  const from = url === undefined ? '' : ` from workerUrl ${url}`;
  return new ChordError(
    url === undefined ? 'internal' : 'io',
    `the engine worker can't be started${from}: ${(cause as Error).message}`,
    { cause, hint: `${hint}; worker: false runs without a worker` },
  );
}

/**
 * A host in the caller's thread, behind the interface of a worker. Messages arrive in a later turn of the
 * event loop.
 */
async function localPeer(): Promise<Peer> {
  const { EngineHost } = await import('../worker/host.js');
  let receive: (message: unknown) => void = () => {};
  const host = new EngineHost((reply) => void nextTurn().then(() => receive(reply)), {
    stepMs: 10,
    mayThread: false,
  });
  return {
    post: (message) => void nextTurn().then(() => host.handle(message)),
    listen: (onMessage) => void (receive = onMessage),
    hold() {},
    end() {
      const call = Number.MAX_SAFE_INTEGER;
      return new Promise((resolve) => {
        receive = (message) => ((message as Reply).call === call ? resolve() : undefined);
        host.handle({ op: 'dispose', call });
      });
    },
  };
}
