// checkkern.mjs: runs the wasm builds of checkkern, in this Node or in Chromium.
//
//   node tools/checkkern.mjs [--browser] [--dir=build/checkkern] [slot] [isa] [seed] [--bench] [--ratios]
//   [--all] [--json]
//
// Runs simd128.wasm. Where the JavaScript engine has relaxed SIMD, also runs relaxed.wasm and
// relaxed-dot8.wasm. Node 20 needs --experimental-wasm-relaxed-simd for that and is restarted with it. The
// matmuls of relaxed-dot8.wasm use the ARM form on every machine, with its dot written out in instructions.
// The VNNI form is used, and checked, where the machine has it. Without a browser or playwright-core the run
// is reported as skipped, or as failed when CI=true. SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import os from 'node:os';
import { chromiumPath, launchChromium } from './browsers.mjs';

const args = process.argv.slice(2);
const option = (name) => args.find((a) => a.startsWith(`--${name}=`))?.slice(name.length + 3);
const directory = option('dir') ?? 'build/checkkern';
const inBrowser = args.includes('--browser');
const words = args.filter((a) => a !== '--browser' && !a.startsWith('--dir='));
const isJson = words.includes('--json');

// i32x4.relaxed_dot_i8x16_i7x16_add_s in a function
const relaxedProbe = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 19, 1, 17, 0, 65, 0, 253, 17, 65, 0,
  253, 17, 65, 0, 253, 17, 253, 147, 2, 11,
];

/** Runs one module. The function is self-contained, because the page gets it as text. */
async function runModule(bytes, line, print) {
  const decoder = new TextDecoder();
  const { instance } = await WebAssembly.instantiate(bytes, {
    env: {
      checkkern_print: (at, n) =>
        print(decoder.decode(new Uint8Array(instance.exports.memory.buffer, at, n).slice())),
      checkkern_now: () => performance.now(),
    },
  });
  const { memory, checkkern_arguments, checkkern_run } = instance.exports;
  const text = new TextEncoder().encode(`${line}\0`);
  new Uint8Array(memory.buffer, checkkern_arguments.value, text.length).set(text);
  return checkkern_run(checkkern_arguments.value);
}

function skip(reason) {
  console.log(`SKIP checkkern in Chromium: ${reason}`);
  process.exit(process.env.CI === 'true' ? 1 : 0);
}

async function openChromium() {
  if (!chromiumPath) skip('no chromium found; set CHROMIUM to its path');
  const browser = await launchChromium().catch((error) => skip(error.message));
  return { browser, page: await browser.newPage() };
}

const print = (text) => process.stdout.write(text);
const line = words.join(' ');
const load = (variant) => readFileSync(`${directory}/${variant}.wasm`);
const variants = (hasRelaxed) =>
  !hasRelaxed
    ? ['simd128']
    : words.includes('--bench') || words.includes('--ratios')
      ? ['simd128', 'relaxed']
      : ['simd128', 'relaxed', 'relaxed-dot8'];
let failed = 0;

if (inBrowser) {
  const { browser, page } = await openChromium();
  if (!isJson) print(`Chromium ${browser.version()}, ${os.cpus()[0]?.model}\n`);
  await page.exposeFunction('checkkernPrint', print);
  const hasRelaxed = await page.evaluate(
    (probe) => WebAssembly.validate(new Uint8Array(probe)),
    relaxedProbe,
  );
  for (const variant of variants(hasRelaxed)) {
    // The page doesn't yield while it computes, so its lines come at the end.
    failed |= await page.evaluate(
      async ([source, base64, words]) => {
        const run = (0, eval)(`(${source})`);
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        let text = '';
        const status = await run(bytes, words, (part) => {
          text += part;
        });
        await globalThis.checkkernPrint(text);
        return status;
      },
      [runModule.toString(), load(variant).toString('base64'), line],
    );
  }
  if (!hasRelaxed) print('skip relaxed: this engine has no relaxed SIMD\n');
  await browser.close();
} else {
  const hasRelaxed = WebAssembly.validate(new Uint8Array(relaxedProbe));
  const flag = '--experimental-wasm-relaxed-simd';
  if (!hasRelaxed && !process.execArgv.includes(flag)) {
    const again = spawnSync(process.execPath, [flag, fileURLToPath(import.meta.url), ...args], {
      stdio: 'inherit',
    });
    // Status 9: Node doesn't know the flag.
    if (again.status !== 9) process.exit(again.status ?? 1);
  }
  if (!isJson) print(`Node ${process.version} (V8 ${process.versions.v8}), ${os.cpus()[0]?.model}\n`);
  for (const variant of variants(hasRelaxed)) failed |= await runModule(load(variant), line, print);
  if (!hasRelaxed) print('skip relaxed: this engine has no relaxed SIMD\n');
}
process.exit(failed ? 1 : 0);
