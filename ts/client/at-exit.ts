// SPDX-License-Identifier: Apache-2.0
// In Node: at the end of the process, engine workers with a GPU close it first. Dawn aborts a process that
// ends while its GPU works, by process.exit() or an error that nobody caught, and the process would lose its
// own exit status. Loaded with the first model that may use a GPU.
import type { Connection } from './connection.js';

const guarded = new Set<Connection>();
/** Workers that don't close their GPU are waited for no longer: a program that plays one compiles so long. */
const PATIENCE_MS = 20_000;

/** No turn of the event loop comes any more. The workers have their own. */
function close(): void {
  const end = performance.now() + PATIENCE_MS;
  const closing = [...guarded].map((connection) => connection.closeNow());
  for (const isClosed of closing) Atomics.wait(isClosed, 0, 0, Math.max(0, end - performance.now()));
}

/** Guards a connection until it ends. */
export function guard(connection: Connection): void {
  // First of all listeners: one that throws, or calls process.exit(), would be the last.
  if (guarded.size === 0) globalThis.process.prependOnceListener('exit', close);
  guarded.add(connection);
  connection.onEnd = () => {
    guarded.delete(connection);
    if (guarded.size === 0) globalThis.process.removeListener('exit', close);
  };
}
