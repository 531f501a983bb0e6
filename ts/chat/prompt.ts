// SPDX-License-Identifier: Apache-2.0
// Makes the prompt of messages with a template: chooses the template, brings OpenAI's messages into the form
// that the template reads (adapt.ts), and renders.
import { asBoolean, asOptional, asString, isObject, refuse, wrong } from '../check.js';
import type { Fields } from '../check.js';
import { ChordError } from '../errors.js';
import type { ErrorRecord } from '../errors.js';
import { usesTools, withToolsInText } from './answer/describe.js';
import type { Tool } from './answer/shapes.js';
import { formats } from './format-chat.js';
import { adapt } from './adapt.js';
import type { Message, Render } from './adapt.js';

/** The templates of a model, and the means to render them. */
export interface Templates {
  /** The template without a name: the file's, or its architecture's. */
  readonly main: string | undefined;
  /** What is wrong with `main`. */
  readonly error: ErrorRecord | undefined;
  /** The file's named templates. */
  readonly named: { readonly [name: string]: string };
  readonly bosToken: string;
  readonly eosToken: string;
  readonly render: Render;
}

export interface RenderedPrompt {
  readonly text: string;
  /** The text of the template. */
  readonly template: string;
}

/** Variables that have options of their own. */
const reserved = ['messages', 'tools', 'add_generation_prompt'];

/** Stands behind the last message, where the prompt is cut, as in transformers. */
const CUT = 'CONTINUE_FINAL_MESSAGE_TAG ';

/**
 * Renders `request`: the JSON text of `{ messages, ...options }`, without the signal.
 *
 * @throws {ChordError} `invalid-argument`: a wrong option, no template, a template that fails or refuses the
 *   messages.
 */
export async function renderPrompt(
  templates: Templates,
  request: string,
  signal?: AbortSignal,
): Promise<RenderedPrompt> {
  const given = JSON.parse(request) as Fields;
  let messages = asMessages(given['messages']);
  let tools = asOptional(given['tools'], (list) => {
    if (!Array.isArray(list)) wrong('tools', list, 'an array');
    return list.length > 0 ? (list as Tool[]) : undefined;
  });
  const asked = asOptional(given['continueFinalMessage'], (value) =>
    asBoolean('continueFinalMessage', value),
  );
  const isOpen = given['addGenerationPrompt'] === undefined && mayContinue(messages.at(-1));
  const continues = asked ?? isOpen;
  const adds = asBoolean('addGenerationPrompt', given['addGenerationPrompt'] ?? !continues);
  if (continues && adds)
    refuse(
      'continueFinalMessage and addGenerationPrompt exclude each other',
      'leave addGenerationPrompt out',
    );
  const kwargs = asOptional(given['templateKwargs'], (value) =>
    isObject(value) && !Array.isArray(value) ? value : wrong('templateKwargs', value, 'an object'),
  );
  for (const name of reserved)
    if (kwargs !== undefined && Object.hasOwn(kwargs, name))
      refuse(`templateKwargs has ${name}, which has an option of its own`);
  const name = asOptional(given['chatTemplate'], (value) => asString('chatTemplate', value));
  const template = choose(templates, name, tools !== undefined);

  if (asBoolean('toolsInText', given['toolsInText'] ?? false) && lacksTools(template, messages, tools)) {
    messages = withToolsInText(messages, tools ?? []);
    tools = undefined;
  }

  const constants = { bos_token: templates.bosToken, eos_token: templates.eosToken };
  const render = (variables: Fields, mergeSystem: boolean): ReturnType<Render> =>
    templates.render(
      { template, variables: JSON.stringify({ ...constants, ...variables }), now: localTime(), mergeSystem },
      signal,
    );
  const adapted = await adapt(template, messages, (variables) => render(variables, false));
  const variables = {
    messages: continues ? marked(adapted) : adapted,
    tools: tools ?? null,
    documents: null,
    add_generation_prompt: adds,
    ...kwargs,
  };
  let { text, isRaised } = await render(variables, false);
  if (isRaised && adapted[0]?.role === 'system') {
    const merged = await render(variables, true);
    if (!merged.isRaised) ({ text, isRaised } = merged);
  }
  if (isRaised) throw new ChordError('invalid-argument', text);
  const prompt = continues ? cut(text) : text;
  if (prompt !== undefined) return { text: prompt, template };
  if (asked) refuse("continueFinalMessage: the template doesn't write the last message");
  return renderPrompt(templates, JSON.stringify({ ...given, addGenerationPrompt: true }), signal);
}

