// SPDX-License-Identifier: Apache-2.0
// page.mjs: a chat with a model that runs in this page. It uses loadModel and chat.completions only.
//
// ?model=ADDRESS presets the address. `window.chat` holds the state as plain data, for tests and for the
// console: { state: 'empty' | 'loading' | 'ready' | 'answering', info, messages, stats, error: { code,
// message, hint } | null }.
import { loadModel } from '../../dist/index.js';
import { blocksOf } from './markup.mjs';

const $ = (id) => document.getElementById(id);
const chat = (window.chat = { state: 'empty', info: null, messages: [], stats: null, error: null });
const SUGGESTIONS = [
  'Explain tides to a child.',
  'Write a haiku about autumn rain.',
  'Give me three ideas for a quick dinner.',
];

let model = null;
// AbortController of the current load.
let loading = null;
// Stream of the current answer.
let stream = null;

$('url').value =
  new URLSearchParams(location.search).get('model') ?? '../../models/SmolLM2-135M-Instruct.Q4_1.gguf';
for (const text of SUGGESTIONS) {
  const button = Object.assign(document.createElement('button'), { type: 'button', textContent: text });
  button.addEventListener('click', () => void ask(text));
  $('suggestions').append(button);
}

function setState(state) {
  chat.state = state;
  const isReady = state === 'ready' || state === 'answering';
  document.documentElement.dataset.state = isReady ? 'ready' : state;
  $('loader').hidden = isReady;
  for (const id of ['talk', 'composer', 'new-chat', 'model-button']) $(id).hidden = !isReady;
  $('progress').hidden = state !== 'loading';
  $('back').hidden = true;
  for (const id of ['load', 'url', 'file']) $(id).disabled = state === 'loading';
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
  try {
    // Two models at once might not fit in memory.
    await model?.dispose();
    model = null;
    model = await loadModel(source, { signal: loading.signal, onProgress: showProgress });
    chat.info = model.info;
    const { name, architecture, quantization, parameters, threads, backendReason } = model.info;
    $('model-name').textContent = name || architecture;
    $('model-button').title = backendReason;
    $('about').textContent =
      `${name || architecture}, ${millions(parameters)} parameters, ${quantization}, ${threads === 1 ? 'one thread' : `${threads} threads`}`;
    newChat();
    setState('ready');
    if (!model.info.chatTemplate)
      showError(addMessage('error'), {
        code: 'no template',
        message: 'This file has no chat template: it may be a base model.',
        hint: 'Load an "instruct" or "chat" version of it.',
      });
    await showFigures();
    $('question').focus();
  } catch (error) {
    model = null;
    setState('empty');
    if (!loading.signal.aborted) showError($('load-error'), error);
  }
  loading = null;
}

function showProgress({ phase, loaded, total, progress }) {
  $('bar').value = progress ?? 0;
  if (!total && phase === 'download') $('bar').removeAttribute('value');
  $('progress-text').textContent =
    loaded > 0
      ? `${phase}: ${megabytes(loaded)}${total ? ` of ${megabytes(total)}` : ''} MB`
      : `${phase} ...`;
}

const megabytes = (bytes) => (bytes / 1e6).toFixed(0);
const millions = (count) =>
  count >= 1e9 ? `${(count / 1e9).toFixed(1)} B` : `${(count / 1e6).toFixed(0)} M`;

$('url-form').addEventListener('submit', (event) => {
  event.preventDefault();
  try {
    void load(new URL($('url').value.trim(), location.href));
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
  for (const id of ['talk', 'composer', 'model-button', 'new-chat']) $(id).hidden = true;
  $('back').hidden = false;
  $('url').focus();
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

async function ask(text) {
  if (chat.state !== 'ready' || text.trim() === '') return;
  // A new chat replaces `chat.messages`.
  const conversation = chat.messages;
  const question = { role: 'user', content: text.trim() };
  const system = $('system').value.trim();
  const mine = addMessage('user');
  mine.textContent = question.content;
  $('question').value = '';
  fitQuestion();
  const answer = new AnswerView(addMessage('assistant'));
  isStopping = false;
  setState('answering');
  scrollDown(true);
  try {
    stream = await model.chat.completions.create({
      messages: [...(system === '' ? [] : [{ role: 'system', content: system }]), ...conversation, question],
      stream: true,
      temperature: Number($('temperature').value),
      max_tokens: $('max-tokens').value === '' ? null : Number($('max-tokens').value),
    });
    if (isStopping) stream.controller.abort();
    for await (const { choices } of stream)
      if (choices[0]?.delta.content) answer.add(choices[0].delta.content);
    // Stopped before the first word: the question is dropped.
    if (answer.text === '' && stream.controller.signal.aborted) {
      mine.remove();
      answer.item.remove();
      askAgain(question.content);
    } else {
      answer.end(stream.stats);
      conversation.push(question, { role: 'assistant', content: answer.text });
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
  await showFigures();
  scrollDown();
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

/** Shows the answer as it grows, at most once per frame. */
class AnswerView {
  text = '';
  item;
  #body = Object.assign(document.createElement('div'), { className: 'text' });
  #note = Object.assign(document.createElement('p'), { className: 'note' });
  #pieces = 0;
  #begin = 0;
  #frame = 0;

  constructor(item) {
    this.item = item;
    this.#body.append(
      Object.assign(document.createElement('span'), { className: 'waiting', title: 'reading' }),
    );
    item.append(this.#body, this.#note);
  }

  add(piece) {
    this.text += piece;
    if (this.#pieces++ === 0) this.#begin = performance.now();
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  /** `stats` is undefined where an error ended the answer. */
  end(stats) {
    cancelAnimationFrame(this.#frame);
    this.#paint();
    if (!stats) return;
    const reason = { stop: '', length: 'cut off: maximum number of tokens reached', abort: 'stopped' }[
      stats.finishReason
    ];
    this.#note.textContent = [
      `${stats.tokens} tokens`,
      stats.tokensPerSecond > 0 ? `${stats.tokensPerSecond.toFixed(1)} tokens/s` : '',
      `${(stats.ttftMs / 1000).toFixed(2)} s to the first`,
      reason,
    ]
      .filter(Boolean)
      .join(' · ');
  }

  #paint() {
    this.#frame = 0;
    this.#body.replaceChildren(...blocksOf(this.text));
    const seconds = (performance.now() - this.#begin) / 1000;
    if (this.#pieces > 1) this.#note.textContent = `${((this.#pieces - 1) / seconds).toFixed(1)} tokens/s`;
    scrollDown();
  }
}

function addMessage(kind) {
  const item = Object.assign(document.createElement('li'), { className: kind });
  $('messages').append(item);
  return item;
}

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
  const { contextLength, threads } = model.info;
  const { wasmBytes } = await model.counters();
  const used = chat.stats ? chat.stats.promptTokens + chat.stats.tokens : 0;
  const figures = {
    speed: chat.stats?.tokensPerSecond ? `${chat.stats.tokensPerSecond.toFixed(1)} tokens/s` : '',
    memory: `${megabytes(wasmBytes)} MB memory`,
    threads: threads === 1 ? '1 thread' : `${threads} threads`,
    context: `${used} of ${contextLength} tokens`,
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
setState('empty');
document.documentElement.dataset.ready = 'true';
