// SPDX-License-Identifier: Apache-2.0
// Differences between Node and browsers: workers, Node's modules, one turn of the event loop. This file
// imports nothing, and every room may use it. wasm/detect.ts detects features of the JavaScript engine.

// By globalThis: Parcel replaces the bare name by a package that a project must install.
const node = (
  globalThis as {
    process?: {
      versions?: { node?: unknown };
      type?: unknown;
      env?: { [name: string]: string | undefined };
      cwd(): string;
      constrainedMemory?(): number | undefined;
    };
  }
).process;

/** True in Node, or in a runtime that has its modules: files and worker_threads. */
export const isNode: boolean = typeof node?.versions?.node === 'string' && node.type !== 'renderer';

/** A variable of Node's environment; undefined in a browser, if empty, and where Deno may not read it. */
export function environment(name: string): string | undefined {
  return (isNode && allowed(() => node?.env?.[name])) || undefined;
}

/** Node's working directory as an address with a final slash; undefined in a browser. */
export function workingDirectory(): string | undefined {
  if (!isNode) return undefined;
  const path = node!.cwd().replace(/^[a-z]:.*/i, (windows) => `/${windows.replaceAll('\\', '/')}`);
  return `file://${encodeURI(path).replace(/[?#]/g, encodeURIComponent)}/`;
}

/**
 * Imports a module of Node's. Bundlers don't see the import: they would fail on `node:` in a page's bundle.
 */
export function importNode(
  name:
    'buffer' | 'crypto' | 'fs' | 'fs/promises' | 'module' | 'net' | 'os' | 'worker_threads' | 'path' | 'url',
): Promise<unknown> {
  const specifier = `node:${name}`;
  return import(/* webpackIgnore: true */ /* @vite-ignore */ specifier);
}

/**
 * The `import` of index.cjs, where esbuild would make require() of another one; undefined in modules.
 * tools/build.mjs defines it.
 */
declare const IMPORT: ((specifier: string) => Promise<unknown>) | undefined;

/** Imports a module that only the machine that runs this knows: an address, or a package of Node's. */
export function importAt(specifier: string): Promise<unknown> {
  if (IMPORT !== undefined) return IMPORT(specifier);
  return import(/* webpackIgnore: true */ /* @vite-ignore */ specifier);
}

/**
 * Imports a file of the package by its address. `name`: one of its exports. Parcel makes a classic script of
 * the file, without exports, so they are in a global too.
 */
export async function importScript(url: string, name: string): Promise<unknown> {
  const module = (await importAt(url)) as object;
  return name in module ? module : (globalThis as { [place: symbol]: unknown })[placeOf(name)];
}

/** The global in which a file of the package puts its exports, one of which is `name`. */
export const placeOf = (name: string): symbol => Symbol.for(`wasm-chord.${name}`);

/**
 * Bytes of memory that this machine has at most, and that are free; Infinity where that isn't known. Chromium
 * tells a page the total rounded to a power of two, so the machine has less than 1.5 times as much.
 */
export async function machineMemory(): Promise<{ total: number; free: number }> {
  if (!isNode) {
    const { deviceMemory = Infinity } = navigator as { deviceMemory?: number };
    return { total: deviceMemory * 1.5 * 2 ** 30, free: Infinity };
  }
  const os = (await importNode('os')) as typeof import('node:os');
  // A container's limit; 0 or more than the machine has where there is none.
  const limit = allowed(() => node!.constrainedMemory?.()) || Infinity;
  return {
    total: Math.min(allowed(() => os.totalmem()) ?? Infinity, limit),
    free: allowed(() => os.freemem()) ?? Infinity,
  };
}

/** What `read` returns; undefined where Deno has no permission for it. */
function allowed<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** Number of threads that this machine runs at once. */
export async function hardwareThreads(): Promise<number> {
  if (!isNode) return navigator.hardwareConcurrency || 1;
  const os = (await importNode('os')) as typeof import('node:os');
  return allowed(() => os.availableParallelism?.() ?? os.cpus().length) || 1;
}

/**
 * Resolves to the result of `promise`; to undefined after `ms`, or if it rejects. `isHeld`: the timer keeps a
 * process alive.
 */
export function atMost<T>(ms: number, promise: Promise<T>, isHeld = false): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer: { unref?(): void } | number = setTimeout(resolve, ms, undefined);
    if (typeof timer === 'object' && !isHeld) timer.unref?.();
    const done = (value?: T): void => {
      clearTimeout(timer as number);
      resolve(value);
    };
    promise.then(done, () => done());
  });
}

