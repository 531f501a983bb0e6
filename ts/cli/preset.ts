// SPDX-License-Identifier: Apache-2.0
// preset.ts: what a tiny model gets unless the user gives something else.
import type { ChatMessage, LanguageModel } from '../index.js';
import type { Command } from './arguments.js';

/**
 * A model with fewer parameters than this gets a system turn, and in a terminal settings too: those of the
 * example page. With them SmolLM2-135M names Paris in 20 of 20 first answers, with the package's defaults in
 * 9.
 */
const TINY = 3e8;
const TINY_SYSTEM = 'You are a helpful assistant.';
export const TINY_SAMPLING = { temperature: 0, frequencyPenalty: 0.2 };
/** At temperature 0 every answer to a question is the same, so another answer needs some chance. */
export const TINY_RETRY = { temperature: 0.2, frequencyPenalty: 0.2 };

export const isTiny = ({ info }: LanguageModel): boolean => info.parameters < TINY;

/** The system turn of a conversation; null: none, as `--system ''` says. */
export async function systemOf(
  model: LanguageModel,
  { system, chatTemplate }: Command,
): Promise<string | null> {
  if (system !== null) return system || null;
  if (!isTiny(model)) return null;
  const messages: ChatMessage[] = [
    { role: 'system', content: TINY_SYSTEM },
    { role: 'user', content: 'Hi' },
  ];
  // A template may refuse a system turn.
  return model.applyChatTemplate(messages, { chatTemplate }).then(
    () => TINY_SYSTEM,
    () => null,
  );
}
