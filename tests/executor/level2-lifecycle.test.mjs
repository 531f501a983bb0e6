// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-lifecycle.test.mjs', {
  'aborted loads of a path': 'ten seconds on a busy file system, nothing is computed',
});
