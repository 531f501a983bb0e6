// SPDX-License-Identifier: Apache-2.0
// The template engine's wasm module, inside the JavaScript: in base64, as tools/build.mjs packs it.
// A chunk that is loaded when a template is first used. No bundler has a file to carry along.
import packed from 'packed-template';
import { bytesOf } from '../packed.js';

let bytes: Uint8Array<ArrayBuffer> | undefined;

/** The module's bytes. */
export const templateModule = (): Uint8Array<ArrayBuffer> => (bytes ??= bytesOf(packed));
