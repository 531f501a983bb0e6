// SPDX-License-Identifier: Apache-2.0
// The client's end of the protocol: call numbers, pending answers, and when a Node process has to stay
// alive: while somebody awaits something of ours, and no longer.
import { ChordError, isErrorRecord } from '../errors.js';
import { isNode, nextTurn, startWorker } from '../platform.js';
import type { Peer } from '../platform.js';
import type { Reply, Request, Results } from '../worker/protocol.js';

type WithoutCall<R> = R extends unknown ? Omit<R, 'call'> : never;
export type Message = WithoutCall<Request>;

/** What a call hears before its end. */
export interface CallEvents {
  onEvent?(reply: Exclude<Reply, { type: 'result' | 'failed' }>): void;
}

/** A call under way. */
export interface OpenCall<T> {
  readonly id: number;
  /** Settles once, when the worker has ended the call. Never an unhandled rejection by itself. */
  readonly ended: Promise<T>;
  post(message: Message, transfer?: Transferable[]): void;
}

/** A promise that may be dropped: nobody who doesn't await it gets an unhandled rejection. */
export function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

/** How long a worker that was told to let go may take before it is ended by force: on a busy machine it may not have started yet. */
const LET_GO_MS = 30_000;
/** How long an error of a load waits for that. */
const GIVE_UP_MS = 2000;
/** How long a worker's own workers have to close before it is ended, in a browser. */
const CLOSING_MS = 200;

/** Settles with `promise`, or after `ms`. Never rejects, and keeps no process alive. */
function atMost(ms: number, promise: Promise<unknown>): Promise<void> {
  return new Promise((resolve) => {
    const timer: { unref?(): void } | number = setTimeout(resolve, ms);
    if (typeof timer === 'object') timer.unref?.();
    const done = (): void => {
      clearTimeout(timer as number);
      resolve();
    };
    promise.then(done, done);
  });
}

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

  constructor(peer: Peer) {
    this.#peer = peer;
    peer.listen(
      (message) => this.#receive(message as Reply),
      (cause) => this.#close(this.#hasSpoken ? died(cause) : cantStart(cause)), // it speaks as soon as it has a load
    );
    peer.hold(false);
  }

  /** An engine worker of its own, or (`inWorker` false) a host in this thread. */
  static async start(inWorker: boolean): Promise<Connection> {
    if (!inWorker) return new Connection(await localPeer());
    try {
      return new Connection(await startWorker('worker.js', () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })));
    } catch (cause) {
      throw cantStart(cause);
    }
  }

  /** Opens a call; the answer comes through `ended`. */
  open<Op extends keyof Results>(message: Extract<Message, { op: Op }>, events: CallEvents = {}): OpenCall<Results[Op]> {
    const id = this.#next++;
    const ended = new Promise<Results[Op]>((resolve, reject) => {
      if (this.#closed !== undefined) return reject(this.#closed);
      this.#pending.set(id, { resolve: resolve as (value: never) => void, reject, events });
      this.#peer.post({ ...message, call: id });
    });
    quiet(ended);
    const post = (more: Message, transfer?: Transferable[]): void => {
      if (this.#closed === undefined && this.#pending.has(id)) this.#peer.post({ ...more, call: id }, transfer);
    };
    return { id, ended, post };
  }

  /** A call with nothing between question and answer. */
  request<Op extends keyof Results>(message: Extract<Message, { op: Op }>): Promise<Results[Op]> {
    return this.held(this.open<Op>(message).ended);
  }

  /** Keeps a Node process alive while `promise` is pending. */
  held<T>(promise: Promise<T>): Promise<T> {
    if (this.#holds++ === 0) this.#peer.hold(true);
    return quiet(promise.finally(() => {
      if (--this.#holds === 0) this.#peer.hold(false);
    }));
  }

  /**
   * Ends the worker, which must have let go (`dispose`); pending and later calls fail with `error`. In a browser the end comes later,
   * and nobody waits for it: where a worker was ended within a millisecond of its own workers, Chromium left them all running.
   */
  async end(error: ChordError): Promise<void> {
    this.#close(error);
    if (isNode) await this.held(this.#peer.end()); // the calls that end now let go of the worker, which is on its way out
    else setTimeout(() => void this.#peer.end(), CLOSING_MS);
  }

  /**
   * Fails what is pending, has the worker stop and let go, and ends it then: ended amid a read, or amid its own start, it would
   * leak descriptors (Node). Resolves when it has let go, or after GIVE_UP_MS; a slow one is ended in the background.
   */
  async giveUp(error: ChordError): Promise<void> {
    const isAlive = this.#closed === undefined;
    this.#close(error);
    const ending = (isAlive ? atMost(LET_GO_MS, this.#letGo()) : Promise.resolve()).then(() => this.end(error));
    await this.held(atMost(GIVE_UP_MS, ending));
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
    for (const { reject } of this.#pending.values()) reject(this.#closed);
    this.#pending.clear();
  }

  #receive(reply: Reply): void {
    this.#hasSpoken = true;
    const pending = this.#pending.get(reply.call);
    if (pending === undefined) return; // of a call that was given up
    switch (reply.type) {
      case 'result':
        this.#pending.delete(reply.call);
        return pending.resolve(reply.value as never);
      case 'failed':
        this.#pending.delete(reply.call);
        return pending.reject(isErrorRecord(reply.error) ? ChordError.from(reply.error) : new ChordError('internal', 'the worker failed without saying why'));
      case 'ping':
        pending.events.onEvent?.(reply);
        return this.#peer.post({ op: 'pong', call: reply.call });
      default:
        return pending.events.onEvent?.(reply);
    }
  }
}

const died = (cause: Error): ChordError => new ChordError('internal', `the engine worker died: ${cause.message}`, { cause, hint: 'load the model again' });

/** Browsers don't say why a worker can't be fetched: 404, a web page in its place, another origin, a policy. */
function cantStart(cause: unknown): ChordError {
  const where = isNode
    ? 'worker.js must lie beside the package\'s JavaScript: does a bundler carry it along?'
    : 'worker.js must be served as JavaScript from the page\'s own origin, be carried along by a bundler, and be allowed by the content security policy (worker-src)';
  return new ChordError('internal', `the engine worker can't be started: ${(cause as Error).message}`, { cause, hint: `${where}; worker: false does without` });
}

/** A host in the caller's thread behind the same interface; messages come in a later turn of the loop, as from a worker. */
async function localPeer(): Promise<Peer> {
  const { EngineHost } = await import('../worker/host.js');
  let receive: (message: unknown) => void = () => {};
  const host = new EngineHost((reply) => void nextTurn().then(() => receive(reply)), { stepMs: 10, mayThread: false });
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
