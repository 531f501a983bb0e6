// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('chat.test.mjs', {
  'a second turn over SmolLM2': 'of 135 M weights the interpreter evaluates a few tokens per second',
  'a reader that cancels during the prefill':
    "SmolLM2: the interpreter can't cut a batch, so a cancel waits for 256 tokens",
});
