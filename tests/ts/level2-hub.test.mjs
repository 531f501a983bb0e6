// SPDX-License-Identifier: Apache-2.0
// level2-hub.test.mjs: addresses hf: against a hub of our own, whose files lie on another origin; headers,
// credentials and fetch; a directory that the user picked.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { after, before } from 'node:test';
import { deleteModel, downloadModel, estimateModel, listModels } from '../../dist/index.js';
import { refused, withModel } from './level2.mjs';

const golden = (name) => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));
const WHOLE = await readFile(golden('f16-fused.gguf'));
const SHARDS = [1, 2, 3].map((no) => `f16-fused-0000${no}-of-00003.gguf`);
const TOKEN = 'hf_secretSECRETsecret';
const IDS = [1, 2, 3, 250];

/** The files of each repository and revision. */
const shardBytes = await Promise.all(SHARDS.map((name) => readFile(golden(`shards/${name}`))));
const split = Object.fromEntries(
  SHARDS.map((name, i) => [`UD/${name}`.replace('f16', 'Q8_0'), shardBytes[i]]),
);
const repositories = {
  'owner/repo@main': {
    'README.md': Buffer.from('text'),
    'tiny-Q4_K_M.gguf': WHOLE,
    'tiny-Q4_K_S.gguf': WHOLE,
    'tiny-IQ4_K_M.gguf': WHOLE,
    'mmproj-tiny-Q4_K_M.gguf': Buffer.from('projector'),
    ...split,
  },
  'owner/repo@v1.0': { 'old tiny#1.Q4_K_M.gguf': WHOLE },
  'owner/one@main': { 'tiny.gguf': WHOLE, 'mmproj-F16.gguf': Buffer.from('projector') },
  'owner/cut@main': { 'x-00001-of-00002.gguf': shardBytes[0] },
  'owner/empty@main': { 'README.md': Buffer.from('text') },
};
let requests = [];
/** refuses: the hub's lists that are answered by 503. */
const state = { refuses: 0 };
let hub;
let files;

const listen = (answer) =>
  new Promise((resolve) => {
    const server = createServer((request, response) => {
      requests.push({ server, url: decodeURIComponent(request.url), headers: request.headers });
      answer(request, response);
    });
    server.listen(0, '127.0.0.1', () =>
      resolve(Object.assign(server, { origin: `http://127.0.0.1:${server.address().port}` })),
    );
  });

const fail = (response, status, code) =>
  response.writeHead(status, code && { 'x-error-code': code }).end('no');

function answerHub(request, response) {
  const { pathname, searchParams } = new URL(request.url, 'http://hub');
  const isOpen = request.headers.authorization === `Bearer ${TOKEN}`;
  if (pathname.includes('owner/gated')) return fail(response, isOpen ? 403 : 401, 'GatedRepo');
  if (pathname.includes('owner/private') && !isOpen) return fail(response, 401, 'RepoNotFound');
  const [, repo, revision] =
    /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)/.exec(pathname) ??
    /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)/.exec(pathname) ??
    [];
  const repository = repositories[`${repo}@${revision}`];
  if (repository === undefined)
    return fail(response, 404, `${repo}@main` in repositories ? 'RevisionNotFound' : 'RepoNotFound');
  if (pathname.startsWith('/api/')) {
    if (state.refuses-- > 0) return fail(response, 503);
    state.refuses = 0;
    assert.equal(searchParams.get('recursive'), 'true');
    // Three entries per page.
    const names = Object.keys(repository);
    const at = Number(searchParams.get('cursor') ?? 0);
    const list = names
      .slice(at, at + 3)
      .map((path) => ({ type: 'file', path, size: repository[path].byteLength }));
    const next = `<${hub.origin}${pathname}?recursive=true&cursor=${at + 3}>; rel="next"`;
    return response.writeHead(200, at + 3 < names.length ? { link: next } : {}).end(JSON.stringify(list));
  }
  const name = decodeURIComponent(pathname.split('/').slice(5).join('/'));
  if (repository[name] === undefined) return fail(response, 404, 'EntryNotFound');
  response
    .writeHead(302, { location: `${files.origin}/${repo}/${revision}/${encodeURIComponent(name)}` })
    .end();
}

