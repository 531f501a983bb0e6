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

/** What may stand between a call's arguments and its end: brackets, a last field, a part of a marker. */
const CUT_OFF = /^[\s\]}),;`]*("\w*("\s*:\s*"?\w*)?"?[\s\]})]*)?([<[][^>\]]*)?$/;

/** The form of markers that are control tokens in most vocabularies that have them. */
export const SPECIAL = /^(<\|.*\|>|\[\/?[A-Z_]+\])$/;

type Flow = 'content' | 'reasoning';

export class Tape {
  parts: AnswerPart[] = [];
  /** Whether blanks wait for what follows: where a marker may come. */
  waits = true;
  /** Whether markers that look like control tokens may also be spelled out. */
  readonly #isLenient: boolean;
  /** The functions that can be called, and the JSON schemas of their arguments. */
  readonly tools: ReadonlyMap<string, unknown>;
  readonly #newId: () => string;
  #piece = '';
  #at = 0;
  #control = '';
  #hasEnded = false;
  #tried: string | undefined;
  /** Whether `#tried` has been the text of a control token, or a call was given since `try`. */
  #hasControl = false;
  #isGiven = false;
  /** Whether control tokens are text, because they belong to what was rejected. */
  #shows = false;
  #calls = 0;
  readonly #ids = new Set<string>();
  #flow: Flow = 'content';
  /** Blanks that are given when text of the same flow follows, and dropped at a marker. */
  #blanks = '';
  #isAtStart = false;

  constructor(tools: ReadonlyMap<string, unknown>, newId: () => string, isLenient: boolean) {
    this.tools = tools;
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
    if (item.length > 1) {
      this.#control = '';
      this.#hasControl = true;
    } else this.#at++;
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
    return (yield* this.oneOf([wanted])) !== '';
  }

  /**
   * Takes one of `markers`, as text or as a control token. '': what was taken is no more than a part of one.
   */
  *oneOf(markers: readonly string[], spelled = markers): Reading<string> {
    let held = '';
    for (;;) {
      const item = yield* this.peek();
      const next = held + item;
      const found = markers.find((marker) => next === CONTROL + marker) ?? spelled.find((m) => m === next);
      if (found === undefined && (item === '' || !spelled.some((marker) => marker.startsWith(next))))
        return '';
      this.skip();
      if (found !== undefined) return found;
      held = next;
    }
  }

  /** Takes blanks and one of `markers`. */
  *next(markers: readonly string[]): Reading<string> {
    yield* this.space();
    return yield* this.oneOf(markers);
  }

  /** Takes characters of a name. */
  *word(form = /[\w.:-]/): Reading<string> {
    let word = '';
    for (;;) {
      const item = yield* this.peek();
      if (item.length !== 1 || !form.test(item)) return word;
      this.skip();
      word += item;
    }
  }

  /** The markers that count when ordinary tokens spell them. */
  spelled(markers: readonly string[]): readonly string[] {
    return this.#isLenient ? markers : markers.filter((marker) => !SPECIAL.test(marker));
  }

  /**
   * Gives text to `sink` until a marker comes. Returns the marker, or '' at the end. `controls`: the markers
   * that count as control tokens. Other control tokens are dropped.
   */
  *until(spelled: readonly string[], sink: Sink, controls = spelled): Reading<string> {
    let held = '';
    for (;;) {
      const item = yield* this.peek();
      if (item.length !== 1) {
        sink(held);
        held = '';
        if (item === '') return '';
        this.skip();
        const found = controls.find((marker) => item === CONTROL + marker);
        if (found !== undefined) return found;
        if (this.#shows) sink(item.slice(CONTROL.length));
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
    this.#tried = '';
    yield* this.space();
    const blanks = this.tried;
    const found = yield* this.oneOf(markers, this.spelled(markers));
    const held = this.tried.slice(blanks.length);
    this.#tried = undefined;
    if (found !== '') return found;
    this.content(blanks);
    this.#unread(held);
    return '';
  }

  /** From here on what is taken may turn out to be text. `marker` is taken already. */
  try(marker: string): void {
    this.#tried = marker;
    this.#isGiven = false;
  }

  /** What was taken so far belongs to the call that was given. */
  settle(): void {
    this.#tried = '';
  }

  /** What was taken and not given, `marker` included. */
  get tried(): string {
    return this.#tried ?? '';
  }

  /** What was taken was no text. The text that follows begins behind its blanks. */
  accept(flow: Flow = 'content'): void {
    this.#tried = undefined;
    this.turn(flow);
  }

  /** What was taken was text, except what was given, and the end of a call that was cut off. */
  reject(): void {
    const text = this.tried;
    this.#tried = undefined;
    if (this.#isGiven && this.#item() === '' && text.length < 99 && CUT_OFF.test(text)) return;
    if (this.#hasControl) this.#shows = true;
    this.content(text);
  }

  /** Text of another flow begins. Blanks at the seam belong to the marker, if there is one. */
  turn(flow: Flow, isAtStart = true): void {
    this.#flow = flow;
    this.#blanks = '';
    this.#isAtStart = isAtStart;
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

  /** Begins a call. `id`: the model's own, which may be one that it gave before. */
  call(name: string, id?: string): void {
    this.#isGiven = true;
    this.#hasControl = false;
    this.#shows = false;
    const own = id === undefined || id === '' || this.#ids.has(id) ? this.#newId() : id;
    this.#ids.add(own);
    this.parts.push({ type: 'call', index: this.#calls++, id: own, name });
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
