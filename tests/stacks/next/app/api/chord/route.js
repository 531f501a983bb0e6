// SPDX-License-Identifier: Apache-2.0
import path from 'node:path';
import { run } from '../../run.js';

export const dynamic = 'force-dynamic';

export async function GET() {
  return Response.json(await run(path.resolve('public/model.gguf')));
}
