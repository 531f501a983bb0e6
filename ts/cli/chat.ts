// SPDX-License-Identifier: Apache-2.0
// chat.ts: the command `chat`: a conversation line by line, typed or piped. Answers go to stdout.
import { ChordError } from '../index.js';
import type {
  ChatCompletionCreateParams,
  ChatCompletionMessageParam,
  GenerationStats,
  LanguageModel,
} from '../index.js';
import type { Command } from './arguments.js';
import { Lines, onOneLine, print, printText } from './terminal.js';

const commands = `/reset   start a new conversation; the system turn is kept
/exit    end the conversation, as Ctrl-D does
/help    show these commands
Ctrl-C stops an answer; at the prompt it ends the conversation
`;

/** Runs until the input ends or the user ends it. Resolves to true if Ctrl-C ended it. */
export async function chat(model: LanguageModel, command: Command): Promise<boolean> {
  // Throws the template's error before the first question.
  if (!model.info.chatTemplate) await model.applyChatTemplate([]);
  const lines = new Lines('> ');
  const system: ChatCompletionMessageParam[] =
    command.system === null ? [] : [{ role: 'system', content: command.system }];
  let messages = [...system];
  if (lines.isTerminal && !command.quiet)
    process.stderr.write(
      `${onOneLine(`${model.info.name || model.info.architecture}: ${model.info.backendReason}`)}\n${commands}\n`,
    );
  try {
    for (let line = await lines.next(); line !== undefined; line = await lines.next()) {
      const text = line.trim();
      if (text === '') continue;
      if (text === '/exit') break;
      if (text === '/reset') {
        messages = [...system];
        continue;
      }
      if (/^\/[a-z]+$/.test(text)) {
        process.stderr.write(commands);
        continue;
      }
      const question: ChatCompletionMessageParam = { role: 'user', content: line };
      try {
        const content = await lines.interruptible((signal) =>
          answer(model, command, [...messages, question], signal),
        );
        // An answer that was stopped before its first word is dropped with its question.
        if (content !== '') messages.push(question, { role: 'assistant', content });
      } catch (error) {
        if (!lines.isTerminal || !ChordError.isInstance(error)) throw error;
        process.stderr.write(
          `${onOneLine(`${error.code}: ${error.message}`)}\n${error.code === 'context-full' ? '/reset starts a new conversation\n' : ''}\n`,
        );
      }
    }
  } finally {
    lines.close();
  }
  return lines.isInterrupted;
}

/** Prints the answer and its figures. Resolves to the answer's text, which may be partial. */
async function answer(
  model: LanguageModel,
  command: Command,
  messages: ChatCompletionMessageParam[],
  signal: AbortSignal,
): Promise<string> {
  const stream = await model.chat.completions.create(
    { ...requestOf(command), messages, stream: true },
    { signal },
  );
  let text = '';
  try {
    for await (const { choices } of stream) {
      const piece = choices[0]?.delta.content ?? '';
      text += piece;
      if (!command.json) await printText(piece);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  const stats = stream.stats;
  if (command.json) await printText(`${JSON.stringify({ text, stats })}\n`);
  else await print('\n');
  if (!command.json && !command.quiet && stats) process.stderr.write(figures(stats));
  return text;
}

const figures = ({
  promptTokens,
  cachedTokens,
  promptMs,
  tokens,
  tokensPerSecond,
  finishReason,
}: GenerationStats): string =>
  `\n${promptTokens} prompt tokens, ${cachedTokens} kept and ${promptTokens - cachedTokens} read in ${promptMs.toFixed(0)} ms; ` +
  `${tokens} written at ${tokensPerSecond.toFixed(1)} tokens/s (${finishReason})\n\n`;

function requestOf({ sampling }: Command): Omit<ChatCompletionCreateParams, 'messages' | 'stream'> {
  const {
    maxTokens,
    temperature,
    topP,
    frequencyPenalty,
    presencePenalty,
    seed,
    stop,
    topK,
    minP,
    repetitionPenalty,
  } = sampling;
  return {
    max_tokens: maxTokens,
    temperature,
    top_p: topP,
    frequency_penalty: frequencyPenalty,
    presence_penalty: presencePenalty,
    seed,
    stop,
    extra_body: { top_k: topK, min_p: minP, repetition_penalty: repetitionPenalty },
  };
}
