// SPDX-License-Identifier: Apache-2.0
// format_chat_messages of level 1: the template engine in the caller's thread. A chunk that is loaded with
// the first call.
import { isObject, refuse, wrong } from '../check.js';
import type { Fields } from '../check.js';
import { renderPrompt } from '../chat/prompt.js';
import { messageOf } from '../errors.js';
import { TemplateEngine } from '../template/engine.js';
import { templateModule } from '../template/packed.js';
import { describeTemplates } from '../wasm/describe.js';
import type { WasmEngine } from '../wasm/engine.js';

let templates: TemplateEngine | undefined;

export async function formatMessages(engine: WasmEngine, json: string): Promise<string> {
  const request = parse(json);
  const model = describeTemplates(engine);
  const own = (templates ??= new TemplateEngine(await templateModule()));
  const { text } = await renderPrompt({ ...model, render: (given) => own.render(given) }, request);
  return text;
}

/** Returns the request for renderPrompt, as JSON text. */
function parse(json: string): string {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    refuse(`format_chat_messages: messages_json isn't JSON: ${messageOf(error)}`);
  }
  if (!isObject(value)) wrong('format_chat_messages: messages_json', value, 'an array or an object');
  const {
    messages,
    tools,
    add_generation_prompt: addGenerationPrompt,
    continue_final_message: continueFinalMessage,
    chat_template: chatTemplate,
    ...templateKwargs
  }: Fields = Array.isArray(value) ? { messages: value } : value;
  return JSON.stringify({
    messages,
    tools,
    addGenerationPrompt,
    continueFinalMessage,
    chatTemplate,
    templateKwargs,
  });
}
