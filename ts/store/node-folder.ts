// SPDX-License-Identifier: Apache-2.0
// A folder in Node. Processes lock a file by a second file: it holds the process's id, its machine's name and
// when the process began, and its date is renewed while the lock is held. A lock whose process has ended, or
// whose date is old, is taken over. On a full disk the lock is an empty file.
import { ChordError } from '../errors.js';
import { importNode } from '../platform.js';
import { streamOfFile } from '../load/node-file.js';
import type { ByteStream } from '../load/stream.js';
import type { RandomSource } from '../paging/reader.js';
import { isFull } from './errors.js';
import type { Folder, FolderSpace, Lock, LockKind, Place } from './folder.js';
import type { Journal } from './journal.js';

type Fs = typeof import('node:fs/promises');
type FileHandle = import('node:fs/promises').FileHandle;

const RENEW_MS = 2000;
/** Longer than a process may be stopped by a busy machine. */
const OLD_MS = 15_000;
/** A lock without an owner was held on a full disk, or its holder died before it wrote its name. */
const EMPTY_OLD_MS = 5000;
const LOOK_MS = 100;

export class NodeFolder implements Folder {
  readonly name: string;
  readonly #fs: Fs;
  readonly #host: string;

  private constructor(path: string, fs: Fs, host: string) {
    this.name = path;
    this.#fs = fs;
    this.#host = host;
  }

  /** Makes the folder. Throws what the system says, and `invalid-argument` for what isn't a path. */
  static async open(path: string): Promise<NodeFolder> {
    if (/^~[\\/]|^\w+:\/\//.test(path))
      throw new ChordError('invalid-argument', `the cache folder ${path} is no path`, {
        hint: 'write the whole path',
      });
    const fs = (await importNode('fs/promises')) as Fs;
    const os = (await importNode('os')) as typeof import('node:os');
    await fs.mkdir(path, { recursive: true });
    return new NodeFolder(path, fs, os.hostname());
  }

  /** The folder of the user: WASM_CHORD_CACHE, or wasm-chord in XDG_CACHE_HOME or ~/.cache. */
  static async home(): Promise<string> {
    const os = (await importNode('os')) as typeof import('node:os');
    const path = (await importNode('path')) as typeof import('node:path');
    const { WASM_CHORD_CACHE, XDG_CACHE_HOME } = globalThis.process.env;
    // The convention wants an absolute path, and ignores another.
    const caches =
      XDG_CACHE_HOME && path.isAbsolute(XDG_CACHE_HOME) ? XDG_CACHE_HOME : path.join(os.homedir(), '.cache');
    return WASM_CHORD_CACHE || path.join(caches, 'wasm-chord');
  }

  #path(name: string): string {
    return `${this.name}/${name}`;
  }

  names(): Promise<string[]> {
    return this.#fs.readdir(this.name);
  }

  async load(name: string): Promise<Uint8Array | undefined> {
    return this.#fs.readFile(this.#path(name)).catch(ifMissing);
  }

  async save(name: string, bytes: Uint8Array): Promise<void> {
    const file = await this.#fs.open(this.#path(name), 'w');
    try {
      await file.writeFile(bytes);
      await file.datasync();
    } finally {
      await file.close();
    }
  }

  async remove(name: string): Promise<void> {
    await this.#fs.unlink(this.#path(name)).catch(ifMissing);
  }

  async stream(name: string): Promise<ByteStream> {
    const file = await this.#fs.open(this.#path(name));
    const { size } = await file.stat();
    return streamOfFile(file, name, size, (cause) => {
      throw cause;
    });
  }

