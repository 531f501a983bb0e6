// SPDX-License-Identifier: Apache-2.0
// serve.mjs: a static server for the example pages and the tests: `node tools/serve.mjs [folder]`.
//
// ISOLATED=0 leaves out the COOP/COEP headers that give a page shared memory. PORT: default 8080; 0 picks a
// free port. HOST: the address to listen on, by default 127.0.0.1, this machine alone; 0.0.0.0 lets the
// network in. Range requests are answered, because model headers are read with them. Only GET and HEAD, and
// only files inside the folder, are answered. Two answers aren't files: / leads to examples/ where the folder
// has no index.html, and models/index.json lists the .gguf files in models/. As a module: startServer({ root,
// isolated, port, host }).
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const types = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.md': 'text/plain; charset=utf-8',
  '.ts': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.wasm': 'application/wasm',
  '.gguf': 'application/octet-stream',
};
/** The page with links to all others. */
const INDEX = 'examples/index.html';
const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
};

/**
 * Returns [first, last] of a single `bytes=` range within `size` bytes, null without a range, 'bad' for an
 * invalid range.
 */
function rangeOf(header, size) {
  if (header === undefined) return null;
  const found = /^bytes=(\d*)-(\d*)$/.exec(header);
  // Several ranges, or another unit: the whole file is a correct answer.
  if (!found || (found[1] === '' && found[2] === '')) return null;
  const [first, last] =
    found[1] === ''
      ? [Math.max(0, size - Number(found[2])), size - 1]
      : [Number(found[1]), found[2] === '' ? size - 1 : Math.min(Number(found[2]), size - 1)];
  return first <= last && first < size ? [first, last] : 'bad';
}

/** The file for a URL: inside `root`; for a folder its index.html; null when there is none. */
async function find(root, url) {
  let relative;
  try {
    relative = decodeURIComponent(new URL(url, 'http://localhost').pathname);
  } catch {
    return null;
  }
  let file = path.join(root, relative);
  if (file !== root && !file.startsWith(root.endsWith(path.sep) ? root : root + path.sep)) return null;
  if (relative.split('/').some((part) => part.startsWith('.'))) return null;
  let info = await stat(file).catch(() => null);
  if (info?.isDirectory()) {
    if (!relative.endsWith('/')) return { status: 301, redirect: `${relative}/` };
    file = path.join(file, 'index.html');
    info = await stat(file).catch(() => null);
    if (!info && relative === '/' && (await stat(path.join(root, INDEX)).catch(() => null)))
      return { status: 302, redirect: `/${path.dirname(INDEX)}/` };
  }
  return info?.isFile()
    ? { file, size: info.size, etag: `"${info.size.toString(36)}-${info.mtimeMs.toString(36)}"` }
    : null;
}

/** The list of models that the pages offer. */
async function modelList(folder) {
  const names = await readdir(folder).catch(() => []);
  const models = names.filter((name) => name.endsWith('.gguf')).sort();
  return Promise.all(
    models.map(async (file) => ({ file, bytes: (await stat(path.join(folder, file))).size })),
  );
}

async function answer(root, headers, request, response) {
  const end = (status, extra = {}) =>
    response.writeHead(status, { ...headers, 'content-type': 'text/plain', ...extra }).end(`${status}\n`);
  if (request.method !== 'GET' && request.method !== 'HEAD') return end(405, { allow: 'GET, HEAD' });
  const found = await find(root, request.url);
  if (!found && request.url === '/models/index.json')
    return response
      .writeHead(200, { ...headers, 'content-type': types['.json'], 'cache-control': 'no-cache' })
      .end(JSON.stringify(await modelList(path.join(root, 'models'))));
  if (!found) return end(404);
  if (found.redirect) return end(found.status, { location: encodeURI(found.redirect) });
  // A download that is continued asks for the rest of the file that it began with.
  const isOther = ![undefined, found.etag].includes(request.headers['if-range']);
  const range = isOther ? null : rangeOf(request.headers.range, found.size);
  if (range === 'bad') return end(416, { 'content-range': `bytes */${found.size}` });
  const [first, last] = range ?? [0, found.size - 1];
  response.writeHead(range ? 206 : 200, {
    ...headers,
    'content-type': types[path.extname(found.file)] ?? 'application/octet-stream',
    'content-length': last - first + 1,
    'accept-ranges': 'bytes',
    etag: found.etag,
    'cache-control': 'no-cache',
    ...(range ? { 'content-range': `bytes ${first}-${last}/${found.size}` } : {}),
  });
  if (request.method === 'HEAD' || found.size === 0) return response.end();
  const stream = createReadStream(found.file, { start: first, end: last });
  stream.on('error', () => response.destroy());
  // The reader closed the connection.
  response.on('close', () => stream.destroy());
  stream.pipe(response);
}

/** Serves `root`, with `extra` headers. Resolves to { address, close() } once the server listens. */
export async function startServer({ root, isolated = true, port = 0, host = '127.0.0.1', extra = {} }) {
  const folder = path.resolve(root);
  const headers = { ...(isolated ? isolation : {}), ...extra };
  const server = createServer(
    (request, response) => void answer(folder, headers, request, response).catch(() => response.destroy()),
  );
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    address: `http://localhost:${server.address().port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

/** The folders of the example pages, and of the benchmark. */
async function pagesOf(root) {
  const examples = await readdir(path.join(root, 'examples')).catch(() => []);
  const folders = [...examples.sort().map((name) => `examples/${name}`), 'bench'];
  const isPage = await Promise.all(
    folders.map((folder) => stat(path.join(root, folder, 'index.html')).catch(() => null)),
  );
  return folders.filter((_, i) => isPage[i]);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = process.argv[2] ?? fileURLToPath(new URL('..', import.meta.url));
  const isolated = process.env.ISOLATED !== '0';
  const { PORT: port = 8080, HOST: host } = process.env;
  const { address } = await startServer({ root, isolated, port: Number(port), host });
  console.log(`${address}/  (${isolated ? 'cross-origin isolated' : 'not isolated: one thread'})`);
  for (const folder of await pagesOf(root)) console.log(`  ${address}/${folder}/`);
}
