// SPDX-License-Identifier: Apache-2.0
// The stored files of one folder. An entry's files begin with its key: `key.a` and `key.b` are its journals,
// `key.<number>.gguf` its data, `key.<number>.<piece>` pieces apart, `key.used` the time of its last use.
import { importNode, isNode } from '../platform.js';
import type { Folder } from './folder.js';
import { decodeJournal, encodeJournal, storedBytes } from './journal.js';
import type { Journal } from './journal.js';

/** A model file in the cache, whole or in part. */
export interface CachedModel {
  /** The URL that it is from. */
  readonly source: string;
  readonly name: string;
  /** Bytes that are stored. */
  readonly bytes: number;
  /** The file's length; undefined while the server hasn't said it. */
  readonly totalBytes: number | undefined;
  /** Whether the file is whole. A download of the rest continues one that isn't. */
  readonly isComplete: boolean;
  /** SHA-256 of the file, if it was checked. */
  readonly sha256?: string | undefined;
  readonly etag?: string | undefined;
  /** When it was last loaded or downloaded. */
  readonly usedAt: Date;
}

/** An entry's key: 32 hex digits of the SHA-256 of its URL. */
export async function keyOf(url: string): Promise<string> {
  const crypto = isNode
    ? ((await importNode('crypto')) as typeof import('node:crypto')).webcrypto
    : globalThis.crypto;
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(url));
  return Array.from(new Uint8Array(hash, 0, 16), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export class Entry {
  readonly folder: Folder;
  readonly key: string;
  journal: Journal | undefined;
  #sequence: number;

  private constructor(folder: Folder, key: string, journal: Journal | undefined, sequence: number) {
    this.folder = folder;
    this.key = key;
    this.journal = journal;
    this.#sequence = sequence;
  }

  static async read(folder: Folder, key: string): Promise<Entry> {
    const records = await Promise.all(
      ['a', 'b'].map(async (slot) => decodeJournal(await folder.load(`${key}.${slot}`))),
    );
    const newest = records.reduce((one, other) =>
      (other?.sequence ?? -1) > (one?.sequence ?? -1) ? other : one,
    );
    return new Entry(folder, key, newest?.journal, newest?.sequence ?? 0);
  }

  /** Also of keys whose journals are gone. */
  static async all(folder: Folder): Promise<Entry[]> {
    const keys = (await folder.names()).flatMap((name) => /^([0-9a-f]{32})\./.exec(name)?.[1] ?? []);
    return Promise.all([...new Set(keys)].map((key) => Entry.read(folder, key)));
  }

  /** The copy that can be read: also while another version is downloaded. */
  get whole(): Journal | undefined {
    return this.journal?.isComplete ? this.journal : this.journal?.old;
  }

  /** Names of the two journals. */
  get slots(): readonly string[] {
    return [`${this.key}.a`, `${this.key}.b`];
  }

  /** Writes a journal over the older one. */
  async commit(journal: Journal): Promise<void> {
    this.#sequence += 1;
    await this.folder.save(`${this.key}.${'ab'[this.#sequence % 2]}`, encodeJournal(journal, this.#sequence));
    this.journal = journal;
  }

  /** Begins a file anew, with a data file that no earlier journal names. A whole copy stays beside it. */
  async begin(journal: Omit<Journal, 'data' | 'ranges' | 'parts' | 'isComplete' | 'sha256'>): Promise<void> {
    const old = this.whole && { ...this.whole, old: undefined };
    const data = `${this.key}.${Math.random().toString(36).slice(2, 10)}`;
    const fresh = { ...journal, data, ranges: [], parts: [], isComplete: false, sha256: undefined, old };
    await this.commit(fresh);
    await this.commit(fresh); // over both: the older names a file that goes now
    await this.tidy();
    await this.touch();
  }

  /** The journals go last: in a browser a paged model's file can't be removed, and stays listed. */
  async drop(): Promise<void> {
    const { slots } = this;
    this.journal = undefined;
    const names = await this.strays();
    for (const name of [...names.filter((each) => !slots.includes(each)), ...slots])
      await this.folder.remove(name);
  }

  /** Ends a download: it stays, and a whole one without the copy of before; or that copy alone stays. */
  async end(isKept: boolean): Promise<void> {
    const { old, ...journal } = this.journal!;
    if (!old) return isKept ? undefined : this.drop();
    if (isKept && !journal.isComplete) return;
    const last = isKept ? journal : old;
    await this.commit(last);
    await this.commit(last);
    await this.tidy();
  }

  /** Files of the key that the journal doesn't name. */
  async strays(): Promise<string[]> {
    const { journal, key } = this;
    const data = [journal?.data, journal?.old?.data];
    const own = journal ? [...this.slots, `${key}.used`] : [];
    const isKept = (name: string): boolean =>
      // A data file's name may begin as a journal's does.
      own.includes(name) || data.some((begin) => name.startsWith(`${begin}.`));
    return (await this.folder.names()).filter(
      (name) => name.startsWith(`${key}.`) && !name.endsWith('.lock') && !isKept(name),
    );
  }

  async tidy(): Promise<void> {
    for (const name of await this.strays()) await this.folder.remove(name);
  }

  /** Notes the time of use. Not in the journal, which only the holder of the lock writes. */
  async touch(): Promise<void> {
    await this.folder.save(`${this.key}.used`, new TextEncoder().encode(String(Date.now()))).catch(() => {});
  }

  async describe(): Promise<CachedModel> {
    const journal = this.whole ?? this.journal!;
    const { url, name, totalBytes, isComplete, sha256, etag, data, parts } = journal;
    let bytes = storedBytes(journal);
    if (isComplete && parts.length === 0) {
      // The file may have been cut, or be gone.
      const stream = await this.folder.stream(`${data}.gguf`).catch(() => undefined);
      bytes = Math.min(bytes, stream === undefined ? 0 : (stream.totalBytes ?? bytes));
      await stream?.close();
    }
    const used = Number(new TextDecoder().decode(await this.folder.load(`${this.key}.used`)));
    return {
      source: url,
      name,
      bytes,
      totalBytes,
      isComplete: isComplete && bytes === totalBytes,
      ...(sha256 !== undefined && { sha256 }),
      ...(etag !== undefined && { etag }),
      usedAt: new Date(used || 0),
    };
  }
}
