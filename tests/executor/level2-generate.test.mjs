// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-generate.test.mjs', {
  'an error during a generation': 'the message names a layer; the interpreter checks no norm',
  'profile returns the time of each op': 'only the CPU executor measures its ops',
});
