// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('chat.test.mjs', [
  'a completion has',
  'a stream is the same',
  'the finish reason',
  'logprobs are',
  'messages: text parts',
  'the KV cache of the last turn',
]);
