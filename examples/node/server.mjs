#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// server.mjs: a model behind HTTP with OpenAI's path, POST /v1/chat/completions, streamed or whole.
//
//   node server.mjs [model.gguf] [port]
//   curl localhost:8081/v1/chat/completions -d '{ "messages": [{ "role": "user", "content": "Hello!" }] }'
import { createServer } from 'node:http';
import { loadModel } from 'wasm-chord';

const [file = 'models/SmolLM2-135M-Instruct.Q4_1.gguf', port = '8081'] = process.argv.slice(2);
const model = await loadModel(file);

async function answer(request, response) {
  if (request.method !== 'POST' || request.url !== '/v1/chat/completions')
    return void response.writeHead(404).end();
  // A client that leaves stops its answer. Requests wait for each other: one model writes one answer.
  const controller = new AbortController();
  response.on('close', () => controller.abort());
  const body = await new Response(request).json();
  const result = await model.chat.completions.create(body, { signal: controller.signal });
  if (!body.stream)
    return void response.setHeader('content-type', 'application/json').end(JSON.stringify(result));
  response.setHeader('content-type', 'text/event-stream');
  for await (const chunk of result) response.write(`data: ${JSON.stringify(chunk)}\n\n`);
  response.end('data: [DONE]\n\n');
}

const server = createServer((request, response) => {
  answer(request, response).catch(({ code = 'invalid_request', message, hint }) => {
    if (response.destroyed) return;
    if (!response.headersSent) response.writeHead(400, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { code, message: [message, hint].filter(Boolean).join(' ') } }));
  });
});
server.listen(Number(port), '127.0.0.1', () => {
  console.log(`${model.info.name} at http://localhost:${server.address().port}/v1/chat/completions`);
});
