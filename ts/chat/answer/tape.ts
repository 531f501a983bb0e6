// SPDX-License-Identifier: Apache-2.0
// The text of an answer as it comes, and the parts that have been read from it.
//
// Readers are generators: they yield where the text has come to its end so far, and continue there. Each
// character is taken once, so time is linear in the text. While a reader tries to read a call, `#tried`
// collects what it takes. `accept` drops that text, `reject` makes it content: nothing is lost.
import type { AnswerPart } from './shapes.js';

/** A reader in progress, which returns a T. */
export type Reading<T> = Generator<void, T, void>;

/** Takes text that is certain. */
export type Sink = (text: string) => void;

/** Characters that separate, in JSON and between markers. */
const BLANKS = ' \n\r\t';
export const isBlank = (item: string): boolean => item.length === 1 && BLANKS.includes(item);

/** Stands in front of the text of a control token. */
const CONTROL = '\0';

type Flow = 'content' | 'reasoning';

export class Tape {
  parts: AnswerPart[] = [];
  /** Whether blanks wait for what follows: where a marker may come. */
  waits = true;
  /** Whether markers that look like control tokens may also be spelled out. */
  readonly #isLenient: boolean;
  readonly #newId: () => string;
  readonly #names: ReadonlySet<string>;
  #piece = '';
  #at = 0;
  #control = '';
  #hasEnded = false;
  #tried: string | undefined;
  #calls = 0;
  #flow: Flow = 'content';
  /** Blanks that are given when text of the same flow follows, and dropped at a marker. */
  #blanks = '';
  #isAtStart = false;

  constructor(names: ReadonlySet<string>, newId: () => string, isLenient: boolean) {
    this.#names = names;
    this.#newId = newId;
    this.#isLenient = isLenient;
  }

  /** Adds text and the control token behind it. The text before it has been read. */
  feed(text: string, control: string): void {
    this.#piece = this.#piece.slice(this.#at) + text;
    this.#at = 0;
    this.#control = control === '' ? '' : CONTROL + control;
  }

  end(): void {
    this.#hasEnded = true;
  }

  /**
   * Returns the next item: a UTF-16 unit, or a control token's text behind CONTROL, or '' at the end.
   * Undefined: it hasn't come yet.
   */
  #item(): string | undefined {
    if (this.#at < this.#piece.length) return this.#piece[this.#at];
    return this.#control !== '' ? this.#control : this.#hasEnded ? '' : undefined;
  }

  *peek(): Reading<string> {
    for (;;) {
      const item = this.#item();
      if (item !== undefined) return item;
      yield;
    }
  }

  /** Takes the item that `peek` returned. */
  skip(): void {
    const item = this.#item() ?? '';
    if (item.length > 1) this.#control = '';
    else this.#at++;
    if (this.#tried !== undefined) this.#tried += item.length > 1 ? item.slice(CONTROL.length) : item;
  }

  /** Puts text back that was taken since the last piece began or came. */
  #unread(text: string): void {
    this.#piece = text + this.#piece.slice(this.#at);
    this.#at = 0;
  }

  /** Takes blanks. Returns the item behind them, which isn't taken. */
  *space(sink?: Sink): Reading<string> {
    for (;;) {
      const item = yield* this.peek();
      if (!isBlank(item)) return item;
      this.skip();
      sink?.(item);
    }
  }

  /** Takes `wanted`, as text or as a control token. False: what was taken is no more than a part of it. */
  *literal(wanted: string): Reading<boolean> {
    for (let i = 0; i < wanted.length; i++) {
      const item = yield* this.peek();
      if (i === 0 && item === CONTROL + wanted) {
        this.skip();
        return true;
      }
      if (item !== wanted[i]) return false;
      this.skip();
    }
    return true;
  }

