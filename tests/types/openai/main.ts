// SPDX-License-Identifier: Apache-2.0
// main.ts: a program written for OpenAI's client. Its types and the package's fit together.
import type OpenAI from 'openai';
import type { ChatCompletionChunk, ChatCompletionCreateParams, LanguageModel } from 'wasm-chord';

/** What the package returns is what the client's types say. */
export async function answers(
  model: LanguageModel,
  messages: OpenAI.ChatCompletionMessageParam[],
): Promise<OpenAI.ChatCompletionMessageParam[]> {
  const { completions } = model.chat;
  const whole: OpenAI.ChatCompletion = await completions.create({
    messages,
    logprobs: true,
    top_logprobs: 2,
  });
  for await (const chunk of await completions.create({ messages, stream: true, n: 2 })) {
    const theirs: OpenAI.ChatCompletionChunk = chunk;
    // @ts-expect-error a chunk is no whole completion
    const wrong: OpenAI.ChatCompletion = chunk;
    console.log(theirs.choices[0]?.delta.tool_calls?.[0]?.function?.arguments, wrong);
  }
  const stream: AsyncIterable<OpenAI.ChatCompletionChunk> = await completions.create({
    messages,
    stream: true,
  });
  const chunks: ChatCompletionChunk[] = [];
  console.log(stream, chunks);
  const message: OpenAI.ChatCompletionMessage = whole.choices[0]!.message;
  const call = (await completions.create({ messages })).choices[0]!.message.tool_calls?.[0];
  const theirCall: OpenAI.ChatCompletionMessageToolCall | undefined = call;
  console.log(theirCall, whole.usage?.prompt_tokens_details?.cached_tokens);
  return [...messages, message];
}

/** The package takes messages and tools of the client's types, and the fields that it has. */
export async function requests(
  model: LanguageModel,
  theirs: OpenAI.ChatCompletionCreateParams,
): Promise<string> {
  const { messages, tools, tool_choice, parallel_tool_calls, stop, logit_bias, stream_options } = theirs;
  const { n, seed, top_logprobs, logprobs, max_completion_tokens, reasoning_effort, metadata } = theirs;
  const body: ChatCompletionCreateParams = {
    messages,
    tools,
    tool_choice,
    parallel_tool_calls,
    stop,
    logit_bias,
    n,
    seed,
    logprobs,
    top_logprobs,
    max_completion_tokens,
    reasoning_effort,
    metadata,
    temperature: theirs.temperature,
    frequency_penalty: theirs.frequency_penalty,
    user: theirs.user,
    model: theirs.model,
  };
  for await (const { choices } of await model.chat.completions.create({
    ...body,
    stream_options,
    stream: true,
  }))
    console.log(choices[0]?.delta.content);
  const { choices } = await model.chat.completions.create({ ...body, stream: false });
  const tool: OpenAI.ChatCompletionFunctionTool = {
    type: 'function',
    function: {
      name: 'now',
      description: 'The time.',
      parameters: { type: 'object', properties: {} },
      strict: true,
    },
  };
  const result: OpenAI.ChatCompletionToolMessageParam = { role: 'tool', tool_call_id: 'a', content: '12:00' };
  const again = await model.chat.completions.create({
    messages: [...messages, choices[0]!.message, result],
    tools: [tool],
    chat_template_kwargs: { enable_thinking: false },
  });
  // @ts-expect-error the content of a message is no number
  await model.chat.completions.create({ messages: [{ role: 'user', content: 3 }] });
  // @ts-expect-error a tool has a type
  await model.chat.completions.create({ messages, tools: [{ function: { name: 'now' } }] });
  const prompt: string = await model.applyChatTemplate([...messages, choices[0]!.message], { tools: [tool] });
  return prompt + again.choices[0]!.message.content;
}
