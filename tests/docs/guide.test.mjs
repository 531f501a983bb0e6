// SPDX-License-Identifier: Apache-2.0
// guide.test.mjs: runs every block of code in docs/GUIDE.md and README.md as a reader pastes it: Node's in an
// empty project with the package, the page in Chromium. This machine plays the hub and the CDN.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { CHATML, withTemplate } from '../ts/chat.mjs';
import { MODEL, needs, openPage, root, withBrowser, withServer } from '../e2e/browser.mjs';

/** What each block prints, or shows in the page: the first words of the block's section, and a pattern. */
const BLOCKS = {
  'docs/GUIDE.md': [
    ['Ten lines in a page', /\S/],
    ['In Node, or behind a bundler', /\S[\s\S]*\n?[\d.]+ tokens\/s\n$/],
    ['Which model', /^true .+\n\{[\s\S]*weights: \d+/],
    ['On the GPU', /^cpu the CPU: outside a browser/],
    ['Download, cache, offline', /SmolLM2.* \d+ true\n$/],
    ['Stop', /^TimeoutError\n$/],
    ['Chat', /Paris[\s\S]* stop\n[\s\S]*Rome[\s\S]* stop\n$/],
    ['Chat', /^\d+ tokens, \d+ bytes\n$/],
    ['Chat', /^ \S+ River/],
    ['Tools', /\S/],
    ['Embeddings', /^-?[01]\.\d\d\n-?[01]\.\d\d\n$/],
    ['Errors', /^io .*missing\.gguf.*\n$/],
    ['The same answer again', /^true wasm32-\S+\n$/],
  ],
  'README.md': [
    ['wasm-chord', /Paris[\s\S]*finishReason: 'stop'/],
    ['Two levels', /Paris/],
    ['Chat', /Paris[\s\S]*0\n$/],
  ],
};

/** The blocks of JavaScript and of HTML in a page, each with the heading above it. */
async function blocksOf(page) {
  const text = await readFile(path.join(root, page), 'utf8');
  return [...text.matchAll(/^```(js|html)\n([\s\S]*?)^```$/gm)].map(({ 1: language, 2: code, index }) => ({
    language,
    code,
    heading: [...text.slice(0, index).matchAll(/^#+ (.*)$/gm)].at(-1)[1],
  }));
}

/** A server that answers as Hugging Face does for one repository, whose file has the bytes of `model`. */
async function startHub(model) {
  const file = 'SmolLM2-135M-Instruct-Q4_K_M.gguf';
  const size = model.byteLength;
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://hub');
    const headers = {
      'access-control-allow-origin': '*',
      'access-control-expose-headers': '*',
      'cross-origin-resource-policy': 'cross-origin',
    };
    if (pathname.includes('/api/models/')) {
      const list = pathname.includes('/tree/')
        ? [{ type: 'file', path: file, size }]
        : { siblings: [{ rfilename: file }] };
      return response
        .writeHead(200, { ...headers, 'content-type': 'application/json' })
        .end(JSON.stringify(list));
    }
    if (!pathname.endsWith(`/resolve/main/${file}`)) return response.writeHead(404, headers).end();
    const [, first = '0', last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
    const end = last ? Math.min(Number(last), size - 1) : size - 1;
    response.writeHead(request.headers.range ? 206 : 200, {
      ...headers,
      'content-length': end - Number(first) + 1,
      'accept-ranges': 'bytes',
      etag: '"one"',
      ...(request.headers.range && { 'content-range': `bytes ${first}-${end}/${size}` }),
    });
    if (request.method === 'HEAD') return response.end();
    response.end(model.subarray(Number(first), end + 1));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${server.address().port}`;
  return { address, close: () => (server.closeAllConnections(), server.close()) };
}

/** Runs `code` as main.mjs of an empty project; resolves to what it printed. */
async function runInNode(code, hub) {
  const folder = await mkdtemp(path.join(os.tmpdir(), 'guide-'));
  try {
    await mkdir(path.join(folder, 'node_modules'));
    await symlink(root, path.join(folder, 'node_modules/wasm-chord'));
    await symlink(path.join(root, MODEL), path.join(folder, 'model.gguf'));
    await writeFile(path.join(folder, 'main.mjs'), code);
    const env = { ...process.env, HF_ENDPOINT: hub.address, WASM_CHORD_CACHE: path.join(folder, 'cache') };
    const { stdout } = await promisify(execFile)(process.execPath, ['main.mjs'], { cwd: folder, env });
    return stdout;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Opens `code` as a page; resolves when it shows `pattern`. */
async function runInPage(code, hub, pattern) {
  await withServer({ isolated: false, extra: { 'access-control-allow-origin': '*' } }, (cdn) =>
    withBrowser(async (browser) => {
      const context = await browser.newContext();
      const playedBy = (address) => async (route) => {
        const { pathname, search } = new URL(route.request().url());
        const url = address + pathname.replace(/^\/npm\/wasm-chord@[\d.]+\//, '/') + search;
        await route.fulfill({ response: await route.fetch({ url }) });
      };
      await context.route('https://cdn.jsdelivr.net/**', playedBy(cdn));
      await context.route('https://huggingface.co/**', playedBy(hub.address));
      await context.route('**/pasted.html', (route) =>
        route.fulfill({ body: code, contentType: 'text/html' }),
      );
      const page = await openPage(context, `${cdn}/pasted.html`);
      await page
        .waitForFunction((source) => new RegExp(source).test(document.body.innerText), pattern.source, {
          timeout: 60_000,
        })
        .catch(async (error) => {
          const shown = await page.evaluate(() => document.body.innerText);
          assert.fail(`${error.message}\nthe page shows: ${shown}\n${page.faults.join('\n')}`);
        });
      assert.deepEqual(page.faults, []);
    }),
  );
}

for (const [page, expected] of Object.entries(BLOCKS)) {
  if (!existsSync(path.join(root, page))) continue;
  const blocks = await blocksOf(page);
  test(`every block of code of ${page} is tested`, () => {
    assert.deepEqual(
      blocks.map(({ heading }) => heading),
      expected.map(([heading]) => heading),
    );
  });
  for (const [i, { heading, code, language }] of blocks.entries()) {
    test(`${page}, ${heading}, block ${i + 1}: does what it says when pasted`, needs(MODEL), async () => {
      // The page has a tiny model: each byte of the hub's goes through the test.
      const isPage = language === 'html';
      const hub = await startHub(await (isPage ? withTemplate(CHATML) : readFile(path.join(root, MODEL))));
      try {
        const pattern = expected[i]?.[1];
        if (isPage) await runInPage(code, hub, pattern);
        else assert.match(await runInNode(code, hub), pattern);
      } finally {
        hub.close();
      }
    });
  }
}
