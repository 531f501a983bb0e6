// SPDX-License-Identifier: Apache-2.0
// Brings OpenAI's messages into the form that a template reads. Templates differ in two things: whether a
// content may be an array of parts, and whether the arguments of a call are an object or JSON text. Both are
// found by rendering a small conversation with each form. A probe is rendered when a message needs it.
import { isObject } from '../check.js';
import type { Fields } from '../check.js';
import { ChordError } from '../errors.js';
import type { Rendered, Rendering } from '../template/engine.js';

export type Message = Fields & { readonly role: string };
export type Render = (rendering: Rendering, signal?: AbortSignal) => Promise<Rendered>;
type Probe = (variables: Fields) => Promise<Rendered>;

const MARK = 'kiesel';
const KEY = 'strand';
const ASKS = { role: 'user', content: 'Hi' };

/**
 * Returns `given` as `template` reads them. A role 'developer' becomes 'system' unless the template has
 * 'developer' as a string. A message with calls and without content gets ''.
 */
export async function adapt(
  template: string,
  given: readonly Message[],
  render: Probe,
): Promise<readonly Message[]> {
  // Command R's template has the word in its texts, and refuses the role.
  const knowsDeveloper = /(['"])developer\1/.test(template);
  const named = given.map((message) =>
    message.role === 'developer' && !knowsDeveloper ? { ...message, role: 'system' } : message,
  );
  const has = (is: (message: Message) => boolean): boolean => named.some(is);
  // A template that reads parts asks for their type or text.
  const mayReadParts = /type|\.text\b|['"]text['"]/.test(template);
  const content =
    mayReadParts || has((message) => Array.isArray(message['content']))
      ? await contentForm(template, render)
      : 'any';
  const ofSystem =
    content === 'any' && mayReadParts && has(isSystemText) ? await systemForm(template, render) : content;
  const takesObjects = has(hasArguments) ? await argumentsForm(template, render) : 'any';
  return named.map((message) => ({
    ...message,
    ...contentOf(message, isSystemText(message) ? ofSystem : content),
    ...callsOf(message, takesObjects),
  }));
}

type ContentForm = 'any' | 'text' | 'parts';
type ArgumentsForm = 'any' | 'text' | 'object';

function contentOf(message: Message, form: ContentForm): Fields {
  const { content } = message;
  if (content === null || content === undefined)
    return Array.isArray(message['tool_calls']) ? { content: '' } : {};
  if (form === 'parts' && typeof content === 'string') return { content: [{ type: 'text', text: content }] };
  const isText = (part: unknown): part is { text: string } =>
    isObject(part) && part['type'] === 'text' && typeof part['text'] === 'string';
  if (form === 'text' && Array.isArray(content) && content.every(isText))
    return { content: content.map(({ text }) => text).join('\n') };
  return {};
}

function callsOf(message: Message, form: ArgumentsForm): Fields {
  const calls = message['tool_calls'];
  if (form === 'any' || !Array.isArray(calls)) return {};
  return {
    tool_calls: calls.map((call: unknown) => {
      if (!isObject(call) || !isObject(call['function'])) return call;
      const given = call['function']['arguments'];
      return { ...call, function: { ...call['function'], arguments: argumentsOf(given, form) } };
    }),
  };
}

function argumentsOf(given: unknown, form: ArgumentsForm): unknown {
  if (form === 'text') return typeof given === 'string' ? given : JSON.stringify(given);
  if (typeof given !== 'string') return given;
  try {
    return given.trim() === '' ? {} : (JSON.parse(given) as unknown);
  } catch {
    return given; // the template gets the text that the model wrote
  }
}

const isSystemText = ({ role, content }: Message): boolean =>
  role === 'system' && typeof content === 'string';
const hasArguments = ({ tool_calls: calls }: Message): boolean => Array.isArray(calls) && calls.length > 0;

const known = new Map<string, unknown>();

/** Finds an answer once per template and question. A call that a signal ends leaves no answer. */
async function once<T>(question: string, template: string, find: () => Promise<T>): Promise<T> {
  const key = `${question} ${template}`;
  if (!known.has(key)) {
    const found = await find();
    if (known.size > 64) known.clear();
    known.set(key, found);
    return found;
  }
  return known.get(key) as T;
}

/** Renders; '' if the template fails. */
async function tried(render: Probe, variables: Fields): Promise<string> {
  try {
    const { text, isRaised } = await render({
      tools: null,
      documents: null,
      add_generation_prompt: true,
      ...variables,
    });
    return isRaised ? '' : text;
  } catch (error) {
    if (ChordError.isInstance(error) && error.code === 'invalid-argument') return '';
    throw error;
  }
}

const contentForm = (template: string, render: Probe): Promise<ContentForm> =>
  once('content', template, async () => {
    const ask = (content: unknown): Promise<string> =>
      tried(render, { messages: [{ role: 'user', content }] });
    const takesText = (await ask(MARK)).includes(MARK);
    const parts = await ask([{ type: 'text', text: MARK }]);
    // A template that doesn't know parts prints the list.
    const takesParts = parts.includes(MARK) && !/['"]type['"] ?: ?['"]text/.test(parts);
    if (takesParts) return takesText ? 'any' : 'parts';
    return 'text';
  });

/** Gemma 3 1B's older template reads a user's text, and of a system message only the first part. */
const systemForm = (template: string, render: Probe): Promise<ContentForm> =>
  once('system', template, async () => {
    const shows = async (content: unknown): Promise<boolean> =>
      (await tried(render, { messages: [{ role: 'system', content }, ASKS] })).includes(MARK);
    return !(await shows(MARK)) && (await shows([{ type: 'text', text: MARK }])) ? 'parts' : 'any';
  });

const argumentsForm = (template: string, render: Probe): Promise<ArgumentsForm> =>
  once('arguments', template, async () => {
    const ask = (given: unknown): Promise<string> =>
      tried(render, {
        messages: [
          ASKS,
          {
            role: 'assistant',
            content: '',
            tool_calls: [{ id: 'call00001', type: 'function', function: { name: 'find', arguments: given } }],
          },
        ],
        tools: [
          {
            type: 'function',
            function: { name: 'find', description: '', parameters: { type: 'object', properties: {} } },
          },
        ],
        add_generation_prompt: false,
      });
    const object = await ask({ [KEY]: MARK });
    // A template that is made for text prints an object as Python does, if it doesn't fail.
    if (object.includes(MARK)) return object.includes(`{'${KEY}': '${MARK}'}`) ? 'any' : 'object';
    return (await ask(JSON.stringify({ [KEY]: MARK }))).includes(MARK) ? 'text' : 'any';
  });
