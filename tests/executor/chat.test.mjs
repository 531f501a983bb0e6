// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('chat.test.mjs', [
  'a completion has',
  'a stream is the same',
  'the finish reason',
  'logprobs are',
  'messages: parts',
  'the KV of the turn before',
]);
