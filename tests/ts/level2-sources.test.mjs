// SPDX-License-Identifier: Apache-2.0
// level2-sources.test.mjs: unusual sources: errors without a reason, addresses that aren't URLs, streams
// whose cancel() never settles, pipes, devices, revoked blob URLs. A load that fails rejects with a
// ChordError at once.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadModel } from '../../dist/index.js';
import { FIXTURE, GREEDY, refused, withModel } from './level2.mjs';

const bytes = new Uint8Array(await readFile(FIXTURE));
/**
 * Settles as `promise` does, or rejects after ten seconds, so that a load that hangs doesn't hang the suite.
 */
const within = (promise) => {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(
      () => reject(new assert.AssertionError({ message: 'the load must settle within 10 s' })),
      10_000,
    );
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};
const ways = [{}, { worker: false }];

test("a source that fails without a reason, or with a value that isn't an Error, is io", async () => {
  for (const options of ways) {
    for (const reason of [
      undefined,
      null,
      5,
      'unplugged',
      Symbol('why'),
      Object.create(null),
      { message: Symbol('why') },
    ]) {
      const stream = new ReadableStream({
        pull(controller) {
          controller.error(reason);
        },
      });
      await refused(within(loadModel(stream, options)), 'io', 'the stream broke off after 0 bytes');
    }
  }
});

test("an address that isn't a URL is invalid-argument, and the message names it", async () => {
  for (const address of [
    'http://',
    'https://[',
    'http://a b/',
    'HTTP://:80',
    'file://host/model.gguf',
    'file:///a%2Fb',
  ])
    await refused(within(loadModel(address)), 'invalid-argument', address);
  for (const address of ['a\0b', 'file:///%00']) await refused(within(loadModel(address)), 'io');
});

test('a file handle whose getFile() returns no file is invalid-argument; one that fails is io', async () => {
  const gone = new DOMException('it was removed', 'NotFoundError');
  for (const options of ways) {
    for (const given of [undefined, null, 5, 'text', {}, bytes])
      await refused(
        within(loadModel({ getFile: async () => given }, options)),
        'invalid-argument',
        'getFile()',
      );
    const error = await refused(
      within(loadModel({ getFile: () => Promise.reject(gone) }, options)),
      'io',
      'it was removed',
    );
    assert.equal(error.cause, gone);
    await refused(within(loadModel({ getFile: () => Promise.reject(undefined) }, options)), 'io');
    await refused(
      within(
        loadModel(
          {
            getFile() {
              throw gone;
            },
          },
          options,
        ),
      ),
      'io',
      'it was removed',
    );
  }
});

test("an object whose fields can't be read is invalid-argument", async () => {
  const thrower = () => {
    throw new TypeError('mine');
  };
  const sources = [
    {
      get getFile() {
        return thrower();
      },
    },
    {
      get constructor() {
        return thrower();
      },
    },
    { constructor: { name: Symbol('x') } },
    new Proxy({}, { get: thrower, getPrototypeOf: thrower }),
    Object.create(null),
    Object.create(Response.prototype),
    Object.create(ReadableStream.prototype),
    Object.create(Blob.prototype),
    Object.create(URL.prototype),
    Object.create(Uint8Array.prototype),
  ];
  for (const [i, source] of sources.entries())
    await refused(within(loadModel(source)), 'invalid-argument').catch((error) =>
      assert.fail(`source ${i}: ${error.message}`),
    );
  const chunk = Object.defineProperty({}, 'constructor', { get: thrower });
  await refused(
    within(
      loadModel(
        new ReadableStream({
          pull(controller) {
            controller.enqueue(chunk);
          },
        }),
      ),
    ),
    'invalid-argument',
    'not bytes',
  );
});

test('a stream whose cancel() never settles delays neither the error nor the model', async () => {
  const reason = new Error('enough');
  for (const options of ways) {
    const hanging = (pull) =>
      new ReadableStream({ pull, cancel: () => new Promise(() => {}) }, { highWaterMark: 0 });
    await refused(
      within(
        loadModel(
          hanging((controller) => controller.enqueue(new Uint8Array(5000))),
          options,
        ),
      ),
      'invalid-gguf',
    );
    const controller = new AbortController();
    const silent = loadModel(
      hanging(() => new Promise(() => {})),
      { ...options, signal: controller.signal },
    );
    setTimeout(() => controller.abort(reason), 50);
    await assert.rejects(within(silent), (error) => error === reason);
    // Bytes follow the last tensor, so the load ends before the stream does.
    let at = 0;
    const whole = hanging((controller) =>
      controller.enqueue(
        bytes.slice(at, (at += 100_000)).length > 0 ? bytes.slice(at - 100_000, at) : new Uint8Array(1000),
      ),
    );
    const model = await within(loadModel(whole, options));
    assert.notEqual(await model.generate('Hello', GREEDY).text(), '');
    await model.dispose();
  }
  await withModel(FIXTURE, {}, (model) => model.generate('Hello', GREEDY).text());
});

const isWindows = process.platform === 'win32' && 'there is no mkfifo here';
const descriptors = () => readdirSync('/proc/self/fd').length;
const noProc = process.platform !== 'linux' && 'there is no /proc here';

