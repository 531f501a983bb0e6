// SPDX-License-Identifier: Apache-2.0
// Chat templates from GGUF files. The template engine is imported when a template is first used.
import { isObject, reading, refuse, wrong } from '../check.js';
import { ChordError, messageOf } from '../errors.js';

/** A message for a template. Further fields (tool calls ...) reach the template unchanged. */
export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
  readonly [field: string]: unknown;
}

export interface ChatTemplateOptions {
  /** End with the start of the assistant's turn; default true. */
  addGenerationPrompt?: boolean | undefined;
  /** Function descriptions (JSON schema) for templates that support tools. */
  tools?: readonly unknown[] | undefined;
}

export interface ChatTemplateSource {
  readonly template: string | undefined;
  readonly bosToken: string;
  readonly eosToken: string;
}

type Template = { render(variables: Record<string, unknown>): string };
const compiled = new Map<string, Template>();

async function compile(text: string): Promise<Template> {
  const known = compiled.get(text);
  if (known !== undefined) return known;
  const { Template } = await import('@huggingface/jinja');
  const template = new Template(text) as unknown as Template;
  compiled.set(text, template);
  return template;
}

function checkMessages(messages: unknown): void {
  if (!Array.isArray(messages)) refuse('messages is not an array');
  for (let i = 0; i < messages.length; i++)
    if (!isObject(messages[i])) wrong(`messages[${i}]`, messages[i], 'an object');
}

/**
 * Throws `invalid-argument`: no template, a template that can't be parsed, or a template that refuses the
 * messages.
 */
export async function renderChatTemplate(
  { template, bosToken, eosToken }: ChatTemplateSource,
  messages: readonly ChatMessage[],
  options: ChatTemplateOptions = {},
): Promise<string> {
  if (template === undefined || template === '') {
    throw new ChordError('invalid-argument', 'the model has no chat template (tokenizer.chat_template)', {
      hint: 'it may be a base model: give generate() plain text, or build the prompt with format_chat()',
    });
  }
  reading('messages', () => checkMessages(messages));
  try {
    return (await compile(template)).render({
      messages,
      add_generation_prompt: options.addGenerationPrompt ?? true,
      bos_token: bosToken,
      eos_token: eosToken,
      ...(options.tools === undefined ? {} : { tools: options.tools }),
    });
  } catch (cause) {
    throw new ChordError('invalid-argument', `the chat template failed: ${messageOf(cause)}`, { cause });
  }
}
