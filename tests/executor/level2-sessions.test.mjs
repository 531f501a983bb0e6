// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-sessions.test.mjs', [
  'calls of two sessions',
  'a fork has',
  "a session that doesn't exist",
  'an error in one session',
]);
