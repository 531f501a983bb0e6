// SPDX-License-Identifier: Apache-2.0
// Computes the budgets of steps from the measured rate of multiply-adds. Batches of a single token, which
// memory limits, and larger batches, which arithmetic limits, have a rate each.

/** Budget before any measurement: 1 to 5 ms on any machine of the last ten years. */
const FIRST = 10e6;
/**
 * Weight of the earlier steps when a step is added. With this weight the rate follows a laptop that
 * throttles fast enough.
 */
const KEEP = 0.7;

export class Pace {
  readonly targetMs: number;
  readonly #seen = { single: { work: 0, ms: 0 }, many: { work: 0, ms: 0 } };

  /**
   * @param targetMs Milliseconds that a step should take: 10 in the caller's thread and on the GPU, 20 in
   * the engine worker.
   */
  constructor(targetMs: number) {
    this.targetMs = targetMs;
  }

  /** Returns the budget of the next step, in multiply-adds. */
  budget(kind: 'single' | 'many'): number {
    const { work, ms } = this.#seen[kind];
    return ms > 0 ? Math.max(1e5, Math.floor((work / ms) * this.targetMs)) : FIRST;
  }

  /** Adds a step's planned work and time to fading sums. Short steps, whose times are noise, weigh less. */
  measured(kind: 'single' | 'many', work: number, ms: number): void {
    const seen = this.#seen[kind];
    if (work <= 0 || ms <= 0) return;
    seen.work = seen.work * KEEP + work;
    seen.ms = seen.ms * KEEP + ms;
  }
}