/** Whether the template leaves out tools, calls or results that there are. */
function lacksTools(template: string, messages: readonly Message[], tools: unknown): boolean {
  if (tools !== undefined) return !usesTools(template);
  const isOfTools = ({ role, tool_calls: calls }: Message): boolean =>
    role === 'tool' || Array.isArray(calls);
  return messages.some(isOfTools) && !template.includes('tool_calls');
}

function asMessages(value: unknown): Message[] {
  if (!Array.isArray(value)) refuse('messages is not an array');
  value.forEach((message: unknown, i) => {
    if (!isObject(message) || Array.isArray(message)) wrong(`messages[${i}]`, message, 'an object');
  });
  return value as Message[];
}

function choose({ main, error, named }: Templates, given: string | undefined, hasTools: boolean): string {
  const names = Object.keys(named);
  const name = given ?? (hasTools && names.includes('tool_use') ? 'tool_use' : 'default');
  if (names.includes(name)) return named[name]!;
  if (name !== 'default')
    return refuse(
      `the model has no chat template '${name}'`,
      names.length > 0 ? `the names are ${names.join(', ')}` : 'it has no named templates',
    );
  if (main) return main;
  if (error !== undefined) throw ChordError.from(error);
  throw new ChordError('invalid-argument', 'the model has no chat template (tokenizer.chat_template)', {
    hint:
      names.length > 0
        ? `it has templates with names; chatTemplate chooses one of ${names.join(', ')}`
        : 'it may be a base model: give generate() plain text, or build the prompt with format_chat(), which ' +
          `knows ${formats.join(', ')}`,
  });
}

function localTime(): number[] {
  const now = new Date();
  return [
    now.getFullYear(),
    now.getMonth() + 1,
    now.getDate(),
    now.getHours(),
    now.getMinutes(),
    now.getSeconds(),
  ];
}

/** `messages` with CUT behind the last text of the last one. */
/** Whether a last message is continued by default: a text of the assistant's, as in llama-server. */
function mayContinue(last: Message | undefined): boolean {
  if (last?.role !== 'assistant' || last['tool_calls']) return false;
  const { content } = last;
  return Array.isArray(content) ? content.some((part) => isObject(part) && part['text']) : Boolean(content);
}

function marked(messages: readonly Message[]): Message[] {
  const last = messages.at(-1);
  const mark = (content: unknown): unknown => {
    if (typeof content === 'string') return content + CUT;
    const parts: unknown[] = Array.isArray(content) ? content.slice() : [];
    for (let i = parts.length - 1; i >= 0; i--) {
      const part = parts[i];
      if (!isObject(part) || typeof part['text'] !== 'string') continue;
      parts[i] = { ...part, text: part['text'] + CUT };
      return parts;
    }
    return refuse('continueFinalMessage: the last message has no text');
  };
  if (last?.role !== 'assistant') refuse("continueFinalMessage: the last message isn't the assistant's");
  return [...messages.slice(0, -1), { ...last, content: mark(last['content']) }];
}

/** The prompt up to the mark, if it has one. A template that strips the message strips the mark's blank. */
function cut(text: string): string | undefined {
  const at = text.lastIndexOf(CUT.trimEnd());
  if (at < 0) return undefined;
  const before = text.slice(0, at);
  return text.startsWith(CUT, at) ? before : before.trimEnd();
}
