// SPDX-License-Identifier: Apache-2.0
// Files of a model hub: Hugging Face, or a mirror with the same addresses. The token is sent to the hub's
// origin only: fetch drops the header Authorization when it follows a redirect to another origin.
import { ChordError } from '../errors.js';
import { ask } from './ask.js';
import type { HttpOptions } from './ask.js';
import { checkResponse } from './http.js';
import type { HttpFile } from './http.js';
import { modelsAmong, oneModel, shardsOf } from './shards.js';

/** How long the hub may take to send its list of files. */
const LIST_MS = 10_000;

const ADDRESS = /^hf:(?:\/\/)?(\w[\w.-]*\/\w[\w.-]*)(?:@([^/:\s]+))?(?:\/(.+)|:([^/:\s]+))?$/i;

interface Parts {
  readonly repo: string;
  readonly revision: string;
  readonly path: string | undefined;
  readonly quant: string | undefined;
  /** The repository's name in messages and in the cache. */
  readonly name: string;
}

function partsOf(address: string): Parts {
  const [, repo, revision = 'main', path, quant] = ADDRESS.exec(address) ?? [];
  if (repo === undefined) {
    throw new ChordError('invalid-argument', `the model source ${address} is not an address of a hub`, {
      hint: 'write hf:owner/repo/file.gguf, hf:owner/repo:Q4_K_M or hf:owner/repo@revision/file.gguf',
    });
  }
  return { repo, revision, path, quant, name: revision === 'main' ? `hf:${repo}` : `hf:${repo}@${revision}` };
}

/**
 * Those of `names`, names of a hub's files, that an address hf: means. Asks nobody. Throws `invalid-argument`
 * if several models fit.
 */
export function hubNames(address: string, names: readonly string[]): string[] {
  const { name, path, quant } = partsOf(address);
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
 * one model; each with @revision behind the repository. The last two ask the hub for its list of files; what
 * `kept` finds stands in for a list that can't be had.
 * Throws `invalid-argument`, which lists the GGUF files if none or several fit, `http`, `io`.
 */
export async function hubFiles(address: string, options: HttpOptions): Promise<HttpFile[]> {
  const { repo, revision, path, quant, name } = partsOf(address);
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
  let files: Map<string, Listed>;
  try {
    files = await listFiles({ ...common, url, name }, options);
  } catch (error) {
    // A model whose list can't be had is loaded from its whole copies.
    const kept = isRemote(error) ? await options.kept?.(address).catch(() => undefined) : undefined;
    if (kept === undefined) throw error;
    return kept.map((file) => ({ ...common, ...file }));
  }
  const names = oneModel([...files.keys()], name, { quant, addressOf: (file) => `${name}/${file}` });
  return names.map((at) => fileAt(at, files.get(at)));
}

interface Listed {
  readonly sha256: string | undefined;
  readonly bytes: number | undefined;
}

const isRemote = (error: unknown): boolean =>
  ChordError.isInstance(error) && (error.code === 'io' || error.code === 'http');

/** Requests a page of the list, up to three times where the failure may pass. */
async function askAgain(file: HttpFile, options: HttpOptions): Promise<Response> {
  for (let tries = 1; ; tries++) {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = new ChordError('io', `${file.name}: the hub doesn't answer`, {
        hint: 'check the network',
      });
      timer = setTimeout(reject, LIST_MS, error);
    });
    let waitMs = 300 * tries;
    try {
      const response = await Promise.race([ask(file, options), late]);
      const { status, headers } = response;
      if (tries === 3 || (status !== 408 && status !== 429 && status < 500)) return response;
      waitMs = Math.min(Number(headers.get('retry-after')) * 1000 || waitMs, 5000);
      void response.body?.cancel().catch(() => {});
    } catch (error) {
      if (tries === 3 || !isRemote(error)) throw error;
    } finally {
      clearTimeout(timer);
    }
    await new Promise((resolve) => setTimeout(resolve, waitMs));
    options.signal?.throwIfAborted();
  }
}

/** The files of a repository. A page of the list has a thousand; the header Link leads to the next. */
async function listFiles(first: HttpFile, options: HttpOptions): Promise<Map<string, Listed>> {
  const files = new Map<string, Listed>();
  const { origin } = new URL(first.url);
  for (let url: string | undefined = first.url, pages = 0; url !== undefined && pages < 20; pages++) {
    const response = await askAgain({ ...first, url }, options);
    checkResponse(response, first.name);
    const list = (await response.json().catch(() => undefined)) as unknown;
    if (!Array.isArray(list))
      throw new ChordError('http', `the hub's list of files of ${first.name} is no list`, {
        hint: "check the hub's endpoint",
      });
    for (const entry of list as ({ path?: unknown; size?: unknown; lfs?: { oid?: unknown } } | null)[]) {
      const { path, size, lfs } = entry ?? {};
      if (typeof path !== 'string') continue;
      const hash = String(lfs?.oid);
      files.set(path, {
        sha256: /^[0-9a-f]{64}$/.test(hash) ? hash : undefined,
        bytes: Number.isSafeInteger(size) && (size as number) > 0 ? (size as number) : undefined,
      });
    }
    const next = /<([^>]+)>;\s*rel="next"/.exec(response.headers.get('link') ?? '')?.[1];
    url = next?.startsWith(`${origin}/`) ? next : undefined;
  }
  return files;
}
