// SPDX-License-Identifier: Apache-2.0
// help.ts: the texts of --help, made from the tables of commands and options.
import { commands, rowOf } from './commands.js';
import type { CommandName } from './commands.js';
import { commonOptions, loadingOptions, options, samplingOptions } from './options.js';
import type { CommandOption, OptionName } from './options.js';
import { onOneLine } from './terminal.js';

const names = Object.keys(commands) as CommandName[];

export function generalHelp(): string {
  const folder = onOneLine(process.env['WASM_CHORD_CACHE'] || '~/.cache/wasm-chord');
  const width = Math.max(...names.map((name) => `${name} ${rowOf(name).usage}`.length)) + 2;
  return `wasm-chord: run GGUF language models in WebAssembly

Usage: wasm-chord COMMAND [ARGUMENTS] [OPTIONS]

${names.map((name) => `  ${`${name} ${rowOf(name).usage}`.padEnd(width)}${rowOf(name).summary}\n`).join('')}
MODEL is the path or URL of a GGUF file, hf:owner/repo:Q4_K_M or hf:owner/repo/file.gguf. Downloads are kept
in ${folder} (WASM_CHORD_CACHE, or --cache DIR, names another folder).
'wasm-chord help COMMAND' describes a command, its options and examples. --json works with every command.

Options:
${optionLines(['help', 'version'])}
Exit status: 0 done, 1 failed, 2 wrong usage; ended by Ctrl-C as a shell expects (130).
`;
}

export function commandHelp(name: CommandName): string {
  const row = rowOf(name);
  const groups: [string, readonly OptionName[]][] = [
    ['Options', row.own],
    ['Sampling', row.sampling ? samplingOptions : []],
    ['Loading', row.loading ? loadingOptions : []],
    [row.own.length > 0 ? 'Output' : 'Options', commonOptions],
  ];
  return `wasm-chord ${name}: ${row.summary}

Usage: ${['wasm-chord', name, row.usage, '[OPTIONS]'].filter(Boolean).join(' ')}

${row.about}

Examples:
${row.examples.map((example) => `  ${example}\n`).join('')}${groups
    .filter(([, list]) => list.length > 0)
    .map(([title, list]) => `\n${title}:\n${optionLines(list)}`)
    .join('')}
Exit status: 0 done, 1 failed, 2 wrong usage.
`;
}

function optionLines(list: readonly OptionName[]): string {
  return list
    .map((name) => {
      const { short, value, text }: CommandOption = options[name];
      const left = `${short ? `-${short}, ` : ''}--${name}${value ? ` ${value}` : ''}`;
      return `  ${left.padEnd(27)} ${text}\n`;
    })
    .join('');
}
