// SPDX-License-Identifier: Apache-2.0
// Tools for templates that know none: as text in the system message, calls and results as text in the turns.
// The form is the one that `hermes` reads.
import type { Tool } from './shapes.js';

/** A message for a template. */
export interface Message {
  readonly role: string;
  readonly content?: unknown;
  readonly [field: string]: unknown;
}

/** Whether a template's code reads `tools`. The word in quotes is another thing: a field of a message. */
export function usesTools(template: string): boolean {
  const blocks = template.match(/\{[{%][^{}]*/g) ?? [];
  return blocks.some((block) => /(?<!\.)\btools\b/.test(block.replace(/'[^']*'|"[^"]*"/g, '')));
}

/** Returns what a model must know to call `tools`. */
export function describeTools(tools: readonly Tool[]): string {
  const lines = tools.flatMap((tool: Tool | null) =>
    tool?.function === undefined ? [] : [JSON.stringify(tool.function)],
  );
  return [
    'You can call these functions. Each line describes one, with a JSON schema of its parameters:',
    '<tools>',
    ...lines,
    '</tools>',
    'To call a function, answer with its name and arguments as JSON between these tags, once for each call:',
    '<tool_call>',
    '{"name": "the name", "arguments": {"parameter": "value"}}',
    '</tool_call>',
    'The next message then holds each result between <tool_response> and </tool_response>. If no function',
    'helps, answer in plain text.',
  ].join('\n');
}

/** Returns messages in which the tools, their calls and their results are text. */
export function withToolsInText(messages: readonly Message[], tools: readonly Tool[]): Message[] {
  const written: Message[] = [];
  let responses: string[] | undefined;
  for (const message of messages) {
    if (message.role === 'tool') {
      const text = `<tool_response>\n${textOf(message.content)}\n</tool_response>`;
      if (responses === undefined) written.push({ role: 'user', content: '' });
      responses = [...(responses ?? []), text];
      written[written.length - 1] = { role: 'user', content: responses.join('\n') };
      continue;
    }
    responses = undefined;
    written.push(withCallsInText(message));
  }
  if (tools.length === 0) return written;
  const text = describeTools(tools);
  const [first, ...others] = written;
  if (first === undefined || (first.role !== 'system' && first.role !== 'developer'))
    return [{ role: 'system', content: text }, ...written];
  const content = Array.isArray(first.content)
    ? [...(first.content as unknown[]), { type: 'text', text }]
    : [textOf(first.content), text].filter((part) => part !== '').join('\n\n');
  return [{ ...first, content }, ...others];
}

function withCallsInText(message: Message): Message {
  const { tool_calls, ...others } = message;
  if (!Array.isArray(tool_calls)) return message;
  const calls = tool_calls.map(
    (call: { function?: { name?: unknown; arguments?: unknown } | null } | null) => {
      const { name, arguments: given } = call?.function ?? {};
      const text = typeof given === 'string' ? given : JSON.stringify(given ?? {});
      return `<tool_call>\n{"name": ${JSON.stringify(name ?? '')}, "arguments": ${text}}\n</tool_call>`;
    },
  );
  return { ...others, content: [textOf(message.content), ...calls].filter((part) => part !== '').join('\n') };
}

/** The text of a content: a string, or parts of type text. */
function textOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content))
    return content === null || content === undefined ? '' : JSON.stringify(content);
  return content
    .map((part: unknown) => (typeof part === 'string' ? part : (part as { text?: unknown } | null)?.text))
    .filter((part) => typeof part === 'string')
    .join('\n');
}
