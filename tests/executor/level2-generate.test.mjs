// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-generate.test.mjs', [
  'nothing is computed before',
  'break, return and throw',
  'leaving cuts the KV cache',
  'a generation can be read once',
  'logprob is the logarithm',
  'tokenize accepts UTF-8',
]);
