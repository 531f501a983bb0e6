// SPDX-License-Identifier: Apache-2.0
// Files behind HTTP: a request, and the checks of its answer before a byte is used.
import { ChordError } from '../errors.js';
import { isNode } from '../platform.js';
import { readableStream, reasonOf } from './stream.js';
import type { ByteStream } from './stream.js';

/** A file behind a URL. It is posted to the engine worker, so it holds plain values only. */
export interface HttpFile {
  readonly url: string;
  /** For messages and progress. Has no token in it. */
  readonly name: string;
  readonly headers?: readonly (readonly [string, string])[] | undefined;
  readonly credentials?: RequestCredentials | undefined;
  /** The whole file's SHA-256 in lower-case hex, if it is known before the download. */
  readonly sha256?: string | undefined;
  /** The file's length, if it is known before the download. */
  readonly bytes?: number | undefined;
}

/** A URL's name in messages and progress. A data URL may be as long as a model. */
export function urlName(url: string): string {
  return /^data:/i.test(url) ? 'the data URL' : url;
}

export function httpFile(url: string): HttpFile {
  return { url, name: urlName(url) };
}

const watched = new WeakMap<AbortSignal, Set<() => void>>();

/**
 * Calls `end` when `signal` aborts; returns what forgets it. One listener serves all calls: Node warns of
 * more than ten listeners of a signal, and a download has up to sixteen connections.
 */
export function onAbort(signal: AbortSignal, end: () => void): () => void {
  let ends = watched.get(signal);
  if (ends === undefined) {
    const all = new Set<() => void>();
    watched.set(signal, (ends = all));
    signal.addEventListener('abort', () => [...all].forEach((each) => each()));
  }
  ends.add(end);
  return () => void ends.delete(end);
}

/** A signal that aborts with `signal`, and after `ms` unless `timer` was cleared. `unlink` ends both. */
export function limited(
  signal: AbortSignal,
  ms: number,
): { signal: AbortSignal; timer: ReturnType<typeof setTimeout>; unlink: () => void } {
  const stop = new AbortController();
  const unlink = (): void => {
    clearTimeout(timer);
    forget();
  };
  const end = (): void => {
    unlink();
    stop.abort(signal.reason);
  };
  const timer = setTimeout(end, ms);
  const forget = onAbort(signal, end);
  if (signal.aborted) end();
  return { signal: stop.signal, timer, unlink };
}

/** Requests a file; `headers` are added to the file's own. Throws `io`. The answer isn't checked. */
export async function request(
  file: HttpFile,
  signal: AbortSignal,
  headers: readonly (readonly [string, string])[] = [],
  init: RequestInit = {},
): Promise<Response> {
  try {
    const all = [...(file.headers ?? []), ...headers] as [string, string][];
    return await fetch(file.url, {
      ...init,
      signal,
      headers: all,
      ...(file.credentials !== undefined && { credentials: file.credentials }),
    });
  } catch (cause) {
    signal.throwIfAborted();
    throw new ChordError('io', `can't fetch ${file.name}: ${reasonOf(cause)}`, {
      cause,
      hint: isNode
        ? 'check the address and the network'
        : file.url.startsWith('file:')
          ? 'a page can fetch no file: serve its folder, or pass a File that the user chose'
          : "check the address, whether its server allows requests from this page (CORS), and the page's " +
            'policy (connect-src)',
    });
  }
}

/** The body of an answer. Throws `http` and `invalid-gguf`, and ends the answer then. */
export function responseStream(response: Response, name: string): ByteStream {
  checkResponse(response, name);
  if (response.bodyUsed) throw new ChordError('invalid-argument', `the body of ${name} was already read`);
  if (response.body === null) throw new ChordError('invalid-gguf', `${name} has no body`);
  return readableStream(response.body, name, 'download', bodyBytes(response));
}

/** Hints for the header X-Error-Code of Hugging Face. */
const hubHints: { readonly [code: string]: string } = {
  GatedRepo: 'accept the terms on the page of the repository, and pass hub: { token } (in Node: HF_TOKEN)',
  RepoNotFound: 'check owner and repository; a private one needs hub: { token } (in Node: HF_TOKEN)',
  RevisionNotFound: 'the repository has no such revision',
  EntryNotFound: 'the repository has no such file; hf:owner/repo:Q4_K_M finds a file by its quantisation',
};

/** Hint for an answer that no file explains. */
export const SERVER = 'the server or a proxy is at fault: try again later';

/** Checks status and content type before the body is read. Ends an answer that it refuses. */
export function checkResponse(response: Response, name: string): void {
  const refuse = (error: ChordError): never => {
    void response.body?.cancel().catch(() => {});
    throw error;
  };
  if (!response.ok) {
    refuse(
      new ChordError('http', `${response.status} ${response.statusText} for ${name}`.replace('  ', ' '), {
        hint:
          hubHints[response.headers.get('x-error-code') ?? ''] ??
          (response.status === 401 || response.status === 403
            ? 'the server needs credentials for this file: the options headers and credentials, or hub: { token } for hf:; or the address has expired'
            : response.status === 429 || response.status >= 500
              ? SERVER
              : 'check the address'),
      }),
    );
  }
  const type = response.headers.get('content-type') ?? '';
  if (/^text\/html\b/i.test(type)) refuse(htmlError(name));
}

export function isGguf(bytes: Uint8Array): boolean {
  return String.fromCharCode(...bytes.subarray(0, 4)) === 'GGUF';
}

/** Checks a file's first bytes. Throws `invalid-gguf` for a web page and for a Git LFS pointer. */
export function checkStart(bytes: Uint8Array, name: string): void {
  const start = String.fromCharCode(...bytes.subarray(0, 64)).trimStart();
  if (/^(<!doctype html|<html)\b/i.test(start)) throw htmlError(name);
  if (start.startsWith('version https://git-lfs.github.com/spec/'))
    throw new ChordError('invalid-gguf', `${name} is a Git LFS pointer, not the file that it stands for`, {
      hint: 'fetch the file with `git lfs pull`, or use an address that resolves LFS (on Hugging Face, /resolve/ instead of /raw/)',
    });
}

function htmlError(name: string): ChordError {
  return new ChordError('invalid-gguf', `${name} is a web page, not a GGUF file`, {
    hint: 'use the address of the file itself; on Hugging Face, /resolve/ instead of /blob/',
  });
}

/**
 * Content-Length of a body, if it is the number of bytes that will be read. With a content encoding it may be
 * the length of the compressed body. Across origins a page can't see the content encoding, so the length is
 * unknown there.
 */
function bodyBytes(response: Response): number | undefined {
  const length = response.headers.get('content-length');
  if (length === null || isEncoded(response) || (!isNode && response.type === 'cors')) return undefined;
  return wholeNumber(length);
}

export function isEncoded(response: Response): boolean {
  return !/^(identity)?$/i.test(response.headers.get('content-encoding') ?? '');
}

/** Undefined for a header that is missing or no number. */
export function wholeNumber(text: string | null): number | undefined {
  const number = Number(text ?? NaN);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}