/** As atMost, for what a browser may never answer. */
export const answered = <T>(promise: Promise<T>): Promise<T | undefined> => atMost(3000, promise, true);

/**
 * One turn of the event loop, in which timers and messages run. Browsers use MessageChannel, because
 * setTimeout is clamped to 4 ms and throttled in hidden tabs. Node uses setImmediate.
 */
export const nextTurn: () => Promise<void> = isNode
  ? () => new Promise((resolve) => void setImmediate(resolve))
  : channelTurn();

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

/** The other end of a worker: for its creator the worker, for the worker its creator. */
export interface Peer {
  post(message: unknown, transfer?: Transferable[]): void;
  /**
   * At most one listener. `onDeath` is called at most once: when the peer has died, or a message can't be
   * decoded.
   */
  listen(onMessage: (message: unknown) => void, onDeath?: (cause: Error) => void): void;
  /** Node: whether the process waits for this peer. A new peer is held. */
  hold(isHeld: boolean): void;
  /** Ends the worker at once, whatever it is doing. In the worker itself: closes the port. */
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

/** Whether this thread can start workers. A service worker can't. */
export const hasWorkers: boolean = isNode || typeof Worker === 'function';

// A variable: for a bundler, `new URL(name, import.meta.url)` with a name that isn't literal is a dependency
// that it can't resolve. webpack warned of it in each build.
const here: string = import.meta.url;

/**
 * True where Vite's dev server runs a copy of the package from `node_modules/.vite/deps` (Vite 6 and 7). The
 * other files of the package aren't beside that copy.
 */
export const isPrebundled: boolean = /\/\.vite\/deps[^/]*\//.test(here);

/** Address of another file of the package, where no bundler has moved it. */
export async function besideThis(file: string): Promise<URL> {
  if (!isPrebundled) return new URL(file, here);
  // In a workspace the package is in a folder above the page's, at an address that only the server knows.
  // The server answers with a module that exports the address.
  const base = here.replace(/(@fs|node_modules\/\.vite|\.vite)\/.*/s, '');
  const asked = `${base}@id/wasm-chord/${file.replace('.js', '')}?import&url`;
  const answer = await fetch(asked).then((response) => response.text());
  return new URL(/^export default "(.*)"/m.exec(answer)?.[1] ?? `../../wasm-chord/dist/${file}`, here);
}

/**
 * Starts a worker. `makeWeb` contains the literal `new Worker(new URL('./x.js', import.meta.url), ...)` that
 * bundlers look for. Node starts the file of the same name beside this one. `url`: an address that the caller
 * named instead.
 */
export async function startWorker(
  file: 'worker.js' | 'thread.js',
  makeWeb: () => Worker,
  url: string | undefined,
): Promise<Peer> {
  if (!isNode) return webPeer(url === undefined ? await ownWorker(file, makeWeb) : openWorker(url));
  const { Worker: NodeWorkerClass } = (await importNode(
    'worker_threads',
  )) as typeof import('node:worker_threads');
  // No flags of the process: the worker needs none (V8's apply to all threads), and --input-type refuses
  // files.
  return nodePeer(
    new NodeWorkerClass(url === undefined ? await besideThis(file) : new URL(url), {
      execArgv: [],
    }) as unknown as NodeWorker,
  );
}

async function ownWorker(file: string, makeWeb: () => Worker): Promise<Worker> {
  if (isPrebundled) return openWorker((await besideThis(file)).href);
  try {
    return makeWeb();
  } catch (error) {
    // The package was loaded from another origin, such as a CDN's. A worker can't be.
    if (!isOtherOrigin(error)) throw error;
    return openWorker((await besideThis(file)).href);
  }
}

/** A module worker from `url`. If `url` is of another origin, a script of this origin imports it. */
function openWorker(url: string): Worker {
  try {
    return new Worker(url, { type: 'module' });
  } catch (error) {
    if (!isOtherOrigin(error)) throw error;
    const script = URL.createObjectURL(
      new Blob([`import ${JSON.stringify(url)};`], { type: 'text/javascript' }),
    );
    try {
      return new Worker(script, { type: 'module' });
    } finally {
      setTimeout(() => URL.revokeObjectURL(script), 60_000); // WebKit reads it later than at once
    }
  }
}

const isOtherOrigin = (error: unknown): boolean =>
  (error as { name?: unknown } | null)?.name === 'SecurityError';

/** The creator of this worker. */
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
      // The worker's own global has close() instead of terminate().
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
