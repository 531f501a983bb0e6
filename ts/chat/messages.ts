// SPDX-License-Identifier: Apache-2.0
// Parses the messages and tools of a chat request from any values. The results are new objects.
import { reading, refuse } from '../check.js';
import type { Fields } from '../check.js';
import { show } from '../errors.js';
import type { Tool } from './answer/reader.js';
import { fieldsOf, isObject, notInThisVersion } from './fields.js';
import type { ChatMessage } from './template.js';

type Role = 'system' | 'developer' | 'user' | 'assistant' | 'tool';
const roles: readonly unknown[] = ['system', 'developer', 'user', 'assistant', 'tool'] satisfies Role[];

/** Fields of a message beside role, content and name. Others than an assistant's messages have them empty. */
const ofAssistant = ['tool_calls', 'reasoning_content', 'refusal', 'audio', 'function_call', 'annotations'];

const isAbsent = (value: unknown): boolean =>
  value === undefined || value === null || (Array.isArray(value) && value.length === 0);

export function parseMessages(value: unknown): ChatMessage[] {
  if (!Array.isArray(value)) refuse(`messages is ${show(value)}, not an array`);
  if (value.length === 0) refuse('messages is empty');
  return Array.from(value, (given: unknown, index) => parseMessage(`messages[${index}]`, given));
}

function parseMessage(at: string, given: unknown): ChatMessage {
  const message = fieldsOf(at, given);
  const role = message['role'] as Role;
  if ((role as unknown) === 'function') notInThisVersion(`${at}.role 'function'`, "use 'tool'");
  if (!roles.includes(role)) refuse(`${at}.role is ${show(role)}, not one of ${roles.join(', ')}`);
  for (const [field, value] of Object.entries(message)) {
    if (['role', 'content', 'name'].includes(field) || reading(`${at}.${field}`, () => isAbsent(value)))
      continue;
    if (role === 'assistant' && (field === 'tool_calls' || field === 'reasoning_content')) continue;
    if (role === 'tool' && field === 'tool_call_id') continue;
    if (role === 'assistant' && ofAssistant.includes(field)) notInThisVersion(`${at}.${field}`);
    refuse(`${at}: a message of the role '${role}' has no field '${field}'`);
  }
  const text = (field: string): Fields => {
    const value = message[field] ?? undefined;
    if (value === undefined) return {};
    return typeof value === 'string'
      ? { [field]: value }
      : refuse(`${at}.${field} is ${show(value)}, not a string`);
  };
  const calls = isAbsent(message['tool_calls'])
    ? {}
    : {
        tool_calls: reading(`${at}.tool_calls`, () => parseCalls(`${at}.tool_calls`, message['tool_calls'])),
      };
  if (role === 'tool' && isAbsent(message['tool_call_id']))
    refuse(`${at}.tool_call_id is missing`, 'it is the id of the call whose result the content is');
  return {
    role,
    content:
      'tool_calls' in calls && isAbsent(message['content'])
        ? null
        : reading(`${at}.content`, () => parseContent(`${at}.content`, message['content'])),
    ...text('name'),
    ...text('reasoning_content'),
    ...calls,
    ...text('tool_call_id'),
  };
}

function parseContent(at: string, content: unknown): string | { type: 'text'; text: string }[] {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) refuse(`${at} is ${show(content)}, neither a string nor an array of parts`);
  return Array.from(content, (given: unknown, index) => {
    const { type, text } = fieldsOf(`${at}[${index}]`, given);
    if (type !== 'text')
      refuse(`${at}[${index}].type is ${show(type)}, not 'text', the only type in this version`);
    if (typeof text !== 'string') refuse(`${at}[${index}].text is ${show(text)}, not a string`);
    return { type, text };
  });
}

function parseCalls(at: string, value: unknown): unknown[] {
  if (!Array.isArray(value)) refuse(`${at} is ${show(value)}, not an array`);
  return Array.from(value, (given: unknown, index) => {
    const here = `${at}[${index}]`;
    const call = fieldsOf(here, given);
    if ((call['type'] ?? 'function') !== 'function') notInThisVersion(`${here}.type ${show(call['type'])}`);
    if (typeof call['id'] !== 'string') refuse(`${here}.id is ${show(call['id'])}, not a string`);
    const of = fieldsOf(`${here}.function`, call['function']);
    for (const field of ['name', 'arguments'])
      if (typeof of[field] !== 'string')
        refuse(`${here}.function.${field} is ${show(of[field])}, not a string`);
    const { name, arguments: text } = of;
    return { id: call['id'], type: 'function', function: { name, arguments: text } };
  });
}

/** Returns the tools as JSON has them, without fields that are undefined. */
export function parseTools(value: unknown): (Tool & object)[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) refuse(`tools is ${show(value)}, not an array`);
  const names = new Set<unknown>();
  return Array.from(value, (given: unknown, index) => {
    const at = `tools[${index}]`;
    const tool = fieldsOf(at, given);
    if (tool['type'] !== 'function') notInThisVersion(`${at}.type ${show(tool['type'])}`, "use 'function'");
    const { name, description, parameters } = fieldsOf(`${at}.function`, tool['function']);
    if (typeof name !== 'string' || name === '')
      refuse(`${at}.function.name is ${show(name)}, not a name of a function`);
    if (names.has(name)) refuse(`${at}.function.name is '${name}', as that of a tool before`);
    names.add(name);
    if (!isAbsent(description) && typeof description !== 'string')
      refuse(`${at}.function.description is ${show(description)}, not a string`);
    if (!isAbsent(parameters) && !isObject(parameters))
      refuse(`${at}.function.parameters is ${show(parameters)}, not a JSON schema`);
    return reading(at, () => JSON.parse(JSON.stringify(tool)) as Tool);
  });
}

/** Returns those of `tools` that the model may call. */
export function chosenTools(value: unknown, tools: readonly Tool[]): readonly Tool[] {
  if (value === undefined || value === null || value === 'auto') return tools;
  if (value === 'none') return [];
  const fields = isObject(value) ? fieldsOf('tool_choice', value) : {};
  if (fields['type'] === 'allowed_tools') return allowedTools(fields['allowed_tools'], tools);
  const what = typeof value === 'string' ? `'${value}'` : show(value);
  if (value !== 'required' && !isObject(value)) refuse(`tool_choice is ${what}, not 'none' or 'auto'`);
  return cantForce(value === 'required' ? what : 'with a named tool');
}

const cantForce = (what: string): never =>
  notInThisVersion(
    `tool_choice ${what}`,
    "a call can't be forced: use 'auto', give only the tools in question, and ask for the call in a message",
  );

function allowedTools(value: unknown, tools: readonly Tool[]): readonly Tool[] {
  const at = 'tool_choice.allowed_tools';
  const { mode, tools: list } = fieldsOf(at, value);
  if (mode === 'required') cantForce("with the mode 'required'");
  if (mode !== 'auto') refuse(`${at}.mode is ${show(mode)}, not 'auto'`);
  if (!Array.isArray(list)) refuse(`${at}.tools is ${show(list)}, not an array`);
  const names = Array.from(list, (given: unknown, index) => {
    const here = `${at}.tools[${index}].function`;
    const { name } = fieldsOf(here, fieldsOf(`${at}.tools[${index}]`, given)['function']);
    if (!tools.some((tool) => tool.function?.name === name)) refuse(`${here}.name ${show(name)} is no tool`);
    return name;
  });
  return tools.filter((tool) => names.includes(tool.function?.name));
}
