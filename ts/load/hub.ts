// SPDX-License-Identifier: Apache-2.0
// Files of a model hub: Hugging Face, or a mirror with the same addresses. The token is sent to the hub's
// origin only: fetch drops the header Authorization when it follows a redirect to another origin.
import { ChordError } from '../errors.js';
import { checkResponse } from './http.js';
import type { HttpFile } from './http.js';
import { modelsAmong, oneModel, shardsOf } from './shards.js';
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

const ADDRESS = /^hf:(?:\/\/)?([^/:@\s]+\/[^/:@\s]+)(?:@([^/:\s]+))?(?:\/(.+)|:([^/:\s]+))?$/i;

/** The address hf: of a page that shows a file; undefined for another URL. */
export function pageFile(url: string, { hub }: HttpOptions): string | undefined {
  const { origin, pathname } = new URL(url);
  const origins = ['https://huggingface.co', 'https://hf.co', new URL(hub.endpoint).origin];
  const [, repo, revision, path] = /^\/([^/]+\/[^/]+)\/blob\/([^/]+)\/(.+\.gguf)$/i.exec(pathname) ?? [];
  return path !== undefined && origins.includes(origin)
    ? `hf:${repo}@${revision}/${decodeURIComponent(path)}`
    : undefined;
}

/** The parts of an address hf:; undefined for another source. `name` is that of the repository. */
function partsOf(
  address: string,
): { repo: string; revision: string; path?: string; quant?: string; name: string } | undefined {
  const [, repo, revision = 'main', path, quant] = ADDRESS.exec(address) ?? [];
  if (repo === undefined) return undefined;
  return { repo, revision, path, quant, name: revision === 'main' ? `hf:${repo}` : `hf:${repo}@${revision}` };
}

/**
 * Those of `names`, names of a hub's files, that an address hf: means. Asks nobody. Undefined for another
 * source. Throws `invalid-argument` if several models fit.
 */
export function hubNames(address: string, names: readonly string[]): string[] | undefined {
  const parts = partsOf(address);
  if (parts === undefined) return undefined;
  const { name, path, quant } = parts;
  const files = names
    .filter((each) => each.startsWith(`${name}/`))
    .map((each) => each.slice(name.length + 1));
  const found =
    path !== undefined
      ? shardsOf(path).filter((file) => files.includes(file))
      : modelsAmong(files, quant).length === 0
        ? []
        : oneModel(files, `the cache of ${name}`, {
            quant,
            addressOf: (file) => `${name}/${file}`,
            mayLack: true,
          });
  return found.map((file) => `${name}/${file}`);
}

/**
 * The files that an address names: hf:owner/repo/file.gguf, hf:owner/repo:QUANT, hf:owner/repo if it holds
 * one model; each with @revision behind the repository. The last two ask the hub for its list of files.
 * Throws `invalid-argument`, which lists the GGUF files if none or several fit, `http`, `io`.
 */
export async function hubFiles(address: string, options: HttpOptions): Promise<HttpFile[]> {
  const parts = partsOf(address);
  if (parts === undefined) {
    throw new ChordError('invalid-argument', `the model source ${address} is not an address of a hub`, {
      hint: 'write hf:owner/repo/file.gguf, hf:owner/repo:Q4_K_M or hf:owner/repo@revision/file.gguf',
    });
  }
  const { repo, revision, path, quant, name } = parts;
  const { endpoint, token } = options.hub;
  const common = {
    headers: [
      ...(token === undefined ? [] : ([['authorization', `Bearer ${token}`]] as const)),
      ...(options.headers ?? []),
    ],
    credentials: options.credentials,
  };
  const base = `${endpoint}/${repo}/resolve/${revision}/`;
  const fileAt = (at: string, known?: Listed): HttpFile => ({
    ...common,
    url: base + at.split('/').map(encodeURIComponent).join('/'),
    name: `${name}/${at}`,
    sha256: known?.sha256,
    bytes: known?.bytes,
  });
  if (path !== undefined) return shardsOf(path).map((at) => fileAt(at));
  const url = `${endpoint}/api/models/${repo}/tree/${revision}?recursive=true`;
  const files = await listFiles({ ...common, url, name }, options);
  const names = oneModel([...files.keys()], name, { quant, addressOf: (file) => `${name}/${file}` });
  return names.map((at) => fileAt(at, files.get(at)));
}

interface Listed {
  readonly sha256: string | undefined;
  readonly bytes: number | undefined;
}

/** The files of a repository. A page of the list has a thousand; the header Link leads to the next. */
async function listFiles(first: HttpFile, options: HttpOptions): Promise<Map<string, Listed>> {
  const files = new Map<string, Listed>();
  const { origin } = new URL(first.url);
  for (let url: string | undefined = first.url, pages = 0; url !== undefined && pages < 20; pages++) {
    const response = await ask({ ...first, url }, options);
    checkResponse(response, first.name);
    const list = (await response.json().catch(() => undefined)) as unknown;
    if (!Array.isArray(list))
      throw new ChordError('http', `the hub's list of files of ${first.name} is no list`, {
        hint: "check the hub's endpoint",
      });
    for (const { path, size, lfs } of list as { path?: unknown; size?: unknown; lfs?: { oid?: unknown } }[]) {
      if (typeof path !== 'string') continue;
      const hash = String(lfs?.oid);
      files.set(path, {
        sha256: /^[0-9a-f]{64}$/.test(hash) ? hash : undefined,
        bytes: Number.isSafeInteger(size) ? (size as number) : undefined,
      });
    }
    const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    url = next?.startsWith(`${origin}/`) ? next : undefined;
  }
  return files;
}
