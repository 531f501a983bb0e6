// SPDX-License-Identifier: Apache-2.0
// Compiles the WebAssembly module once, and instantiates it once per thread. Declares the types of its
// exports.
import { ABI_VERSION } from '../abi/abi.gen.js';
import { ChordError, messageOf } from '../errors.js';
import type { ChordErrorCode } from '../errors.js';
import { besideThis, importNode, isNode, isPrebundled } from '../platform.js';
import { unpacked } from '../unpacked.js';
import { chooseVariant, hasMemory64, hasRelaxedSimd, hasSimd } from './detect.js';
import type { Variant } from './detect.js';

/**
 * The module's exports: the functions of chord.h with int32 and double arguments (src/host/wasm/exports.c).
 */
export interface Exports {
  readonly __heap_base: WebAssembly.Global;
  readonly __stack_pointer: WebAssembly.Global;
  abi_version(): number;
  isa(): number;
  model_init(block: number, bytes: number): number;
  model_set_file_bytes(m: number, bytes: number): number;
  model_files(m: number): number;
  model_file(m: number): number;
  model_position(m: number): number;
  model_wanted(m: number): number;
  model_give(m: number, block: number, bytes: number): number;
  model_push(m: number, file: number, off: number, bytes: number, n: number): number;
  model_end(m: number): number;
  model_plan(m: number, config: number, out: number): number;
  model_begin(m: number, block: number, bytes: number): number;
  model_tensor(m: number, i: number, out: number, name: number, cap: number): number;
  model_get_info(m: number, out: number): number;
  model_meta(m: number, key: number, nKey: number, dst: number, cap: number): number;
  model_meta_at(m: number, key: number, nKey: number, index: number, dst: number, cap: number): number;
  model_chat_template(m: number, name: number, nName: number, dst: number, cap: number): number;
  model_row(m: number, tensor: number, row: number, dst: number, cap: number): number;
  row_decode(type: number, row: number, bytes: number, n: number, dst: number): number;
  grids(dst: number, cap: number): number;
  model_release(m: number, tensor: number, bytes: number): number;
  model_program(m: number): number;
  model_get_program(m: number, out: number): number;
  model_cache_class(m: number, cache: number): number;
  model_vector(m: number, tensor: number): number;
  model_profile(m: number, ms: number): number;
  last_error(m: number, dst: number, cap: number): number;
  thread_join(m: number, index: number): number;
  threads_ready(m: number): number;
  model_stop(m: number): void;
  model_want_page(m: number): number;
  model_load_rows(m: number, tensor: number, firstRow: number, rows: number, bytes: number): number;
  model_page_loaded(m: number, page: number): number;
  model_page_failed(m: number, page: number, status: number): number;
  model_wait_page(m: number, milliseconds: number): number;
  pager_word(m: number): number;
  pager_error(m: number, dst: number, cap: number): number;
  tokenize_bytes(m: number, n: number): number;
  tokenizer_bytes(): number;
  tokenizer_open(m: number, text: number, n: number, flags: number, block: number, bytes: number): number;
  tokenizer_step(t: number, budget: number, ids: number, cap: number, n: number): number;
  tokenizer_wanted(t: number): number;
  tokenizer_give(t: number, block: number, bytes: number): number;
  tokenizer_least(t: number): number;
  tokenize(
    m: number,
    text: number,
    n: number,
    flags: number,
    ids: number,
    cap: number,
    scratch: number,
    bytes: number,
  ): number;
  detokenize(m: number, ids: number, n: number, flags: number, dst: number, cap: number): number;
  token_flags(m: number, id: number): number;
  stream_bytes(nStops: number): number;
  stream_open(block: number, bytes: number, stops: number, nStops: number): number;
  stream_push(t: number, bytes: number, n: number, text: number): number;
  stream_end(t: number, text: number): number;
  stream_stopped(t: number): number;
  session_bytes(m: number): number;
  session_open(m: number, block: number, bytes: number): number;
  session_close(s: number): void;
  session_push(s: number, ids: number, n: number): number;
  session_push_embeddings(s: number, rows: number, positions: number, n: number): number;
  session_embed(s: number, pooling: number): number;
  session_embedding(s: number, row: number): number;
  session_outputs(s: number, mode: number): number;
  session_step(s: number, budget: number): number;
  session_next_batch(s: number, out: number): number;
  session_reserve(s: number, ahead: number): number;
  session_pages(s: number, cls: number, first: number, numbers: number, cap: number): number;
  session_copies(s: number, triples: number, cap: number): number;
  session_lazy_rows(s: number, triples: number, cap: number): number;
  session_load_row(s: number, tensor: number, row: number, bytes: number, n: number): number;
  session_accept_batch(s: number): number;
  session_drop_batch(s: number): number;
  session_cancel(s: number): void;
  session_logits(s: number, row: number): number;
  session_sample(s: number, sampling: number): number;
  session_sample_row(s: number, sampling: number, logits: number): number;
  session_accept_token(s: number, id: number): number;
  session_logprobs(s: number, id: number, k: number, ids: number, logprobs: number): number;
  session_seed(s: number, seed: number): void;
  session_random(s: number, ahead: number): number;
  session_truncate(s: number, n: number): number;
  session_fork(s: number, block: number, bytes: number): number;
  session_match(s: number, ids: number, n: number): number;
  session_tokens(s: number): number;
  session_save_bytes(s: number): number;
  session_save_place(s: number, off: number, place: number): number;
  model_sample(m: number, tensor: number, bytes: number, n: number): number;
  session_save(s: number, off: number, dst: number, n: number): number;
  session_restore(s: number, off: number, bytes: number, n: number): number;
  session_get_state(s: number, out: number): number;
}