function answerFiles(request, response) {
  const [, owner, repo, revision, name] = request.url.split('?')[0].split('/');
  const body = repositories[`${owner}/${repo}@${revision}`][decodeURIComponent(name)];
  response.writeHead(200, { 'content-length': body.byteLength }).end(body);
}

before(async () => {
  hub = await listen(answerHub);
  files = await listen(answerFiles);
});
after(() => {
  for (const server of [hub, files]) {
    server.closeAllConnections();
    server.close();
  }
});

const options = (more = {}) => ({
  threads: 1,
  cache: 'none',
  hub: { endpoint: hub.origin },
  ...more,
});
const logitsOf = (source, more) =>
  withModel(source, options(more), async (model) => Buffer.from((await model.logits(IDS)).buffer));
const isTheModel = async (source, more) =>
  assert.ok((await logitsOf(source, more)).equals(await logitsOf(WHOLE)), `${source} has other logits`);
const load = (source, more) => withModel(source, options(more), () => {});

test('hf:owner/repo/file.gguf is the file, and the token goes to the hub alone', async () => {
  requests = [];
  const reports = [];
  await isTheModel('hf:owner/repo/tiny-Q4_K_M.gguf', {
    hub: { endpoint: `${hub.origin}/`, token: TOKEN },
    headers: { 'x-mine': '1' },
    onProgress: (report) => reports.push(report),
  });
  const [first] = requests;
  assert.equal(first.url, '/owner/repo/resolve/main/tiny-Q4_K_M.gguf');
  assert.ok(requests.some(({ server }) => server === files));
  for (const { server, headers } of requests) {
    assert.equal(headers.authorization, server === hub ? `Bearer ${TOKEN}` : undefined);
    assert.equal(headers['x-mine'], '1');
  }
  assert.ok(reports.every(({ file }) => file === 'hf:owner/repo/tiny-Q4_K_M.gguf'));
});

test('hf:owner/repo:QUANT finds the only model of a quantisation, whole or split', async () => {
  await isTheModel('hf:owner/repo:Q4_K_M');
  await isTheModel('hf:owner/repo:q4_k_m');
  await isTheModel('hf:owner/repo:Q8_0');
  await isTheModel('hf:owner/repo@v1.0:Q4_K_M');
  await isTheModel('hf://owner/repo@v1.0/old tiny#1.Q4_K_M.gguf');
  await isTheModel('hf:owner/one');
  await isTheModel(['hf:owner/one/tiny.gguf']);
  await isTheModel(`hf:owner/repo/${Object.keys(split)[1]}`);
});

test('an address that fits no file, or several, lists the GGUF files', async () => {
  const none = await refused(
    load('hf:owner/repo:Q5_0'),
    'invalid-argument',
    'no GGUF files of Q5_0',
    'tiny-Q4_K_M.gguf',
    'Q8_0',
  );
  assert.ok(!none.message.includes('mmproj') && !none.message.includes('README'));
  const several = await refused(
    load('hf:owner/repo'),
    'invalid-argument',
    'several GGUF files',
    'tiny-IQ4_K_M.gguf',
  );
  assert.match(several.hint, /hf:owner\/repo\/.*\.gguf/);
  await refused(load('hf:owner/empty'), 'invalid-argument', 'it has no model');
  await refused(load('hf:owner/cut'), 'invalid-argument', 'lacks the shard x-00002-of-00002.gguf');
  for (const address of ['hf:', 'hf:owner', 'hf:owner/repo:', 'hf:owner/repo/', 'hf:a b/repo/x'])
    assert.match((await refused(load(address), 'invalid-argument', address)).hint, /hf:owner\/repo/);
});

