// SPDX-License-Identifier: Apache-2.0
// Requests as the caller's options say.
import { ChordError } from '../errors.js';
import type { HttpFile } from './http.js';
import { describe, reasonOf } from './stream.js';

/** A fetch of the caller's own. */
export type Fetch = (
  url: string,
  init: { headers: [string, string][]; credentials?: RequestCredentials; signal?: AbortSignal },
) => Promise<Response>;

/** How files of URLs are requested. */
export interface HttpOptions {
  readonly headers?: readonly (readonly [string, string])[] | undefined;
  readonly credentials?: RequestCredentials | undefined;
  readonly fetch?: Fetch | undefined;
  readonly hub: { readonly endpoint: string; readonly token: string | undefined };
  readonly signal?: AbortSignal | undefined;
  /** Finds the kept files of an address hf:, for when the hub doesn't answer. */
  readonly kept?: ((address: string) => Promise<HttpFile[] | undefined>) | undefined;
}

/** Requests a file in this thread, by the caller's fetch if there is one. Throws `io`, `invalid-argument`. */
export async function ask(file: HttpFile, { fetch: own, signal }: HttpOptions): Promise<Response> {
  const { url, name, headers, credentials } = file;
  let response: unknown;
  try {
    response = await (own ?? fetch)(url, {
      headers: (headers ?? []) as [string, string][],
      ...(credentials !== undefined && { credentials }),
      ...(signal !== undefined && { signal }),
    });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ChordError('io', `can't fetch ${name}: ${reasonOf(cause)}`, { cause });
  }
  if (response instanceof Response) return response;
  throw new ChordError('invalid-argument', `the option fetch returned ${describe(response)}, not a Response`);
}

/** The address hf: of a page that shows a file; undefined for another URL. */
export function pageFile(url: string, { hub }: HttpOptions): string | undefined {
  const { origin, pathname } = new URL(url);
  const origins = ['https://huggingface.co', 'https://hf.co', new URL(hub.endpoint).origin];
  const [, repo, revision, path] = /^\/([^/]+\/[^/]+)\/blob\/([^/]+)\/(.+\.gguf)$/i.exec(pathname) ?? [];
  return path !== undefined && origins.includes(origin)
    ? `hf:${repo}@${revision}/${decodeURIComponent(path)}`
    : undefined;
}
