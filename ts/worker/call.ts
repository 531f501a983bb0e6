// SPDX-License-Identifier: Apache-2.0
import type { ChordError } from '../errors.js';
import type { Reply, Request } from './protocol.js';

/**
 * One call under way in the host. It can be cancelled, and it waits when it is too far ahead of its reader.
 */
export class Call<R extends Request = Request> {
  readonly request: R;
  readonly post: (reply: Reply, transfer?: Transferable[]) => void;
  readonly #abort = new AbortController();
  /** Time at which the call began to wait for its reader; undefined while it doesn't wait. */
  pausedAt: number | undefined;
  /** Called when the call begins to wait for its reader. */
  onPause: () => void = () => {};
  #sent = 0;
  #taken = 0;
  #wake: () => void = () => {};

  constructor(request: R, post: (reply: Reply, transfer?: Transferable[]) => void) {
    this.request = request;
    this.post = post;
    this.signal.addEventListener('abort', () => this.#wake());
  }

  get id(): number {
    return this.request.call;
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Number of events that the reader has taken. */
  get taken(): number {
    return this.#taken;
  }

  /** `why`: the error of the call's answer; undefined: `aborted`. */
  cancel(why?: ChordError): void {
    this.#abort.abort(why);
  }

  /** Number of events that were sent and not taken. */
  get outstanding(): number {
    return this.#sent - this.#taken;
  }

  /**
   * Posts `count` events in one message. Then waits while the reader is `window` events behind, unless the
   * call is cancelled.
   */
  async send(reply: Reply, count: number, window: number, transfer: Transferable[] = []): Promise<void> {
    this.post(reply, transfer);
    this.#sent += count;
    while (this.outstanding >= window && !this.signal.aborted) {
      this.pausedAt = performance.now();
      this.onPause();
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.pausedAt = undefined;
    }
  }

  /** Records that the reader has taken `count` events. */
  take(count: number): void {
    this.#taken = Math.min(this.#taken + count, this.#sent);
    this.#wake();
  }
}
