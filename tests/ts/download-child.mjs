// SPDX-License-Identifier: Apache-2.0
// download-child.mjs: downloads a URL into a folder, for tests that kill the process. `node ... URL FOLDER`
import { downloadModel } from '../../dist/index.js';

const [url, cache] = process.argv.slice(2);
const onProgress = ({ loaded }) => process.stdout.write(`${loaded}\n`);
await downloadModel(url, { cache, onProgress });
