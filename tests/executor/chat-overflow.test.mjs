// SPDX-License-Identifier: Apache-2.0
import { over } from './over.mjs';

await over('chat-overflow.test.mjs');