const HINT =
  "the .wasm files must be beside the package's JavaScript, unchanged; or name wasmUrl, or import from wasm-chord/inline";

export interface CompiledModule {
  readonly module: WebAssembly.Module;
  /** As in LanguageModelInfo. */
  readonly variant: string;
  /** The reason for the choice of this module. */
  readonly reason: string;
}

/**
 * Returns the URL of the package's module. The paths are literals, so that every bundler finds the files.
 */
function moduleUrl(variant: Variant): URL | Promise<URL> {
  if (isPrebundled) return besideThis(`${variant}.wasm`);
  if (variant === 'wasm64-relaxed') return new URL('./wasm64-relaxed.wasm', import.meta.url);
  return variant === 'wasm32-relaxed'
    ? new URL('./wasm32-relaxed.wasm', import.meta.url)
    : new URL('./wasm32-simd.wasm', import.meta.url);
}

type Wasm = string | Uint8Array<ArrayBuffer> | undefined;

/** Why there is no module with 64-bit addresses here. `wasm`: as for compileModule(). */
export function whyNotWide(wasm: Wasm): string | undefined {
  if (wasm instanceof Uint8Array)
    return 'wasm-chord/inline has no module with 64-bit addresses: wasmUrl may name a folder that has it';
  if (wasm !== undefined && !wasm.endsWith('/')) return 'wasmUrl names one module, not a folder of modules';
  if (!hasMemory64()) return 'this JavaScript engine has no Memory64: no memory above 4 GiB';
  return hasRelaxedSimd() ? undefined : 'a memory above 4 GiB needs relaxed SIMD, which this engine lacks';
}

/**
 * Compiles the best variant for this JavaScript engine.
 *
 * @param wasm An absolute address of a module, or of a folder (with a final slash) that has the package's
 *   modules; or the bytes of the variant that suits this JavaScript engine. Default: the module beside the
 *   package's JavaScript.
 * @param isWide The variant with 64-bit addresses: whyNotWide() has no objection.
 * @throws {ChordError} `io` or `http`, which name the address, also of a file that is named and no module;
 *   `internal` if the package's own file isn't one.
 */
export async function compileModule({
  wasm,
  signal,
  isWide,
}: {
  wasm?: Wasm;
  signal?: AbortSignal | undefined;
  isWide?: boolean;
} = {}): Promise<CompiledModule> {
  const { variant, label, reason } = chooseVariant(isWide);
  const own = async (module: Promise<WebAssembly.Module>): Promise<CompiledModule> => ({
    module: await module,
    variant: label,
    reason,
  });
  if (wasm === undefined) return own(compileFrom(await moduleUrl(variant), signal));
  if (typeof wasm !== 'string') return own(compile(wasm, 'the module inside the package'));
  if (wasm.endsWith('/')) return own(compileFrom(new URL(`${variant}.wasm`, wasm), signal, true));
  return {
    module: await compileFrom(new URL(wasm), signal, true),
    variant: 'custom',
    reason: 'the caller named the module',
  };
}

