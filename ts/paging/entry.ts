// SPDX-License-Identifier: Apache-2.0
// Entry of paging.js, which is loaded when a model is paged, by the thread that computes and by the I/O
// worker. Parcel makes a classic script of it, without exports, so they are in a global too.
import { placeOf } from '../platform.js';
import * as paging from './index.js';

export * from './index.js';

(globalThis as { [place: symbol]: unknown })[placeOf('serveFiles')] = paging;
