// SPDX-License-Identifier: Apache-2.0
// hostile-server.mjs: a server of one file that does by chance what servers and networks do: it cuts bodies,
// throttles, answers 503, lies about ranges and lengths, redirects. `faults` are probabilities per request.
import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** A generator of numbers from 0 to 1 that gives the same ones for the same seed (mulberry32). */
export function randomOf(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const etagOf = (bytes) => `"${sha256(bytes).slice(0, 20)}"`;

/**
 * Starts the server. `state` may be changed at any time:
 *   bytes, etag, modified       the file and its validators (etag null: none)
 *   ranges                      false: Range is ignored
 *   gzip                        true: every body is compressed
 *   headers                     more headers
 *   faults                      { cut, status, lie, page, redirect }: probabilities from 0 to 1
 *   bytesPerSecond              of each connection; 0: as fast as it goes
 *   random                      the source of chance
 * It counts requests, and sent bytes of the file.
 */
export async function startHostile(bytes, given = {}) {
  const state = {
    bytes,
    etag: etagOf(bytes),
    modified: null,
    ranges: true,
    gzip: false,
    headers: {},
    faults: {},
    bytesPerSecond: 0,
    random: randomOf(1),
    requests: [],
    sent: 0,
    /** Called before each answer; returns true if it has answered. */
    onRequest: () => false,
    ...given,
  };
  const server = createServer((request, response) => answer(state, request, response));
  server.on('clientError', (_, socket) => socket.destroy());
  await new Promise((resolve) => server.listen(state.port ?? 0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    state,
    port,
    url: `http://127.0.0.1:${port}/model.gguf`,
    close: () =>
      new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      }),
  };
}

function answer(state, request, response) {
  state.requests.push({ url: request.url, range: request.headers.range, headers: request.headers });
  response.on('error', () => {});
  if (state.onRequest(request, response)) return;
  const { faults, random, bytes } = state;
  const happens = (fault) => random() < (faults[fault] ?? 0);
  if (happens('redirect') && !request.url.includes('moved'))
    return response.writeHead(302, { location: `/moved${request.url}` }).end();
  if (happens('status')) {
    const status = [500, 502, 503, 429, 408][Math.floor(random() * 5)];
    return response.writeHead(status, status === 503 ? { 'retry-after': '0' } : {}).end('later');
  }
  if (happens('page')) return response.writeHead(200, { 'content-type': 'text/html' }).end('<p>log in');
  const headers = { ...state.headers };
  if (state.etag) headers.etag = state.etag;
  if (state.modified) headers['last-modified'] = state.modified;
  if (state.gzip) {
    const body = gzipSync(bytes);
    return response
      .writeHead(200, { ...headers, 'content-encoding': 'gzip', 'content-length': body.length })
      .end(body);
  }
  const range = state.ranges && /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  if (state.ranges) headers['accept-ranges'] = 'bytes';
  if (!range) {
    response.writeHead(200, { ...headers, 'content-length': bytes.length });
    return send(state, response, bytes, happens('cut'));
  }
  let from = Number(range[1]);
  const to = range[2] === '' ? bytes.length : Math.min(Number(range[2]) + 1, bytes.length);
  if (from >= bytes.length)
    return response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  let total = bytes.length;
  let length = to - from;
  if (happens('lie')) {
    const lie = Math.floor(random() * 4);
    if (lie === 0 && length > 1) [from, length] = [from + 1, length - 1]; // another place than asked for
    if (lie === 1) total += 1; // another length than before
    if (lie === 2) length += 5; // a body that is longer than its range
    if (lie === 3) return response.writeHead(200, { ...headers, 'content-length': bytes.length }).end(bytes);
  }
  response.writeHead(206, {
    ...headers,
    'content-range': `bytes ${from}-${to - 1}/${total}`,
    'content-length': length,
  });
  send(state, response, bytes.subarray(from, to), happens('cut'));
}

/** Sends a body in slices. One that is cut ends at a random byte, together with its connection. */
function send(state, response, body, isCut) {
  const end = isCut ? Math.floor(state.random() * body.length) : body.length;
  const slice = 16_384;
  const next = (at) => {
    if (response.destroyed) return;
    if (at >= end) return isCut ? response.destroy() : response.end();
    const part = body.subarray(at, Math.min(at + slice, end));
    state.sent += part.length;
    const pause = state.bytesPerSecond ? (1000 * part.length) / state.bytesPerSecond : 0;
    response.write(part, () =>
      pause > 0 ? setTimeout(next, pause, at + part.length) : next(at + part.length),
    );
  };
  next(0);
}