/** Runs `use(file)` with a fresh FIFO. */
async function withPipe(use) {
  const folder = await mkdtemp(path.join(tmpdir(), 'chord-pipe-'));
  try {
    const file = path.join(folder, 'pipe');
    execFileSync('mkfifo', [file]);
    await use(file);
  } finally {
    await rm(folder, { recursive: true });
  }
}

test(
  'a model loads from a pipe, whose length is unknown; a pipe that closes early is invalid-gguf',
  { skip: isWindows },
  () =>
    withPipe(async (pipe) => {
      const write = (command) =>
        spawn('sh', ['-c', `sleep 0.1; ${command} > "$1"`, 'sh', pipe, FIXTURE], { stdio: 'inherit' });
      const expected = await withModel(FIXTURE, {}, (model) => model.generate('Hello', GREEDY).text());
      for (const options of ways) {
        const totals = new Set();
        write('cat "$2"');
        const onProgress = ({ loaded, total }) => loaded === 0 && totals.add(total);
        const text = await withModel(pipe, { ...options, onProgress }, (model) =>
          model.generate('Hello', GREEDY).text(),
        );
        assert.equal(text, expected);
        assert.deepEqual([...totals], [undefined]);
        write('head -c 5000 "$2"');
        await refused(within(loadModel(pipe, options)), 'invalid-gguf', pipe, '5000');
      }
    }),
);

test('a load from a pipe without a writer can be aborted', { skip: isWindows }, () =>
  withPipe(async (pipe) => {
    const reason = new Error('enough');
    for (const options of ways) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 100);
      await assert.rejects(
        within(loadModel(pipe, { ...options, signal: controller.signal })),
        (error) => error === reason,
      );
    }
  }),
);

test("a device has no known length and is read until it ends or isn't GGUF", { skip: noProc }, async () => {
  for (const options of ways) {
    await refused(within(loadModel('/dev/null', options)), 'invalid-gguf', 'byte 0');
    await refused(within(loadModel('/dev/zero', options)), 'invalid-gguf', '/dev/zero');
  }
});

test('a file whose stat fails leaves no descriptor open', { skip: noProc }, async () => {
  const file = await open(FIXTURE);
  const methods = Object.getPrototypeOf(file);
  await file.close();
  const { stat } = methods;
  const before = descriptors();
  methods.stat = () => Promise.reject(new Error('no stat today'));
  try {
    for (let i = 0; i < 5; i++)
      await refused(within(loadModel(FIXTURE, { worker: false })), 'io', 'no stat today', FIXTURE);
  } finally {
    methods.stat = stat;
  }
  assert.equal(descriptors(), before);
});

test('a blob URL loads in Node too; one that is revoked or from another thread is refused with a hint', async () => {
  const url = URL.createObjectURL(new Blob([bytes]));
  for (const options of ways)
    assert.notEqual(await withModel(url, options, (model) => model.generate('Hello', GREEDY).text()), '');
  URL.revokeObjectURL(url);
  for (const address of [url, 'blob:', 'blob:nodedata:00000000', 'blob:https://a.example/1']) {
    for (const options of ways) {
      const { hint } = await refused(within(loadModel(address, options)), 'invalid-argument', address);
      assert.match(hint, /the Blob itself/);
    }
  }
});

test('an abort ends a load whose file handle never returns its file', async () => {
  for (const options of ways) {
    const abort = new AbortController();
    const reason = new Error('mine');
    setTimeout(() => abort.abort(reason), 50);
    const never = { getFile: () => new Promise(() => {}) };
    const load = within(loadModel(never, { ...options, signal: abort.signal }));
    await assert.rejects(load, (error) => error === reason);
  }
});

test('bytes that are detached during the load are invalid-argument', async () => {
  for (const options of ways) {
    const own = bytes.slice();
    const load = loadModel(own, options);
    structuredClone(own.buffer, { transfer: [own.buffer] });
    await refused(within(load), 'invalid-argument', 'detached');
  }
});

test("a Blob or Response whose own fields are odd is io or loads, and the error isn't the caller's", async () => {
  const thrower = () => {
    throw new TypeError('mine');
  };
  const slices = [thrower, () => ({ arrayBuffer: thrower }), () => ({ arrayBuffer: () => 5 }), () => null];
  for (const options of ways) {
    for (const slice of slices)
      await refused(
        within(loadModel(Object.assign(new Blob([bytes]), { slice }), options)),
        'io',
        'the Blob',
      );
    const response = Object.defineProperty(new Response(bytes), 'url', { value: thrower });
    await withModel(response, options, async (model) => assert.ok(model.info.contextLength > 0));
  }
});

test('an error about a data URL does not repeat its data', async () => {
  const address = `data:application/octet-stream;base64,${Buffer.from(bytes.subarray(0, 9999)).toString('base64')}`;
  for (const options of ways) {
    const { message } = await refused(within(loadModel(address, options)), 'invalid-gguf', 'the data URL');
    assert.ok(message.length < 300, message);
  }
});

test('an address of a scheme that Node cannot fetch is invalid-argument, and the message names the scheme', async () => {
  const error = await loadModel('ftp://example.com/model.gguf').catch((caught) => caught);
  assert.equal(error.code, 'invalid-argument');
  assert.match(error.message, /ftp:\/\/example\.com\/model\.gguf has the unknown scheme ftp:/);
  assert.match(error.hint, /https:/);
});

test('null as a source is called null', async () => {
  await refused(loadModel(null), 'invalid-argument', 'the model source is null');
});