  async file({ data, parts }: Journal): Promise<RandomSource> {
    if (parts.length > 0) throw new Error('the copy is in pieces');
    return { kind: 'path', path: this.#path(`${data}.gguf`), name: data };
  }

  async place(name: string): Promise<Place> {
    const { O_CREAT, O_RDWR } = this.#fs.constants;
    const file = await this.#fs.open(this.#path(name), O_CREAT | O_RDWR);
    return {
      async write(at, bytes) {
        for (let done = 0; done < bytes.byteLength;)
          done += (await file.write(bytes, done, bytes.byteLength - done, at + done)).bytesWritten;
      },
      read: async (at, buffer) => (await file.read(buffer, 0, buffer.byteLength, at)).bytesRead,
      flush: () => file.datasync(),
      close: () => file.close(),
    };
  }

  /** Readers need no lock: a removed file stays readable, and a file that is begun anew has a new name. */
  async lock(name: string, { isShared, isPatient = true, signal }: LockKind): Promise<Lock | undefined> {
    if (isShared) return { release: async () => {} };
    const path = this.#path(`${name}.lock`);
    const { pid } = globalThis.process;
    const owner = `${pid} ${this.#host} ${Math.random()} ${await this.#startOf(pid)}`;
    for (;;) {
      signal?.throwIfAborted();
      const file = await this.#fs.open(path, 'wx').catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      if (file !== undefined) return this.#held(path, await this.#sign(file, path, owner));
      if (await this.#takeOver(path)) continue;
      if (!isPatient) return undefined;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** Writes a lock's owner, and returns what the lock holds: on a full disk it stays empty. */
  async #sign(file: FileHandle, path: string, owner: string): Promise<string> {
    try {
      await file.writeFile(owner);
      return owner;
    } catch (error) {
      await file.truncate().catch(() => {});
      if (isFull(error)) return '';
      await this.#fs.unlink(path);
      throw error;
    } finally {
      await file.close();
    }
  }

  /** When a process began, where /proc says it: a later process may have its id. Else ''. */
  async #startOf(pid: number): Promise<string> {
    const stat = await this.#fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    return stat.slice(stat.lastIndexOf(')')).split(' ')[20] ?? '';
  }

  #held(path: string, owner: string): Lock {
    const renew = (): void => {
      const now = new Date();
      this.#fs.utimes(path, now, now).catch(() => {});
    };
    const timer = setInterval(renew, RENEW_MS);
    timer.unref();
    return {
      release: async () => {
        clearInterval(timer);
        const now = await this.#fs.readFile(path, 'utf8').catch(() => '');
        if (now === owner) await this.#fs.unlink(path).catch(() => {});
      },
    };
  }

  /** Removes a lock whose holder is gone. Returns whether the lock may be free now. */
  async #takeOver(path: string): Promise<boolean> {
    const owner = await this.#fs.readFile(path, 'utf8').catch(ifMissing);
    const stat = await this.#fs.stat(path).catch(ifMissing);
    if (owner === undefined || stat === undefined) return true;
    const [pid, host, , start] = owner.split(' ');
    const isDead =
      host === this.#host && !(isAlive(Number(pid)) && start === (await this.#startOf(Number(pid))));
    const oldMs = owner === '' ? EMPTY_OLD_MS : OLD_MS;
    if (!isDead && Date.now() - stat.mtimeMs < oldMs) return false;
    // By a rename: of two processes, one gets it. If another has renewed it meanwhile, it is put back.
    const aside = `${path}.${globalThis.process.pid}.${Math.random()}`;
    await this.#fs.rename(path, aside).catch(ifMissing);
    if ((await this.#fs.readFile(aside, 'utf8').catch(ifMissing)) !== owner)
      await this.#fs.link(aside, path).catch(() => {});
    await this.#fs.unlink(aside).catch(ifMissing);
    return true;
  }

  async space(): Promise<FolderSpace> {
    const { bavail, bsize } = await this.#fs.statfs(this.name);
    let used = 0;
    for (const name of await this.names())
      used += (await this.#fs.stat(this.#path(name)).catch(ifMissing))?.size ?? 0;
    return { quota: used + bavail * bsize, free: bavail * bsize, persisted: true };
  }
}

function ifMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

function isAlive(pid: number): boolean {
  try {
    globalThis.process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
