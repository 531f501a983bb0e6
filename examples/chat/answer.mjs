// SPDX-License-Identifier: Apache-2.0
// answer.mjs: one answer of the model on the page: its text as it grows, its figures, and buttons to copy it
// and to ask again.
import { blocksOf, copyButton, element } from './markup.mjs';

const REASONS = { stop: '', length: 'cut off: no room for more tokens', abort: 'stopped' };

export class AnswerView {
  text = '';
  /** What the model thought before it answered. */
  thoughts = '';
  item;
  #body = element('div', { className: 'text' });
  #details = element('details', { className: 'thoughts', open: true });
  #note = element('span', { className: 'note' });
  #hasText = false;
  #pieces = 0;
  #begin = 0;
  #frame = 0;
  #onPaint;

  /** `onPaint` is called after each change, for example to scroll. */
  constructor(item, onPaint) {
    this.item = item;
    this.#onPaint = onPaint;
    this.#body.append(element('span', { className: 'waiting', title: 'reading' }));
    item.append(this.#body, this.#note);
  }

  /** Adds a piece; the page is painted at most once per frame. */
  add(piece) {
    this.text += piece;
    if (this.#pieces++ === 0) this.#begin = performance.now();
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  /** Adds a piece of what the model thinks. It is open while the answer has no text. */
  think(piece) {
    if (this.thoughts === '') this.item.prepend(this.#details);
    this.thoughts += piece;
    this.#frame ||= requestAnimationFrame(() => this.#paint());
  }

  /**
   * `stats` is undefined where an error ended the answer. `retry` asks the same question again. `dropped`:
   * messages that no longer fit in the context.
   */
  end(stats, retry, dropped = 0) {
    cancelAnimationFrame(this.#frame);
    this.#paint();
    if (!stats) return;
    this.#note.textContent = [
      `${stats.tokens} tokens`,
      stats.tokensPerSecond > 0 ? `${stats.tokensPerSecond.toFixed(1)} tokens/s` : '',
      `${(stats.ttftMs / 1000).toFixed(2)} s to the first`,
      REASONS[stats.finishReason],
      dropped > 0 ? `the oldest ${dropped} messages no longer fit` : '',
    ]
      .filter(Boolean)
      .join(' · ');
    const again = element('button', { type: 'button', className: 'retry', textContent: 'Retry' });
    again.title = 'Replace this answer by another one';
    again.addEventListener('click', retry);
    const actions = element('div', { className: 'actions' });
    actions.append(
      copyButton(() => this.text, 'Copy this answer'),
      again,
      this.#note,
    );
    this.item.append(actions);
  }

  #paint() {
    this.#frame = 0;
    if (this.thoughts !== '') {
      const text = element('div', { textContent: this.thoughts });
      this.#details.replaceChildren(element('summary', { textContent: 'Thoughts' }), text);
    }
    if (this.text !== '' || this.thoughts === '') this.#body.replaceChildren(...blocksOf(this.text));
    if (this.text !== '' && !this.#hasText) this.#details.open = false;
    this.#hasText = this.text !== '';
    const seconds = (performance.now() - this.#begin) / 1000;
    if (this.#pieces > 1) this.#note.textContent = `${((this.#pieces - 1) / seconds).toFixed(1)} tokens/s`;
    this.#onPaint();
  }
}
