// SPDX-License-Identifier: Apache-2.0
// stuck-storage.mjs: an engine worker in a browser whose storage opens no file, as Chromium does at times.
import '/dist/worker.js';
FileSystemFileHandle.prototype.createSyncAccessHandle = () => new Promise(() => {});
