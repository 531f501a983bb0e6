// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-generate.test.mjs', [
  'nothing is computed before',
  'break, return and throw',
  'leaving cuts the KV cache',
  'a run is read once',
  'logprob is the logarithm',
  'tokenize takes UTF-8',
]);
