// SPDX-License-Identifier: Apache-2.0
// Prompts of one connection: chat/prompt.ts makes them, the engine worker renders. A chunk that is loaded
// with the first chat. The worker gets the template engine's module with the first rendering.
import { renderPrompt } from '../chat/prompt.js';
import type { RenderedPrompt } from '../chat/prompt.js';
import { templateModule } from '../template/packed.js';
import type { Rendered, Rendering } from '../template/engine.js';
import type { Calls } from './calls.js';

const ready = new WeakSet<object>();

/** Renders `request`, the JSON text of `{ messages, ...options }`. */
export function promptOf(calls: Calls, request: string, signal?: AbortSignal): Promise<RenderedPrompt> {
  const { connection, loaded } = calls;
  const render = async (rendering: Rendering): Promise<Rendered> => {
    const module = ready.has(connection) ? undefined : templateModule();
    const rendered = await calls.run(signal, () =>
      calls.open<'render'>({ op: 'render', module, ...rendering }),
    );
    ready.add(connection);
    return rendered;
  };
  return renderPrompt({ ...loaded.templates, render }, request, signal);
}
