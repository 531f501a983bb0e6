// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level1.test.mjs', [
  'before init',
  'a second init',
  "bytes that aren't a model",
  'bytes from another realm',
  "the caller's bytes",
  'level 1 generates',
  'a BOS that',
  'a generation ends at',
  "a prompt that isn't a string",
  'free ends everything',
  'two models generate',
]);
