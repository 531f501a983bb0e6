// SPDX-License-Identifier: Apache-2.0
// The formats in which models write tool calls.
import { readCalls } from './json.js';
import { readLlama } from './llama.js';
import type { Names } from './named.js';
import { readMistral, readNamed } from './named.js';
import { readGemmaCall, readList, readPythonCall } from './python.js';
import type { Tags } from './tagged.js';
import { readTagged } from './tagged.js';
import type { Reading, Tape } from './tape.js';

export interface Format {
  /** A template is for models that write this format if it has one of these texts. */
  readonly signs: readonly string[];
  /** What begins a call. */
  readonly markers: readonly string[];
  /** Characters that begin a call if an answer begins with them. */
  readonly bare?: string;
  /** Reads on behind a marker. False: what it took since the last call was text. */
  readonly read: (tape: Tape, marker: string) => Reading<boolean>;
}

/** Reads calls, each in a code block. */
function* readBlocks(tape: Tape): Reading<boolean> {
  do {
    if (!(yield* tape.literal('```')) || !/^(json)?$/.test(yield* tape.word())) return false;
    if (!(yield* readCalls(tape, true)) || (yield* tape.next(['```'])) === '') return false;
    tape.settle();
  } while ((yield* tape.space()) === '`');
  return true;
}

/** A marker and JSON. `close`: a marker behind it, which may be missing. */
function json(open: string, close?: string, signs = [open]): Format {
  const markers = close === undefined ? [open] : [close, open];
  return {
    signs,
    markers: [open],
    *read(tape, marker) {
      if (marker === '' && (yield* tape.space()) === '`') return yield* readBlocks(tape);
      let found = open;
      while (found === open) {
        do if (!(yield* readCalls(tape, marker === ''))) return false;
        while ((yield* tape.space()) === '{');
        found = yield* tape.oneOf(markers);
      }
      return found !== '';
    },
  };
}

function tagged(tags: Tags, signs: readonly string[]): Format {
  return { signs, markers: [tags.open, tags.call], read: (tape, marker) => readTagged(tape, tags, marker) };
}

function named(names: Names): Format {
  return {
    signs: [names.open],
    markers: [names.open, names.begin],
    read: (tape, marker) => readNamed(tape, names, marker),
  };
}

function gemma(open: string, close: string, quote: string): Format {
  return {
    signs: [open],
    markers: [open],
    read: function* (tape) {
      return (yield* readGemmaCall(tape, quote)) && (yield* tape.next([close])) !== '';
    },
  };
}

/** Python calls up to `close`, each in a line. */
function lines(open: string, close: string): Format {
  return {
    signs: [open],
    markers: [open],
    *read(tape) {
      let item;
      do {
        const isList = (yield* tape.space()) === '[';
        if (!(yield* isList ? readList(tape) : readPythonCall(tape))) return false;
        item = yield* tape.space();
      } while (item !== close[0] && item !== '');
      return yield* tape.literal(close);
    },
  };
}

/** <function=f> <parameter=a> value </parameter> </function> */
const FUNCTION: Tags = {
  open: '<tool_call>',
  close: '</tool_call>',
  call: '<function=',
  nameEnd: '>',
  key: '<parameter=',
  keyEnd: '>',
  valueEnd: '</parameter>',
  end: '</function>',
};

/** <invoke name="f"> <parameter name="a">value</parameter> </invoke> */
const invoke = (open: string, mark: string): Tags => ({
  open: `<${open}>`,
  close: `</${open}>`,
  call: `<${mark}invoke name=`,
  nameEnd: '>',
  key: `<${mark}parameter name=`,
  keyEnd: '>',
  valueEnd: `</${mark}parameter>`,
  end: `</${mark}invoke>`,
});

/** In the order in which they are looked for in a template. */
export const FORMATS = {
  /** channels.ts reads these answers. */
  gpt_oss: { signs: ['<|channel|>'], markers: [], read: readMistral },
  mistral: { signs: ['[TOOL_CALLS]'], markers: ['[TOOL_CALLS]'], read: readMistral },
  command_r7b: json('<|START_ACTION|>', '<|END_ACTION|>'),
  command_r: {
    signs: ["Write 'Action:'"],
    markers: ['Action:'],
    *read(tape) {
      if ((yield* tape.next(['```json'])) === '' || !(yield* readCalls(tape))) return false;
      return (yield* tape.next(['```'])) !== '';
    },
  },
  deepseek: named({
    open: '<｜tool▁calls▁begin｜>',
    close: '<｜tool▁calls▁end｜>',
    begin: '<｜tool▁call▁begin｜>',
    end: '<｜tool▁call▁end｜>',
    separator: '<｜tool▁sep｜>',
  }),
  deepseek_v32: tagged(invoke('｜DSML｜function_calls', '｜DSML｜'), ['DSML']),
  kimi_k2: named({
    open: '<|tool_calls_section_begin|>',
    close: '<|tool_calls_section_end|>',
    begin: '<|tool_call_begin|>',
    end: '<|tool_call_end|>',
    separator: '<|tool_call_argument_begin|>',
  }),
  glm: tagged(
    {
      open: '<tool_call>',
      close: '',
      call: '<tool_call>',
      nameEnd: '',
      key: '<arg_key>',
      keyEnd: '</arg_key>',
      value: '<arg_value>',
      valueEnd: '</arg_value>',
      end: '</tool_call>',
    },
    ['<arg_key>'],
  ),
  minimax_m2: tagged(invoke('minimax:tool_call', ''), ['<minimax:tool_call>']),
  seed_oss: tagged({ ...FUNCTION, open: '<seed:tool_call>', close: '</seed:tool_call>' }, [
    '<seed:tool_call>',
  ]),
  qwen3_coder: tagged(FUNCTION, ['<function=']),
  /** Small models leave the tags out, or write a code block. */
  hermes: { ...json('<tool_call>', '</tool_call>'), bare: '{[`' },
  lfm2: {
    signs: ['<|tool_call_start|>', '<|tool_list_start|>'],
    markers: ['<|tool_call_start|>'],
    *read(tape) {
      return (yield* readList(tape)) && (yield* tape.next(['<|tool_call_end|>'])) !== '';
    },
  },
  functiongemma: gemma('<start_function_call>', '<end_function_call>', '<escape>'),
  gemma4: gemma('<|tool_call>', '<tool_call|>', '<|"|>'),
  granite: json('<|tool_call|>', '<|/tool_call|>'),
  nemotron: json('<TOOLCALL>', '</TOOLCALL>'),
  jamba: json('<tool_calls>', '</tool_calls>'),
  apertus: json('<|tools_prefix|>', '<|tools_suffix|>'),
  gigachat: json('<|function_call|>'),
  firefunction: json('functools', undefined, ['functools[']),
  llama3: {
    signs: ['<|python_tag|>', '"name": function name, "parameters"', '<|python_start|>'],
    markers: ['<|python_tag|>', '<|python_start|>'],
    bare: '{[',
    read: readLlama,
  },
  gemma: lines('```tool_code', '```'),
  olmo3: lines('<function_calls>', '</function_calls>'),
  internlm: json('<|plugin|>', '<|action_end|>'),
} satisfies Record<string, Format>;

export type ToolFormatName = keyof typeof FORMATS;

/** Returns the first format that a template shows. */
export function findFormat(template: string): ToolFormatName | undefined {
  const names = Object.keys(FORMATS) as ToolFormatName[];
  const isIn = (sign: string): boolean => template.includes(sign);
  return names.find((name) => FORMATS[name].signs.some(isIn));
}
