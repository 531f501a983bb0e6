// SPDX-License-Identifier: Apache-2.0
// wasm-chord/inline: the package in one file. Its workers and wasm modules are inside, gzipped, as
// tools/build.mjs packs them. For tools that don't carry other files along (esbuild, Rollup), and for
// extension service workers.
import packed from 'packed-files';
import { ChordError } from './errors.js';
import { useInlineFiles } from './files.js';

export * from './index.js';
export { default } from './index.js';

useInlineFiles({
  script: async (name) => new TextDecoder().decode(await unpack(name)),
  module: (variant) => unpack(`${variant}.wasm`),
});

async function unpack(name: string): Promise<Uint8Array<ArrayBuffer>> {
  const text = packed[name];
  if (text === undefined) throw new ChordError('internal', `${name} is not inside this build`);
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
