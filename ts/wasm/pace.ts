// SPDX-License-Identifier: Apache-2.0
// How many multiply-adds fit a slice of time: the measured rate, one for batches of a single token
// (bound by memory) and one for the rest (bound by arithmetic).

/** Until measured: 1 to 5 ms on any machine of the last ten years. */
const FIRST = 10e6;
/** What a slice's rate still counts for after the next one: fast enough for a laptop that throttles. */
const KEEP = 0.7;

export class Pace {
  readonly targetMs: number;
  readonly #seen = { single: { work: 0, ms: 0 }, many: { work: 0, ms: 0 } };

  /** @param targetMs How long a step should take: 10 in a page, 20 in the engine worker. */
  constructor(targetMs: number) {
    this.targetMs = targetMs;
  }

  /** Multiply-adds for the next step. */
  budget(kind: 'single' | 'many'): number {
    const { work, ms } = this.#seen[kind];
    return ms > 0 ? Math.max(1e5, Math.floor((work / ms) * this.targetMs)) : FIRST;
  }

  /** What a step did. Sums that fade weigh a long step more than a short one, whose time is noise. */
  measured(kind: 'single' | 'many', work: number, ms: number): void {
    const seen = this.#seen[kind];
    if (work <= 0 || ms <= 0) return;
    seen.work = seen.work * KEEP + work;
    seen.ms = seen.ms * KEEP + ms;
  }
}
