// SPDX-License-Identifier: Apache-2.0
// wasm-chord/inline: the package in one file. Its workers and wasm modules are inside, gzipped, as
// tools/build.mjs packs them. For tools that don't carry other files along (esbuild, Rollup), and for
// extension service workers.
import packed from 'packed-files';
import { ChordError } from './errors.js';
import { useInlineFiles } from './files.js';
import { unpack } from './packed.js';

export * from './index.js';
export { default } from './index.js';

useInlineFiles({
  script: async (name) => new TextDecoder().decode(await file(name)),
  module: (variant) => file(`${variant}.wasm`),
});

async function file(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const text = packed[name];
  if (text === undefined) throw new ChordError('internal', `${name} is not inside this build`);
  return unpack(text);
}
