// SPDX-License-Identifier: Apache-2.0
// The template engine's wasm module, inside the JavaScript: gzipped, in base64, as tools/build.mjs packs it.
// A chunk that is loaded when a template is first used. No bundler has a file to carry along.
import packed from 'packed-template';
import { unpack } from '../packed.js';

let bytes: Promise<Uint8Array<ArrayBuffer>> | undefined;

/** The module's bytes. */
export const templateModule = (): Promise<Uint8Array<ArrayBuffer>> => (bytes ??= unpack(packed));
