// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level1.test.mjs', [
  'before init',
  'init again',
  'bytes that are no model',
  'bytes of another realm',
  'the bytes given',
  'level 1 says what level 2 says',
  'a BOS that',
  'a token that ends the text',
  'a prompt that is no string',
  'free ends everything',
  'two models live',
]);
