// SPDX-License-Identifier: Apache-2.0
// page.mjs: a chat with a model that runs in this page. It uses loadModel and chat.completions only.
//
// ?model=ADDRESS presets the address, and start=1 loads it at once. `window.chat` holds the state as plain
// data, for tests and for the console: { state: 'empty' | 'loading' | 'ready' | 'answering', info, messages,
// stats, error: { code, message, hint } | null }.
import { loadModel } from '../../dist/index.js';
import { knownModel, modelOfAddress, offerModels } from '../models.mjs';
import { AnswerView } from './answer.mjs';
import { showKept } from './kept.mjs';

const $ = (id) => document.getElementById(id);
const chat = (window.chat = { state: 'empty', info: null, messages: [], stats: null, error: null });
const SUGGESTIONS = [
  'What is the capital of France?',
  'Explain tides to a child.',
  'Write a haiku about autumn rain.',
  'Give me three ideas for a quick dinner.',
];
// At temperature 0 every answer to a question is the same, so another answer needs some chance.
const RETRY_TEMPERATURE = 0.5;
// A tiny model that always takes the likeliest word soon goes round in circles; this breaks them. A larger
// model writes long code, where the same words come again rightly.
const TINY = 3e8;
const TINY_PENALTY = 0.2;

const refreshKept = () => showKept($('kept'), (source) => void load(source), say);
let model = null;
// AbortController of the current load.
let loading = null;
// Stream of the current answer.
let stream = null;

const { address, isStarting } = modelOfAddress();
$('url').value = address ?? '../../models/SmolLM2-135M-Instruct.Q4_1.gguf';
void offerModels(
  $('models'),
  (model) => void load(model.address),
  (model) => !model.isBase,
);
void refreshKept();
for (const text of SUGGESTIONS) {
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
  button.addEventListener('click', () => void ask(text));
  $('suggestions').append(button);
}

function setState(state) {
  chat.state = state;
  const isReady = state === 'ready' || state === 'answering';
  document.documentElement.dataset.state = isReady ? 'ready' : state;
  // Without a template there is no chat: the error in the conversation says so.
  const canTalk = isReady && Boolean(model.info.chatTemplate);
  for (const control of [$('question'), $('send')]) control.disabled = !canTalk;
  $('question').placeholder = canTalk || !isReady ? 'Message' : 'This model has no chat';
  $('suggestions').hidden = isReady && !canTalk;
  $('loader').hidden = isReady;
  for (const id of ['talk', 'composer', 'new-chat', 'model-button']) $(id).hidden = !isReady;
  $('progress').hidden = state !== 'loading';
  $('back').hidden = true;
  for (const control of [
    $('load'),
    $('url'),
    $('file'),
    ...$('loader').querySelectorAll('.models button, .switch input'),
  ])
    control.disabled = state === 'loading';
  $('send').hidden = state === 'answering';
  $('stop').hidden = state !== 'answering';
  $('messages').ariaBusy = String(state === 'answering');
}

// ---- loading ---------------------------------------------------------------------------------------------

async function load(source) {
  if (chat.state === 'loading') return;
  stream?.controller.abort();
  showError($('load-error'), null);
  setState('loading');
  showProgress({ phase: 'starting', loaded: 0, progress: 0 });
  loading = new AbortController();
  $('progress').scrollIntoView({ block: 'nearest' });
  try {
    // Two models at once might not fit in memory.
    await model?.dispose();
    model = null;
    model = await loadModel(source, {
      backend: document.querySelector('[name=backend]:checked').value,
      signal: loading.signal,
      onProgress: showProgress,
    });
    chat.info = model.info;
    const { name, architecture, quantization, parameters, backendReason } = model.info;
    const title = knownModel(source.name ?? source)?.title ?? (name || architecture);
    $('model-name').textContent = title;
    $('model-button').title = `${name || architecture}; ${backendReason}`;
    // A model's name may round its size, or leave its word table out: two numbers would confuse.
    const size = /\d\s?[MB]\b/i.test(title) ? '' : `${millions(parameters)} parameters`;
    $('about').textContent = [title, size, quantization].filter(Boolean).join(', ');
    $('runs-on').textContent = whatRuns(model.info);
    $('expect').textContent = expectation(parameters);
    await presetSystem();
    newChat();
    setState('ready');
    say(`${title} is ready.`);
    if (!model.info.chatTemplate)
      showError(addMessage('error'), {
        code: 'no template',
        message: 'This file has no chat template: it may be a base model.',
        hint: 'Change to an "instruct" or "chat" version of it. "wasm-chord generate" continues a text with this one.',
      });
    await showFigures();
    $('question').focus();
  } catch (error) {
    model = null;
    setState('empty');
    if (!loading.signal.aborted) {
      showError($('load-error'), error);
      $('load-error').scrollIntoView({ block: 'nearest' });
    }
  }
  loading = null;
  // A load that was cancelled has also kept what came.
  await refreshKept();
}

