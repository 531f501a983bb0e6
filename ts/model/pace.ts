// SPDX-License-Identifier: Apache-2.0
// pace.ts: how many multiply-adds a step of level 1 may take, so that the page's event loop turns in time.

/** Of a step. Chromium lets a timer in at every second turn, so a step must stay under 20 ms: aim at half. */
const STEP_MS = 10;
/** Until something was measured: 10 ms at 1 GMAC/s, which any machine with SIMD exceeds. */
const FIRST_BUDGET = 10e6;
/** Steps are timed together until they took this long: a page's clock may only tick in 0.1 ms. */
const ENOUGH_MS = 4;

class Rate {
  #perMs = 0;
  #work = 0;
  #ms = 0;

  get budget(): number {
    return this.#perMs === 0 ? FIRST_BUDGET : Math.max(1, Math.round(this.#perMs * STEP_MS));
  }

  note(work: number, ms: number): void {
    this.#work += work;
    this.#ms += ms;
    if (this.#ms < ENOUGH_MS) return;
    const perMs = this.#work / this.#ms;
    this.#perMs = this.#perMs === 0 ? perMs : (this.#perMs + perMs) / 2;
    this.#work = this.#ms = 0;
  }
}

/** The measured rates of a model: a single token is bound by memory, more of them by arithmetic. */
export class Pace {
  readonly #one = new Rate();
  readonly #many = new Rate();

  /** Runs `step` with the budget for a batch of `pending` tokens; it returns the work it did. */
  run(pending: number, step: (budget: number) => number): void {
    const rate = pending === 1 ? this.#one : this.#many;
    const begin = performance.now();
    const work = step(rate.budget);
    rate.note(work, performance.now() - begin);
  }
}