  /** Whether `marker` counts when ordinary tokens spell it. */
  #isText(marker: string): boolean {
    return this.#isLenient || !/^(<\|.*\|>|\[[A-Z_]+\])$/.test(marker);
  }

  /**
   * Gives text to `sink` until a marker comes. Returns the marker, or '' at the end. `controls`: further
   * markers, which count as control tokens only.
   */
  *until(markers: readonly string[], sink: Sink, controls: readonly string[] = []): Reading<string> {
    const spelled = markers.filter((marker) => this.#isText(marker));
    let held = '';
    for (;;) {
      const item = yield* this.peek();
      if (item.length !== 1) {
        sink(held);
        held = '';
        if (item === '') return '';
        this.skip();
        const found = [...markers, ...controls].find((marker) => item === CONTROL + marker);
        if (found !== undefined) return found;
        continue;
      }
      this.skip();
      held += item;
      while (held !== '' && !spelled.some((marker) => marker.startsWith(held))) {
        sink(held[0]!);
        held = held.slice(1);
      }
      if (spelled.includes(held)) return held;
    }
  }

  /** Takes a marker if one comes first, behind blanks. Otherwise takes nothing but the blanks: content. */
  *first(markers: readonly string[]): Reading<string> {
    const spelled = markers.filter((marker) => this.#isText(marker));
    let blanks = '';
    let item = yield* this.space((blank) => (blanks += blank));
    let held = '';
    for (;;) {
      const next = held + item;
      const found = markers.find((marker) => next === CONTROL + marker) ?? spelled.find((m) => m === next);
      const goes = item !== '' && spelled.some((marker) => marker.startsWith(next));
      if (found !== undefined || goes) this.skip();
      if (found !== undefined) return found;
      if (!goes) break;
      held = next;
      item = yield* this.peek();
    }
    this.content(blanks);
    this.#unread(held);
    return '';
  }

  /** From here on what is taken may turn out to be text. `marker` is taken already. */
  try(marker: string): void {
    this.#tried = marker;
  }

  /** What was taken was no text. The text that follows begins behind its blanks. */
  accept(): void {
    this.#tried = undefined;
    this.turn('content');
  }

  /** What was taken was text, except the parts that were given. */
  reject(): void {
    const text = this.#tried ?? '';
    this.#tried = undefined;
    this.content(text);
  }

  /** Text of another flow begins. Blanks at the seam belong to the marker. */
  turn(flow: Flow): void {
    this.#flow = flow;
    this.#blanks = '';
    this.#isAtStart = true;
  }

  /** Gives text of the flow. */
  readonly content = (text: string): void => {
    let first = 0;
    if (this.#isAtStart) while (first < text.length && isBlank(text[first]!)) first++;
    let end = text.length;
    while (end > first && isBlank(text[end - 1]!)) end--;
    if (end > first) {
      this.#isAtStart = false;
      this.#append(this.#blanks + text.slice(first, end));
      this.#blanks = '';
    }
    if (!this.#isAtStart) this.#blanks += text.slice(end);
    if (!this.waits) this.finish();
  };

  /** Gives the blanks that waited: no marker came. */
  finish(): void {
    if (this.#blanks !== '') this.#append(this.#blanks);
    this.#blanks = '';
  }

  #append(text: string): void {
    const last = this.parts.at(-1);
    if (last?.type === this.#flow) last.text += text;
    else this.parts.push({ type: this.#flow, text });
  }

  /** Whether a tool has this name. */
  knows(name: string): boolean {
    return this.#names.has(name);
  }

  /** Begins a call. */
  call(name: string, id?: string): void {
    this.parts.push({ type: 'call', index: this.#calls++, id: id ?? this.#newId(), name });
    this.turn('content');
  }

  /** Gives arguments of the last call. What was taken so far is given with them. */
  readonly arguments = (text: string): void => {
    const last = this.parts.at(-1);
    const index = this.#calls - 1;
    if (last?.type === 'arguments' && last.index === index) last.text += text;
    else this.parts.push({ type: 'arguments', index, text });
    this.#tried = '';
  };
}
