// SPDX-License-Identifier: Apache-2.0
// cases.mjs: replaces node:test in a test file that over.mjs runs. It leaves out the cases not named there.
import test from 'node:test';
export * from 'node:test';

export default function (name, ...rest) {
  const wanted = globalThis.wantedCases?.find((start) => name.startsWith(start));
  if (globalThis.wantedCases !== undefined && wanted === undefined) return undefined;
  globalThis.foundCases.add(wanted);
  return test(name, ...rest);
}
