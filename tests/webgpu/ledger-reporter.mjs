// SPDX-License-Identifier: Apache-2.0
// ledger-reporter.mjs: a reporter of Node's test runner. When the process ends, $LEDGER is a file with the
// results of its tests and its ledger.
import { writeFileSync } from 'node:fs';
import { ledger } from './ledger.mjs';

const tests = [];
process.on('exit', () => writeFileSync(process.env.LEDGER, JSON.stringify({ tests, ...ledger() })));

export default async function* report(events) {
  for await (const { type, data } of events) {
    if (!['test:pass', 'test:fail'].includes(type) || data.details.type === 'suite') continue;
    const { error } = data.details;
    tests.push({
      name: data.name,
      ms: data.details.duration_ms,
      ...(type === 'test:fail' && { error: error.cause?.message ?? error.message }),
    });
  }
  yield '';
}