function showProgress(event) {
  $('bar').value = event.progress ?? 0;
  if (!event.total && event.phase === 'download') $('bar').removeAttribute('value');
  $('progress-text').textContent = progressText(event);
}

/** The rate and the time left are undefined until they are known. */
export function progressText({ phase, loaded, total, bytesPerSecond, secondsLeft }) {
  if (!(loaded > 0)) return `${phase} ...`;
  const parts = [`${phase}: ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''} MB`];
  if (bytesPerSecond > 0) parts.push(`${(bytesPerSecond / 1e6).toFixed(1)} MB/s`);
  if (secondsLeft >= 1) parts.push(`${timeOf(secondsLeft)} left`);
  return parts.join(' · ');
}

const timeOf = (seconds) => (seconds < 90 ? `${Math.ceil(seconds)} s` : `${Math.round(seconds / 60)} min`);

/** What a visitor may expect of a model of that size. */
function expectation(parameters) {
  if (parameters < TINY)
    return `A model with ${millions(parameters)} parameters is tiny: it knows little and makes things up. It shows how quick a model in a page can be; larger ones answer better.`;
  if (parameters < 2e9) return 'A small model: it is quick, and it makes things up.';
  return 'It may make things up: check what matters.';
}

/** Which backend runs, and why; on the CPU with how many threads. */
function whatRuns({ backend, backendReason, threads, threadsReason }) {
  const why = backendReason.split('; ')[0].replace(/^(the CPU|WebGPU)/, '');
  if (backend === 'webgpu') return `Runs on the GPU${why}.`;
  const one = `One thread${threadsReason.replace(/^1 thread/, '')}.`;
  return `Runs on the CPU${why}. ${threads === 1 ? one : `${threads} threads.`}`;
}

let isOwnSystem = false;
/** The default system prompt, unless the user wrote one, or the model's template has no system turn. */
async function presetSystem() {
  const field = $('system');
  if (isOwnSystem) return;
  field.value = field.defaultValue;
  if (!model.info.chatTemplate) return;
  const messages = [
    { role: 'system', content: field.value },
    { role: 'user', content: 'Hello' },
  ];
  await model.applyChatTemplate(messages).catch(() => (field.value = ''));
}

