// SPDX-License-Identifier: Apache-2.0
// Entry of webgpu.js. Parcel makes a classic script of it, without exports, so they are in a global too.
import * as backend from './index.js';
import { place } from './place.js';

export * from './index.js';

(globalThis as { [place]?: unknown })[place] = backend;
