// SPDX-License-Identifier: Apache-2.0
// no-bundler.test.mjs: a page with a script of type module and no bundler, which imports the package from its
// own origin or from another one, as a CDN serves it.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { needs } from '../e2e/browser.mjs';
import { answers, fixture, runs, withPage, withServer } from './stacks.mjs';

test('a page imports the package from its own origin', needs(), () =>
  withPage({ from: './node_modules/wasm-chord/dist/index.js' }, (folder) => runs(folder)),
);

for (const file of ['index.js', 'inline.js']) {
  test(`a page imports ${file} from another origin, and has threads where it is isolated`, needs(), () =>
    withPage({}, (folder) =>
      // What CDNs send: any origin may read, any page may embed.
      withServer(
        {
          isolated: false,
          directory: path.join(folder, 'node_modules'),
          extra: { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' },
        },
        (cdn) => withPage({ from: `${cdn}/wasm-chord/dist/${file}` }, (page) => runs(page)),
      ),
    ),
  );
}

test('a page imports wasm-chord/inline, under a policy that allows blob: workers', needs(), () =>
  withPage({ from: './node_modules/wasm-chord/dist/inline.js' }, (folder) => {
    const policy =
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; connect-src 'self'; img-src data:";
    return runs(folder, {
      extra: { 'content-security-policy': policy },
      more: ({ variant }) => assert.match(variant, /^wasm32-/),
    });
  }),
);

test('a page without a worker answers and chats under a policy that allows none', needs(), () =>
  withPage(
    { from: './node_modules/wasm-chord/dist/index.js', options: '{ worker: false }' },
    async (folder) => {
      await cp(fixture, path.join(folder, 'model.gguf'));
      const policy =
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'none'; connect-src 'self'; img-src data:";
      const extra = { 'content-security-policy': policy };
      await withServer({ isolated: false, directory: folder, extra }, async (address) => {
        const { faults } = await answers(`${address}/`);
        assert.deepEqual(faults, []);
      });
    },
  ),
);