/** Tells those who don't see the page. */
function say(text) {
  $('status').textContent = text;
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(0);
const millions = (count) =>
  count >= 1e9 ? `${(count / 1e9).toFixed(1)} B` : `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} M`;

$('url-form').addEventListener('submit', (event) => {
  event.preventDefault();
  try {
    void load(new URL($('url').value.trim(), location.href).href);
  } catch {
    showError($('load-error'), { code: 'invalid-argument', message: `${$('url').value} is no address` });
  }
});
$('file').addEventListener('change', ({ target }) => {
  const [file] = target.files;
  // Lets the same file be chosen again.
  target.value = '';
  if (file) void load(file);
});
$('cancel').addEventListener('click', () => loading?.abort());
$('model-button').addEventListener('click', () => {
  $('loader').hidden = false;
  document.documentElement.dataset.state = 'choosing';
  for (const id of ['talk', 'composer', 'model-button', 'new-chat']) $(id).hidden = true;
  $('back').hidden = false;
  ($('models').querySelector('button') ?? $('url')).focus();
});
$('back').addEventListener('click', () => {
  setState(chat.state);
  $('question').focus();
});
addEventListener('dragover', (event) => {
  event.preventDefault();
  document.documentElement.dataset.dragging = '';
});
addEventListener('dragleave', ({ relatedTarget }) => {
  if (relatedTarget === null) delete document.documentElement.dataset.dragging;
});
addEventListener('drop', (event) => {
  event.preventDefault();
  delete document.documentElement.dataset.dragging;
  const [file] = event.dataTransfer.files;
  if (file) void load(file);
});

// ---- talking ---------------------------------------------------------------------------------------------

/** `isRetry`: the question was asked before, and another answer is wanted. */
async function ask(text, isRetry = false) {
  if (chat.state !== 'ready' || text.trim() === '') return;
  // A new chat replaces `chat.messages`.
  const conversation = chat.messages;
  const question = { role: 'user', content: text.trim() };
  const system = $('system').value.trim();
  const mine = addMessage('user');
  mine.textContent = question.content;
  $('question').value = '';
  fitQuestion();
  const answer = new AnswerView(addMessage('assistant'), scrollDown);
  isStopping = false;
  setState('answering');
  // The answer shows its own speed while it grows.
  document.querySelector('[data-figure=speed]')?.remove();
  say('The model answers.');
  scrollDown(true);
  try {
    stream = await model.chat.completions.create({
      messages: [...(system === '' ? [] : [{ role: 'system', content: system }]), ...conversation, question],
      stream: true,
      temperature: Math.max(Number($('temperature').value), isRetry ? RETRY_TEMPERATURE : 0),
      max_tokens: $('max-tokens').value === '' ? null : Number($('max-tokens').value),
      // A long chat goes on without its oldest turns.
      overflow: 'drop-oldest',
      frequency_penalty: model.info.parameters < TINY ? TINY_PENALTY : 0,
    });
    if (isStopping) stream.controller.abort();
    for await (const { choices } of stream) {
      // Words that were on their way when the user stopped aren't shown any more.
      const { content, reasoning_content: thought } = choices[0]?.delta ?? {};
      if (thought && !isStopping) answer.think(thought);
      if (content && !isStopping) answer.add(content);
    }
    // Stopped before the first word: the question is dropped.
    if (answer.text === '' && stream.controller.signal.aborted) {
      mine.remove();
      answer.item.remove();
      askAgain(question.content);
    } else {
      answer.end(stream.stats, () => retry(answer), stream.droppedMessages);
      // The template keeps or drops what the model thought.
      const thoughts = answer.thoughts === '' ? {} : { reasoning_content: answer.thoughts };
      conversation.push(question, { role: 'assistant', content: answer.text, ...thoughts });
      if (conversation === chat.messages) Object.assign(chat, { stats: stream.stats, error: null });
    }
  } catch (error) {
    // Another model is loading.
    if (model === null) return;
    answer.end(undefined);
    if (answer.text === '') answer.item.remove();
    showError(addMessage('error'), error);
    askAgain(question.content);
  }
  stream = null;
  if (chat.state !== 'answering') return;
  setState('ready');
  say(isStopping ? 'Stopped.' : 'The answer is complete.');
  await showFigures();
  scrollDown();
}

/** Asks the last question again, in place of its answer. */
function retry(answer) {
  if (chat.state !== 'ready' || answer.item.matches('.assistant:has(~ .assistant)')) return;
  const [question] = chat.messages.splice(-2);
  const items = [...$('messages').children];
  for (const item of items.slice(items.indexOf(answer.item) - 1)) item.remove();
  $('question').focus();
  void ask(question.content, true);
}

function askAgain(text) {
  if ($('question').value === '') $('question').value = text;
  fitQuestion();
}

let isStopping = false;
function stop() {
  if (chat.state !== 'answering') return;
  // Also set before there is a stream.
  isStopping = true;
  stream?.controller.abort();
  $('question').focus();
}

function addMessage(kind) {
  const item = Object.assign(document.createElement('li'), { className: kind });
  $('messages').append(item);
  return item;
}

// Not by CSS: WebKit doesn't see that :has(:empty) has become false.
new MutationObserver(() => {
  $('welcome').hidden = $('messages').childElementCount > 0;
}).observe($('messages'), { childList: true });

function newChat() {
  stream?.controller.abort();
  chat.messages = [];
  chat.stats = null;
  chat.error = null;
  $('messages').replaceChildren();
}

/** Hints that only the page can give. */
const HINTS = {
  http: 'Check the address. A file on another site can be read only if that site allows it (CORS).',
  'no-webgpu': 'Choose "Automatic" or "CPU" above.',
  'context-full': 'Begin a new chat, or ask something shorter.',
};

function showError(place, error) {
  place.hidden = error === null;
  chat.error = error && {
    code: error.code ?? 'internal',
    message: error.message ?? String(error),
    hint: HINTS[error.code] ?? error.hint,
  };
  if (error === null) return;
  const line = (...parts) => {
    const p = document.createElement('p');
    p.append(...parts);
    return p;
  };
  const code = Object.assign(document.createElement('b'), { textContent: chat.error.code });
  place.replaceChildren(
    line(code, ' ', chat.error.message),
    ...(chat.error.hint ? [line(chat.error.hint)] : []),
  );
}

/** Shows the speed of the last answer, the current memory, and how full the context is. */
async function showFigures() {
  const { contextLength, threads, parameters, backend } = model.info;
  const { wasmBytes, gpuBytes } = await model.counters();
  const used = chat.stats ? chat.stats.promptTokens + chat.stats.tokens : 0;
  const figures = {
    speed: chat.stats?.tokensPerSecond ? `${chat.stats.tokensPerSecond.toFixed(1)} tokens/s` : '',
    memory: `${megabytes(wasmBytes + gpuBytes)} MB memory`,
    backend: backend === 'webgpu' ? 'GPU' : threads === 1 ? 'CPU, 1 thread' : `CPU, ${threads} threads`,
    context: `${used} of ${contextLength} tokens`,
    size: parameters < 2e9 ? 'small model: often wrong' : '',
  };
  $('figures').replaceChildren(
    ...Object.entries(figures)
      .filter(([, text]) => text !== '')
      .map(([name, text]) => {
        const figure = Object.assign(document.createElement('span'), { textContent: text });
        figure.dataset.figure = name;
        return figure;
      }),
  );
}

/** Scrolls to the end of the text, unless the reader has scrolled up. */
function scrollDown(isForced = false) {
  const view = document.querySelector('main');
  if (isForced || view.scrollHeight - view.scrollTop - view.clientHeight < 120)
    view.scrollTop = view.scrollHeight;
}

/** Sizes the text field by its content, where CSS can't. */
function fitQuestion() {
  if (CSS.supports('field-sizing', 'content')) return;
  $('question').style.height = 'auto';
  $('question').style.height = `${$('question').scrollHeight}px`;
}

$('ask').addEventListener('submit', (event) => {
  event.preventDefault();
  void ask($('question').value);
});
$('question').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing || matchMedia('(pointer: coarse)').matches)
    return;
  event.preventDefault();
  void ask($('question').value);
});
$('question').addEventListener('input', fitQuestion);
$('stop').addEventListener('click', stop);
$('new-chat').addEventListener('click', () => {
  newChat();
  void showFigures();
  $('question').focus();
});
addEventListener('keydown', ({ key }) => {
  if (key === 'Escape' && !$('settings').open) stop();
});
$('settings-button').addEventListener('click', () => $('settings').showModal());
const showTemperature = () => ($('temperature-text').textContent = Number($('temperature').value).toFixed(1));
$('temperature').addEventListener('input', showTemperature);
showTemperature();
$('system').addEventListener('input', () => (isOwnSystem = true));
setState('empty');
if (isStarting) void load(new URL(address, location.href).href);
document.documentElement.dataset.ready = 'true';
