// SPDX-License-Identifier: Apache-2.0
// reporter.mjs: a node:test reporter. It prints the figures of tests (diagnostics), failures in full, one
// line per skip, and `N passed, N failed, N skipped` at the end. A suite (describe) isn't counted, unless one
// of its hooks fails. A file that ends without having run a test counts as a failure. Each file's results are
// written to build/results/ for `make status`.
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = new URL('..', import.meta.url).pathname;

function keep(results) {
  mkdirSync(`${root}build/results`, { recursive: true });
  for (const [file, tests] of Object.entries(results)) {
    const name = path
      .relative(root, file)
      .replaceAll('/', '-')
      .replace(/\.test\.mjs$/, '.json');
    writeFileSync(`${root}build/results/${name}`, JSON.stringify(tests, null, 1));
  }
}

export default async function* report(events) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  const results = {};
  for await (const { type, data } of events) {
    if (type === 'test:diagnostic' && data.file) yield `  ${data.message}\n`;
    if (type === 'test:stdout' || type === 'test:stderr') yield data.message;
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const failure = data.details.error?.failureType;
    if (data.details.type === 'suite' && failure !== 'hookFailed') continue;
    // node:test reports a file only when it ran no test.
    const isFile = data.nesting === 0 && path.resolve(data.name) === data.file;
    const result = isFile
      ? 'failed'
      : data.skip !== undefined || data.todo !== undefined
        ? 'skipped'
        : type === 'test:pass'
          ? 'passed'
          : 'failed';
    if (data.file) (results[data.file] ??= []).push({ name: data.name, result });
    if (result === 'skipped') {
      counts.skipped += 1;
      yield `SKIP ${data.name}: ${data.skip || data.todo || 'no reason given'}\n`;
    } else if (result === 'passed') {
      counts.passed += 1;
    } else {
      // The subtests were counted.
      if (failure === 'subtestsFailed') continue;
      counts.failed += 1;
      const error = data.details.error?.cause ?? data.details.error ?? 'the file ended without a test';
      yield `FAIL ${data.name} (${data.file ?? '?'}:${data.line ?? '?'})\n${error?.stack ?? error}\n`;
    }
  }
  keep(results);
  yield `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`;
}
