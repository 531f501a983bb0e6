// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level2-hostile.test.mjs');
