// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-sessions.test.mjs', [
  'calls of two sessions',
  'a fork has',
  'a session that is not there',
  'an error, or a cancel',
]);
