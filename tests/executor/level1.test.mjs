// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('level1.test.mjs');
