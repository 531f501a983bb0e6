// SPDX-License-Identifier: Apache-2.0
// format-chat.ts: formats one question for a model family, as a pure function of three strings.
//
// The table below has all forms, each with its source. Every form ends with the generation prompt: the
// model's answer follows directly. No form has the BOS token: the tokenizer adds it. For a template from a
// GGUF file, several turns or tools, use level 2's applyChatTemplate.
import { refuse } from '../check.js';
import { show } from '../errors.js';

export type ChatFormat = 'chatml' | 'llama2' | 'llama3' | 'gemma' | 'alpaca';

interface Form {
  /** The form strips white space around each text. */
  trims: boolean;
  with(system: string, user: string): string;
  without(user: string): string;
}

const forms: { readonly [name in ChatFormat]: Form } = {
  // OpenAI's chat markup language, as in SmolLM2's and Qwen's chat_template.
  chatml: {
    trims: false,
    with: (system, user) =>
      `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n`,
    without: (user) => `<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n`,
  },
  // meta-llama/llama, llama/generation.py (B_INST, B_SYS ...): the system text is inside the first
  // instruction.
  llama2: {
    trims: true,
    with: (system, user) => `[INST] <<SYS>>\n${system}\n<</SYS>>\n\n${user} [/INST]`,
    without: (user) => `[INST] ${user} [/INST]`,
  },
  // meta-llama/llama3, llama/tokenizer.py (ChatFormat).
  llama3: {
    trims: true,
    with: (system, user) =>
      `<|start_header_id|>system<|end_header_id|>\n\n${system}<|eot_id|>` +
      `<|start_header_id|>user<|end_header_id|>\n\n${user}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n`,
    without: (user) =>
      `<|start_header_id|>user<|end_header_id|>\n\n${user}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n`,
  },
  // Google's "Gemma formatting and system instructions": there is no system turn; the system text starts the
  // user's turn.
  gemma: {
    trims: true,
    with: (system, user) => `<start_of_turn>user\n${system}\n\n${user}<end_of_turn>\n<start_of_turn>model\n`,
    without: (user) => `<start_of_turn>user\n${user}<end_of_turn>\n<start_of_turn>model\n`,
  },
  // tatsu-lab/stanford_alpaca, train.py (prompt_no_input), with the line end after "Response:" that
  // alpaca-lora and its descendants are trained with. A system text replaces the opening sentence.
  alpaca: {
    trims: false,
    with: (system, user) => `${system}\n\n### Instruction:\n${user}\n\n### Response:\n`,
    without: (user) =>
      'Below is an instruction that describes a task. Write a response that appropriately completes the request.' +
      `\n\n### Instruction:\n${user}\n\n### Response:\n`,
  },
};

/** The names of all forms. */
export const formats: readonly string[] = Object.keys(forms);

/**
 * Formats one question in the form `format`.
 *
 * @param system The system text. '', null or undefined leaves out the form's system part (alpaca then starts
 *   with its standard sentence).
 * @throws {ChordError} `invalid-argument` for a form that isn't in the table, or a text that isn't a string.
 */
export function format_chat(system: string | null | undefined, user: string, format: ChatFormat): string {
  if (typeof format !== 'string' || !Object.hasOwn(forms, format)) {
    refuse(
      `format_chat: there is no form '${typeof format === 'string' ? format : show(format)}'`,
      `the forms are ${formats.join(', ')}`,
    );
  }
  if (typeof user !== 'string') refuse(`format_chat: user is ${show(user)}, not a string`);
  if (typeof (system ?? '') !== 'string') refuse(`format_chat: system is ${show(system)}, not a string`);
  const form = forms[format];
  const tidy = (text: string) => (form.trims ? text.trim() : text);
  const lead = tidy(system ?? '');
  return lead === '' ? form.without(tidy(user)) : form.with(lead, tidy(user));
}
