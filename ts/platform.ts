// SPDX-License-Identifier: Apache-2.0
// Where Node and browsers differ: workers, modules of Node's own, a turn of the event loop. Imports
// nothing; every room may use it. Detection of engine features is wasm/detect.ts's.

/** Node, or a runtime that has its modules: files and worker_threads are there. */
export const isNode: boolean =
  typeof process === 'object' && typeof process.versions === 'object' && typeof process.versions.node === 'string' &&
  (process as { type?: unknown }).type !== 'renderer';

/** A module of Node's own, out of the sight of bundlers, which would fail on `node:` in a page's bundle. */
export function importNode(name: 'buffer' | 'fs' | 'fs/promises' | 'net' | 'os' | 'worker_threads' | 'path' | 'url'): Promise<unknown> {
  const specifier = `node:${name}`;
  return import(/* webpackIgnore: true */ /* @vite-ignore */ specifier);
}

/** Threads that this machine runs at once. */
export async function hardwareThreads(): Promise<number> {
  if (!isNode) return navigator.hardwareConcurrency || 1;
  const os = (await importNode('os')) as typeof import('node:os');
  return os.availableParallelism?.() ?? os.cpus().length;
}

/**
 * One turn of the event loop: timers and messages get in between. MessageChannel in browsers, because
 * setTimeout is clamped to 4 ms and throttled in hidden tabs; setImmediate in Node.
 */
export const nextTurn: () => Promise<void> = isNode ? () => new Promise((resolve) => void setImmediate(resolve)) : channelTurn();

function channelTurn(): () => Promise<void> {
  let channel: MessageChannel | undefined;
  const waiting: (() => void)[] = [];
  return () =>
    new Promise((resolve) => {
      if (channel === undefined) {
        channel = new MessageChannel();
        channel.port1.onmessage = () => waiting.shift()?.();
      }
      waiting.push(resolve);
      channel.port2.postMessage(0);
    });
}

/** The other end of a worker: the worker seen by its creator, or the creator seen by its worker. */
export interface Peer {
  post(message: unknown, transfer?: Transferable[]): void;
  /** At most one listener. `onDeath` hears at most once that the peer is gone or can't be understood. */
  listen(onMessage: (message: unknown) => void, onDeath?: (cause: Error) => void): void;
  /** Node: whether the process waits for this peer. New ones are held. */
  hold(isHeld: boolean): void;
  /** Ends the worker at once, whatever it does; in the worker itself: closes the port. */
  end(): Promise<void>;
}

interface NodeWorker {
  postMessage(message: unknown, transfer?: readonly never[]): void;
  on(event: string, listener: (value: unknown) => void): unknown;
  ref(): void;
  unref(): void;
  terminate?(): Promise<unknown>;
  close?(): void;
}

/**
 * A worker as a peer. `makeWeb` holds the literal `new Worker(new URL('./x.js', import.meta.url), ...)`
 * that bundlers look for; Node gets the file of the same name beside this one.
 */
export async function startWorker(file: 'worker.js' | 'thread.js', makeWeb: () => Worker): Promise<Peer> {
  if (!isNode) return webPeer(makeWeb());
  const { Worker: NodeWorkerClass } = (await importNode('worker_threads')) as typeof import('node:worker_threads');
  // No flags of the process: the worker needs none (V8's hold for all), and --input-type refuses files.
  return nodePeer(new NodeWorkerClass(new URL(file, import.meta.url), { execArgv: [] }) as unknown as NodeWorker);
}

/** The creator, seen from inside a worker. */
export async function parentPeer(): Promise<Peer> {
  if (!isNode) return webPeer(globalThis as unknown as Worker);
  const { parentPort } = (await importNode('worker_threads')) as typeof import('node:worker_threads');
  if (parentPort === null) throw new Error('this file runs in a worker only');
  return nodePeer(parentPort as unknown as NodeWorker);
}

function webPeer(worker: Worker): Peer {
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer),
    listen(onMessage, onDeath) {
      worker.onmessage = (event: MessageEvent) => onMessage(event.data);
      if (onDeath === undefined) return;
      worker.onmessageerror = () => onDeath(new Error('a message could not be read'));
      worker.onerror = (event: ErrorEvent) => {
        event.preventDefault?.();
        onDeath(new Error(event.message || 'the worker could not be started'));
      };
    },
    hold() {},
    async end() {
      // The worker's own global has close() where a worker has terminate().
      (worker.terminate ?? (worker as unknown as { close(): void }).close).call(worker);
    },
  };
}

function nodePeer(worker: NodeWorker): Peer {
  let isGone = false;
  return {
    post: (message, transfer = []) => worker.postMessage(message, transfer as unknown as readonly never[]),
    listen(onMessage, onDeath) {
      worker.on('message', onMessage);
      const die = (cause: Error): void => {
        if (!isGone) onDeath?.(cause);
        isGone = true;
      };
      worker.on('messageerror', () => die(new Error('a message could not be read')));
      worker.on('error', (cause) => die(cause instanceof Error ? cause : new Error(String(cause))));
      worker.on('exit', (code) => die(new Error(`the worker ended with exit code ${String(code)}`)));
    },
    hold(isHeld) {
      if (isHeld) worker.ref();
      else worker.unref();
    },
    async end() {
      isGone = true;
      if (worker.terminate !== undefined) await worker.terminate();
      else worker.close?.();
    },
  };
}
