// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-load.test.mjs', {
  'a hundred failed loads': 'ten seconds of loading, almost nothing is computed',
});
