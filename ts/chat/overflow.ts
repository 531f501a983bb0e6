// SPDX-License-Identifier: Apache-2.0
// Drops the oldest turns of a conversation that has outgrown the context.
import { ChordError } from '../errors.js';
import type { ChatMessage } from './template.js';

/** Where a conversation was cut: how many messages were dropped, and the first that was kept behind them. */
export interface Cut {
  readonly dropped: number;
  readonly first: string;
}

export interface Fitted<P> {
  readonly prompt: P;
  readonly cut: Cut;
}

const isSystem = ({ role }: ChatMessage): boolean => role === 'system' || role === 'developer';
const show = (message: ChatMessage | undefined): string => JSON.stringify(message) ?? '';

/**
 * Returns the prompt of `messages` without their oldest turns, so that it has at most `limit` tokens. Leading
 * system messages stay. A turn is a user's message with all that follow it up to the next one; the last turn
 * stays, also if it exceeds the limit.
 *
 * The cut of the call before is tried first: as long as it fits, the prompt's beginning doesn't change, and
 * its keys and values are used again. A new cut leaves a quarter of the limit free, so that it lasts.
 */
export async function dropOldest<P extends { readonly ids: readonly number[] }>(
  messages: readonly ChatMessage[],
  limit: number,
  before: Cut | undefined,
  encode: (messages: readonly ChatMessage[]) => Promise<P>,
): Promise<Fitted<P>> {
  const head = messages.findIndex((message) => !isSystem(message));
  const starts = messages.flatMap(({ role }, i) => (i === head || (i > head && role === 'user') ? i : []));
  if (head < 0) starts.push(messages.length);
  const kept = (k: number): readonly ChatMessage[] =>
    messages.filter((_, i) => i < starts[0]! || i >= starts[k]!);
  const cutAt = (k: number): Cut => ({
    dropped: starts[k]! - starts[0]!,
    first: show(messages[starts[k]!]),
  });
  /** The prompt behind cut `k`; undefined if it has more than `most` tokens. */
  const fit = async (k: number, most: number): Promise<P | undefined> => {
    try {
      const prompt = await encode(kept(k));
      return prompt.ids.length <= most ? prompt : undefined;
    } catch (error) {
      if (ChordError.isInstance(error) && error.code === 'context-full') return undefined;
      throw error;
    }
  };
  const same = starts.findIndex((_, k) => {
    const { dropped, first } = cutAt(k);
    return dropped === before?.dropped && first === before.first;
  });
  let low = Math.max(same, 0);
  let prompt = await fit(low, limit);
  if (prompt !== undefined) return { prompt, cut: cutAt(low) };
  let high = starts.length - 1;
  while (low + 1 < high) {
    const middle = (low + high) >> 1;
    const found = await fit(middle, Math.floor(limit * 0.75));
    if (found === undefined) low = middle;
    else [high, prompt] = [middle, found];
  }
  return { prompt: prompt ?? (await encode(kept(high))), cut: cutAt(high) };
}
