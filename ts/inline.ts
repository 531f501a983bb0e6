// SPDX-License-Identifier: Apache-2.0
// wasm-chord/inline: the package in one file. Its workers and wasm modules are inside, compressed, as
// tools/build.mjs packs them. For tools that don't carry other files along (esbuild, Rollup), and for
// extension service workers.
import packed from 'packed-files';
import { ChordError } from './errors.js';
import { useInlineFiles } from './files.js';
import { bytesOf, unpack } from './packed.js';

export * from './index.js';
export { default } from './index.js';

useInlineFiles({
  script: async (name) => new TextDecoder().decode(await unpack(file(name))),
  module: async (variant) => bytesOf(file(`${variant}.wasm`)),
});

function file(name: string): string {
  const text = packed[name];
  if (text === undefined) throw new ChordError('internal', `${name} is not inside this build`);
  return text;
}
