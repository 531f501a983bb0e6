// SPDX-License-Identifier: Apache-2.0
'use server';
import path from 'node:path';
import { run } from './run.js';

export async function answerOnServer() {
  return run(path.resolve('public/model.gguf'));
}