test('refusals of the hub are http errors with hints, and no error has the token', async () => {
  const token = { hub: { endpoint: hub.origin, token: TOKEN } };
  for (const [source, more, status, hint] of [
    ['hf:owner/gated/x.gguf', {}, '401', /accept the terms/],
    ['hf:owner/gated/x.gguf', token, '403', /accept the terms/],
    ['hf:owner/gated:Q4_0', token, '403', /accept the terms/],
    ['hf:owner/private/x.gguf', {}, '401', /hub: \{ token \}/],
    ['hf:owner/nothing/x.gguf', token, '404', /check owner and repository/],
    ['hf:owner/repo/none.gguf', token, '404', /no such file/],
    ['hf:owner/repo@v9/none.gguf', token, '404', /no such revision/],
    ['hf:owner/repo@v9:Q4_0', token, '404', /no such revision/],
  ]) {
    const error = await refused(load(source, more), 'http', status, source.split(':Q')[0]);
    assert.match(error.hint, hint);
    assert.ok(!`${error.stack} ${JSON.stringify(error)} ${error.cause?.stack}`.includes(TOKEN));
  }
  const gone = { hub: { endpoint: 'http://127.0.0.1:1', token: TOKEN } };
  for (const source of ['hf:owner/repo/x.gguf', 'hf:owner/repo:Q4_0']) {
    const error = await refused(load(source, gone), 'io', 'hf:owner/repo');
    assert.ok(!`${error.stack} ${error.cause?.stack}`.includes(TOKEN));
  }
  const bad = await refused(
    load('hf:owner/repo/x.gguf', { hub: { token: `${TOKEN}\n` } }),
    'invalid-argument',
    'hub.token',
  );
  assert.ok(!bad.stack.includes(TOKEN));
});

test('deleteModel finds what an address hf: loaded, and asks no hub', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'chord-hub-'));
  try {
    const keep = (source) => downloadModel(source, { hub: { endpoint: hub.origin }, cache });
    const left = async () => (await listModels({ cache })).map(({ name }) => name).sort();
    for (const source of ['hf:owner/repo:Q4_K_M', 'hf:owner/repo/tiny-Q4_K_S.gguf', 'hf:owner/repo@v1.0'])
      await keep(source);
    const model = 'hf:owner/repo/tiny-Q4_K_M.gguf';
    const [small, old] = ['hf:owner/repo/tiny-Q4_K_S.gguf', 'hf:owner/repo@v1.0/old tiny#1.Q4_K_M.gguf'];
    assert.deepEqual(await left(), [model, small, old]);
    requests = [];
    await refused(
      deleteModel('hf:owner/repo', { cache }),
      'invalid-argument',
      'several',
      'hf:owner/repo',
      'tiny-Q4_K_S.gguf',
    );
    assert.equal(await deleteModel('hf:owner/repo:Q8_0', { cache }), false);
    assert.equal(await deleteModel('hf:owner/repo/none.gguf', { cache }), false);
    assert.equal(await deleteModel('hf:owner/repo:Q4_K_M', { cache }), true);
    assert.deepEqual(await left(), [small, old]);
    assert.equal(await deleteModel('hf:owner/repo', { cache }), true);
    assert.equal(await deleteModel(old, { cache }), true);
    assert.deepEqual(await left(), []);
    assert.equal(requests.length, 0, 'a deletion asked the hub');
    await keep('hf:owner/repo:Q8_0');
    assert.equal((await left()).length, 3);
    assert.equal(await deleteModel('hf:owner/repo:Q8_0', { cache }), true);
    assert.deepEqual(await left(), []);
  } finally {
    await rm(cache, { recursive: true });
  }
});

test('without its hub an address hf: is loaded from the whole copies that the cache keeps', async () => {
  const cache = await mkdtemp(join(tmpdir(), 'chord-hub-'));
  try {
    for (const source of ['hf:owner/repo:Q4_K_M', 'hf:owner/repo:Q8_0'])
      await downloadModel(source, { hub: { endpoint: hub.origin }, cache });
    const gone = { hub: { endpoint: 'http://127.0.0.1:1' }, cache };
    for (const source of ['hf:owner/repo:Q4_K_M', 'hf:owner/repo:Q8_0']) {
      await isTheModel(source, gone);
      assert.ok((await estimateModel(source, gone)).fits);
      assert.ok((await downloadModel(source, gone)).isComplete);
    }
    state.refuses = 9; // 503, for each of three tries
    await isTheModel('hf:owner/repo:Q4_K_M', { cache });
    state.refuses = 0;
    await refused(load('hf:owner/repo:Q4_K_S', gone), 'io', 'hf:owner/repo');
    await refused(load('hf:owner/repo:Q4_K_M', { ...gone, cache: 'none' }), 'io', 'hf:owner/repo');
    await deleteModel('hf:owner/repo/UD/Q8_0-fused-00002-of-00003.gguf', { cache });
    await refused(load('hf:owner/repo:Q8_0', gone), 'io', 'hf:owner/repo');
  } finally {
    state.refuses = 0;
    await rm(cache, { recursive: true });
  }
});

