// SPDX-License-Identifier: Apache-2.0
// What paging.js exports.
export { openAll, serveFiles } from './serve.js';
export { startPaging } from './start.js';
export { fitPaged } from './table.js';