async function compileFrom(
  url: URL,
  signal: AbortSignal | undefined,
  isNamed = false,
): Promise<WebAssembly.Module> {
  return compile(
    isNode && url.protocol === 'file:' ? await readFile(url, signal) : await fetchBytes(url, signal),
    isNamed ? `wasmUrl ${url.href}` : url.href,
    isNamed ? 'io' : 'internal',
  );
}

async function compile(
  bytes: Uint8Array<ArrayBuffer> | ArrayBuffer,
  where: string,
  code: ChordErrorCode = 'internal',
): Promise<WebAssembly.Module> {
  const [first = 0] = new Uint8Array(bytes);
  // Servers of single-page apps answer with the app's page for a file that they don't have.
  if (first === 0x3c) throw new ChordError('http', `${where} is a web page, not a module`, { hint: HINT });
  try {
    return await unpacked(await WebAssembly.compile(bytes));
  } catch (cause) {
    const reason = (cause as Error).message;
    if (/unsafe-eval|CSP|Content Security/i.test(reason))
      throw new ChordError('internal', `a policy forbids WebAssembly: ${reason}`, {
        cause,
        hint: "Content-Security-Policy: add 'wasm-unsafe-eval' to script-src",
      });
    if (!hasSimd())
      throw new ChordError('internal', 'this JavaScript engine has no WebAssembly SIMD', { cause });
    throw new ChordError(code, `${where} is not a WebAssembly module: ${reason}`, {
      cause,
      hint: HINT,
    });
  }
}

async function readFile(url: URL, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer>> {
  const fs = (await importNode('fs/promises')) as typeof import('node:fs/promises');
  try {
    return new Uint8Array(await fs.readFile(url, { signal }));
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ChordError('io', `can't read ${url.href}: ${(cause as Error).message}`, { cause });
  }
}

/** Fetches the whole body. Streaming compilation would refuse servers that don't know application/wasm. */
async function fetchBytes(url: URL, signal: AbortSignal | undefined): Promise<ArrayBuffer> {
  let response: Response;
  try {
    response = await fetch(url, signal === undefined ? {} : { signal });
    if (response.ok) return await response.arrayBuffer();
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ChordError('io', `can't fetch ${url.href}: ${(cause as Error).message}`, {
      cause,
      hint: 'a policy must allow it (connect-src); another origin must send Access-Control-Allow-Origin',
    });
  }
  throw new ChordError('http', `${response.status} ${response.statusText} for ${url.href}`, { hint: HINT });
}

/** Whether the module has 64-bit addresses. Its memory's type can't be asked before it is instantiated. */
export const isWideModule = (module: WebAssembly.Module): boolean =>
  WebAssembly.Module.exports(module).some(({ name }) => name === 'has_wide_addresses');

/**
 * Creates an instance over `memory`. When an export traps, the call throws the error that `onTrap` returns.
 * No input may cause a trap, so a trap is a bug of this package, and the memory can't be trusted afterwards.
 *
 * Throws `internal` when the module can't be instantiated, or has another ABI version.
 */
export function instantiate(
  module: WebAssembly.Module,
  memory: WebAssembly.Memory,
  onTrap: (cause: unknown) => ChordError,
): Exports {
  const { sin, cos, exp, log, pow } = Math;
  const now = (): number => performance.now();
  const instance = link(module, { env: { memory, sin, cos, exp, log, pow, now } });
  const guarded: { [name: string]: unknown } = {};
  for (const [name, item] of Object.entries(instance.exports)) {
    guarded[name] =
      typeof item === 'function' ? guard(item as (...values: number[]) => number, onTrap) : item;
  }
  const exports = guarded as unknown as Exports;
  const version = exports.abi_version?.();
  if (version !== ABI_VERSION) {
    throw new ChordError(
      'internal',
      `the WebAssembly module has ABI version ${version}, this package needs ${ABI_VERSION}`,
      {
        hint: 'the .wasm file and the JavaScript come from different versions of the package',
      },
    );
  }
  return exports;
}

function link(module: WebAssembly.Module, imports: WebAssembly.Imports): WebAssembly.Instance {
  try {
    return new WebAssembly.Instance(module, imports);
  } catch (cause) {
    throw new ChordError('internal', `the WebAssembly module can't be instantiated: ${messageOf(cause)}`, {
      cause,
      hint: 'it must be the .wasm file of this version of the package',
    });
  }
}

function guard(call: (...values: number[]) => number, onTrap: (cause: unknown) => ChordError) {
  return (...values: number[]): number => {
    try {
      return call(...values);
    } catch (cause) {
      throw onTrap(cause);
    }
  };
}
