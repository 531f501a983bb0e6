// SPDX-License-Identifier: Apache-2.0
// Types of applyChatTemplate. prompt.ts, a chunk that is loaded with the first chat, renders.

/**
 * A message for a template. Further fields reach the template unchanged, except that the arguments of calls
 * are given as the template reads them: as an object or as JSON text.
 */
export interface ChatMessage {
  readonly role: string;
  readonly content: unknown;
  readonly [field: string]: unknown;
}

export interface ChatTemplateOptions {
  /** End with the start of the assistant's turn; default true, unless the last message is continued. */
  addGenerationPrompt?: boolean | undefined;
  /**
   * End inside the last message, which is the assistant's: the model goes on with its text. Default, as in
   * llama-server: if that message has text and no calls, and `addGenerationPrompt` isn't given.
   */
  continueFinalMessage?: boolean | undefined;
  /** Function descriptions (JSON schema) for templates that support tools. */
  tools?: readonly unknown[] | undefined;
  /**
   * Name of one of the file's templates, of those in `info.chatTemplates`. Default: 'tool_use' for a call
   * with tools, if the file has it, otherwise the template without a name.
   */
  chatTemplate?: string | undefined;
  /** Further variables for the template, such as `{ enable_thinking: false }`. */
  templateKwargs?: { readonly [name: string]: unknown } | undefined;
  /**
   * Write tools, calls and results as text where the template knows no tools, as `chat.completions` does;
   * default false: such a template leaves them out.
   */
  toolsInText?: boolean | undefined;
  signal?: AbortSignal | undefined;
}
