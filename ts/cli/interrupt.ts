// SPDX-License-Identifier: Apache-2.0

/**
 * Turns Ctrl-C into an abort while `work` runs. The interrupted work ends in order, and then the process dies
 * of the same signal, so that a shell's loop stops too. A second Ctrl-C kills at once.
 */
export async function interruptible(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const onInterrupt = () => controller.abort();
  process.once('SIGINT', onInterrupt);
  try {
    await work(controller.signal);
  } catch (error) {
    if (!controller.signal.aborted) throw error;
  } finally {
    process.off('SIGINT', onInterrupt);
  }
  if (controller.signal.aborted) process.kill(process.pid, 'SIGINT');
}
