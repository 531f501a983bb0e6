// SPDX-License-Identifier: Apache-2.0
// errors.test.mjs: what a page that is set up wrongly is told. Each mistake is made on purpose, and the error
// must name the file and what to do.
import test from 'node:test';
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { needs } from '../e2e/browser.mjs';
import { assertAnswer, fixture, prompt, resultOf, run, tool, withBrowser, withPage } from './stacks.mjs';

const types = { '.html': 'text/html', '.js': 'text/javascript', '.wasm': 'application/wasm' };
const isolated = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
};
const anyOrigin = { 'access-control-allow-origin': '*' };
/** What a host of single-page apps sends for a file that it doesn't have. */
const fallback = { file: 'index.html', type: 'text/html' };

/**
 * Runs `use(address)` with a server of `folder`. `change(name)` is how the answer for a file differs:
 * { file, type, status, headers }.
 */
async function withFaultyServer(folder, change, use) {
  const server = createServer(async (request, response) => {
    const name = path.posix.normalize(new URL(request.url, 'http://localhost').pathname).slice(1);
    const asked = name || 'index.html';
    const { file = asked, type, status, headers } = change(asked) ?? {};
    const body = await readFile(path.join(folder, file)).catch(() => undefined);
    response.writeHead(status ?? (body ? 200 : 404), {
      'content-type': type ?? types[path.extname(file)] ?? 'application/octet-stream',
      ...headers,
    });
    response.end(body);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    return await use(`http://localhost:${server.address().port}`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const dist = './node_modules/wasm-chord/dist';
/** What a page that imports `from` is told, where the server changes answers by `change`. */
const told = ({ from = 'index.js', options, change = () => undefined }) =>
  withPage({ from: `${dist}/${from}`, options }, async (folder) => {
    await cp(fixture, path.join(folder, 'model.gguf'));
    return withFaultyServer(folder, change, (address) =>
      withBrowser((browser) => resultOf(browser, `${address}/`)),
    );
  });

const policy = (text) => () => ({ headers: { 'content-security-policy': text } });
const strict = "script-src 'self' 'wasm-unsafe-eval'";
const only = (pattern, change) => (name) => (pattern.test(name) ? change : undefined);
const noModule = /wasm32-relaxed\.wasm.*wasmUrl, or import from wasm-chord\/inline/s;
const mistakes = {
  'worker.js is missing': [
    { change: only(/worker\.js$/, { status: 404 }) },
    /worker\.js must be served as JavaScript.*wasm-chord\/inline/s,
  ],
  'the page of an app comes in the place of worker.js': [
    { change: only(/worker\.js$/, fallback) },
    /worker\.js must be served as JavaScript/,
  ],
  'a policy forbids workers': [
    { change: policy(`${strict}; worker-src 'none'`) },
    /content security policy \(worker-src\)/,
  ],
  'a policy forbids the blob: workers of wasm-chord/inline': [
    { from: 'inline.js', change: policy(strict) },
    /worker-src blob:.*name workerUrl, threadUrl and wasmUrl/s,
  ],
  'a policy forbids WebAssembly': [
    { change: policy("script-src 'self'") },
    /a policy forbids WebAssembly.*add 'wasm-unsafe-eval' to script-src/s,
  ],
  'a policy forbids the download of a module': [
    { change: policy(`${strict}; connect-src 'none'`) },
    /can't fetch .*wasm32-relaxed\.wasm.*connect-src/s,
  ],
  'a module is missing': [{ change: only(/\.wasm$/, { status: 404 }) }, noModule],
  'the page of an app comes in the place of a module': [
    { change: only(/\.wasm$/, fallback) },
    new RegExp(`is a web page.*${noModule.source.split('.*')[1]}`, 's'),
  ],
  'something else comes in the place of a module': [
    { change: only(/\.wasm$/, { file: 'package.json' }) },
    noModule,
  ],
  "worker.js lacks an isolated page's header": [
    { change: only(/^index\.html$/, { headers: isolated }) },
    /on an isolated page have its Cross-Origin-Embedder-Policy header/,
  ],
  'the page of an app comes in the place of the model': [
    { change: only(/\.gguf$/, fallback) },
    /model\.gguf is a web page/,
  ],
};
for (const [name, [setup, expected]] of Object.entries(mistakes))
  test(`the error helps where ${name}`, needs(), async () => {
    const { error, hint } = await told(setup);
    assert.match(`${error}\n${hint}`, expected);
  });

test('the reason for one thread names thread.js where that lacks the header', needs(), async () => {
  const change = (name) => (/thread\.js$/.test(name) ? undefined : { headers: isolated });
  const { text, threads, backendReason } = await told({ change });
  assert.ok(text.length > 0);
  assert.equal(threads, 1);
  assert.match(backendReason, /thread\.js can't be started \(it needs the headers of worker\.js\)/);
});

test('a module of a wrong type runs', needs(), async () => {
  assertAnswer(await told({ change: only(/\.wasm$/, { type: 'text/plain' }) }));
});

test('the error helps where a module of another origin may not be read', needs(), () =>
  withPage({}, (cdn) =>
    withFaultyServer(
      cdn,
      (name) => ({ headers: name.endsWith('.wasm') ? isolated : { ...isolated, ...anyOrigin } }),
      async (address) => {
        const options = `{ wasmUrl: '${address}/node_modules/wasm-chord/dist/' }`;
        const { error, hint } = await told({ options, change: () => ({ headers: isolated }) });
        assert.match(`${error}\n${hint}`, /can't fetch .*wasm32-relaxed.*Access-Control-Allow-Origin/s);
      },
    ),
  ),
);

// Chromium loads no module of a page that is opened as a file: only a classic script runs there.
for (const [options, expected] of [
  ['{}', /opened as a file can start no worker: serve its folder; worker: false/],
  ['{ worker: false }', /can't fetch file:.*serve its folder, or pass a File/s],
])
  test(`the error helps where a page is opened as a file, with the options ${options}`, needs(), () =>
    withPage({ from: 'wasm-chord/inline', options }, async (folder) => {
      await tool('esbuild/bin/esbuild', ['main.js', '--bundle', '--outfile=bundle.js'], folder);
      const page = path.join(folder, 'index.html');
      const html = await readFile(page, 'utf8');
      await writeFile(page, html.replace('type="module" src="./main.js"', 'defer src="bundle.js"'));
      const told = await withBrowser((browser) => resultOf(browser, pathToFileURL(page).href));
      assert.match(`${told.error}\n${told.hint}`, expected);
    }),
  );

test('a Node program in one file is told to leave the package out, and runs with wasm-chord/inline', () =>
  withPage({}, async (folder) => {
    await cp(fixture, path.join(folder, 'model.gguf'));
    const bundled = async (from) => {
      const program = `
        import { loadModel } from '${from}';
        async function answer() {
          const model = await loadModel('model.gguf');
          const text = await model.generate(${prompt}).text();
          await model.dispose();
          return 'answered ' + text.length;
        }
        answer().then(console.log, (error) => console.log(String(error), error.hint));`;
      await writeFile(path.join(folder, 'program.js'), program);
      const parameters = [
        'program.js',
        '--bundle',
        '--platform=node',
        '--format=cjs',
        '--outfile=out/all.cjs',
      ];
      await tool('esbuild/bin/esbuild', parameters, folder);
      return (await run([process.execPath, 'out/all.cjs'], folder)).output;
    };
    const hint = /engine worker can't be started.*a bundler must leave the package out of its bundle/;
    assert.match(await bundled('wasm-chord'), hint);
    assert.match(await bundled('wasm-chord/inline'), /^answered [1-9]/);
  }));