test("the hub's list of files is asked for again after a failure that may pass", async () => {
  state.refuses = 2;
  await isTheModel('hf:owner/repo:Q4_K_M');
  assert.equal(state.refuses, 0);
  for (const source of ['hf:../..:Q8_0', 'hf:o?x/r#y:Q8_0'])
    await refused(load(source), 'invalid-argument', source);
});

test('the address of a page that shows a file stands for the file', async () => {
  requests = [];
  await isTheModel(`${hub.origin}/owner/repo/blob/v1.0/old%20tiny%231.Q4_K_M.gguf`);
  assert.equal(requests[0].url, '/owner/repo/resolve/v1.0/old tiny#1.Q4_K_M.gguf');
});

test('HF_ENDPOINT and HF_TOKEN are the defaults in Node', async () => {
  Object.assign(process.env, { HF_ENDPOINT: hub.origin, HF_TOKEN: `${TOKEN}\n` });
  try {
    requests = [];
    await isTheModel('hf:owner/one', { hub: undefined });
    assert.ok(requests.some(({ headers }) => headers.authorization === `Bearer ${TOKEN}`));
    requests = [];
    await isTheModel(`${files.origin}/owner/one/main/tiny.gguf`, { hub: undefined });
    assert.ok(requests.every(({ headers }) => headers.authorization === undefined));
  } finally {
    delete process.env.HF_ENDPOINT;
    delete process.env.HF_TOKEN;
  }
});

test('headers go with the requests of a URL; a fetch of the caller makes them', async () => {
  const url = `${files.origin}/owner/one/main/tiny.gguf`;
  requests = [];
  await isTheModel(url, { headers: new Headers({ 'x-mine': '2' }), credentials: 'omit' });
  assert.ok(requests.length > 0 && requests.every(({ headers }) => headers['x-mine'] === '2'));
  const calls = [];
  const own = (address, init) => {
    calls.push([address, init]);
    return fetch(address, init);
  };
  await isTheModel(url, { fetch: own, headers: [['x-mine', '3']], credentials: 'include' });
  assert.equal(calls[0][0], url);
  assert.deepEqual(calls[0][1].headers, [['x-mine', '3']]);
  assert.equal(calls[0][1].credentials, 'include');
  await isTheModel('hf:owner/repo:Q8_0', { fetch: own });
  await withModel(url, { ...options({ fetch: own }), worker: false }, async (model) => {
    const { bufferBytesPeak } = await model.counters();
    assert.ok(bufferBytesPeak <= 6 << 20, `${bufferBytesPeak} bytes`);
  });
  await refused(load(url, { fetch: () => Promise.reject(new Error('offline')) }), 'io', 'offline', url);
  await refused(load(url, { fetch: () => 5 }), 'invalid-argument', 'the option fetch returned a number');
  await refused(load(url, { fetch: async () => new Response('', { status: 503 }) }), 'http', '503');
});

test('a directory that the user picked holds one model', async () => {
  const directory = (name, contents) => ({
    kind: 'directory',
    name,
    async *values() {
      yield { kind: 'directory', name: 'more.gguf' };
      for (const [file, content] of Object.entries(contents))
        yield { kind: 'file', name: file, getFile: async () => new File([content], file) };
    },
  });
  const shards = Object.fromEntries(SHARDS.map((name, i) => [name, shardBytes[i]]).reverse());
  await isTheModel(directory('one', { 'a.gguf': WHOLE, 'notes.txt': 'x', 'mmproj-a.gguf': 'x' }));
  await isTheModel(directory('split', shards));
  await refused(
    load(directory('two', { 'a.gguf': WHOLE, ...shards })),
    'invalid-argument',
    'two has several',
    'a.gguf',
    SHARDS[0].slice(0, 9),
  );
  await refused(load(directory('none', { 'notes.txt': 'x' })), 'invalid-argument', 'none', 'no model');
  delete shards[SHARDS[1]];
  await refused(
    load(directory('cut', shards)),
    'invalid-argument',
    `cut lacks the shard ${basename(SHARDS[1])}`,
  );
  const gone = {
    kind: 'directory',
    name: 'gone',
    values() {
      throw new Error('no permission');
    },
  };
  await refused(load(gone), 'io', 'gone', 'no permission');
});
