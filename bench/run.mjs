// SPDX-License-Identifier: Apache-2.0
// run.mjs: `make bench`: our package and wllama in one Chromium, native llama.cpp beside them, on one file.
//
// Each measurement has a fresh page (or process) of its own and nothing else runs meanwhile; engines and thread
// counts take turns within a repetition, beginning with another one each time, so that a machine that slows down
// slows all of them. What is measured and how: measure.mjs. The notebook: docs/SPEED.md.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { MODEL, openPage, root, withBrowser, withServer } from '../tests/e2e/browser.mjs';
import { machineFacts, QUIET, waitForQuiet } from './machine.mjs';
import { prepareNative, prepareWllama } from './peers.mjs';
import { summarize, table } from './report.mjs';

const usage = `node bench/run.mjs [options]
  --model FILE      a GGUF file (default ${MODEL})
  --repeat N        repetitions (default 5)
  --threads 1,2     thread counts
  --only LIST       of ours,wllama,native
  --quick           one repetition of prefill 32 and decode 16: does it work at all?
A whole run (no --only, no --quick) is kept in bench/results/.`;

const ALL = ['ours', 'wllama', 'native'];
const CONTEXT = 1024;

function options() {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: path.join(root, MODEL) }, repeat: { type: 'string', default: '5' }, threads: { type: 'string', default: '1,2' },
      only: { type: 'string' }, quick: { type: 'boolean', default: false },
    },
  });
  const threads = values.threads.split(',').map(Number), only = values.only?.split(',') ?? ALL;
  const repeat = values.quick ? 1 : Number(values.repeat);
  if (!threads.every((n) => Number.isInteger(n) && n > 0) || !(Number.isInteger(repeat) && repeat > 0 && repeat <= 40)) throw new Error(usage);
  if (!only.every((name) => ALL.includes(name))) throw new Error(usage);
  if (!existsSync(values.model)) throw new Error(`${values.model} is missing${values.model.endsWith(MODEL) ? ' (make model)' : ''}`);
  const file = path.resolve(values.model);
  return { file, engines: ALL.filter((name) => only.includes(name)), isKept: !values.quick && !values.only, settings: { repeat, threads, prefill: values.quick ? 32 : 128, decode: values.quick ? 16 : 64 } };
}

/** Our commit, with `+` when the checkout differs from it; '' outside a checkout. */
function commit() {
  try {
    const git = (...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return ` ${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', 'src', 'ts', 'include', 'Makefile') ? '+' : ''}`;
  } catch {
    return '';
  }
}

async function main({ file, engines, isKept, settings }) {
  const missing = {};
  const prepared = {};
  const prepare = { ours: () => null, wllama: prepareWllama, native: prepareNative };
  for (const name of [...engines]) {
    try {
      prepared[name] = await prepare[name]();
    } catch (error) {
      missing[name] = error.message;
      engines.splice(engines.indexOf(name), 1);
    }
  }

  if (engines.length === 0) throw new Error(Object.values(missing).join('\n'));

  await waitForQuiet({ ms: 2000, limitMs: isKept ? 300_000 : 0, onWait: (busy) => console.error(`waiting for a quiet machine (${busy.toFixed(1)} cores are busy), at most five minutes`) });
  const machine = machineFacts();
  const runs = [], versions = {};

  await withServer({ isolated: true }, (address) => withBrowser(async (browser) => {
    const withPage = async (use, argument) => {
      const page = await openPage(browser, `${address}/bench/index.html`);
      try {
        await page.waitForSelector('html[data-ready=true]');
        await page.setInputFiles('#file', file);
        return await page.evaluate(use, argument);
      } finally {
        await page.close();
      }
    };

    // Numbers of prompts: 0.. for prefills, 40.. for decodings, 80 for the warm-up.
    const wanted = [[80, 32], ...Array.from({ length: settings.repeat }, (_, r) => [[r, settings.prefill], [40 + r, 16]]).flat()];
    const { facts, prompts: [warm, ...prompts] } = await withPage((list) => globalThis.prepare(list), wanted);

    const turns = settings.threads.flatMap((threads) => engines.map((engine) => ({ engine, threads })));
    for (let repetition = 0; repetition < settings.repeat; repetition++) {
      for (let turn = 0; turn < turns.length; turn++) {
        const { engine, threads } = turns[(turn + repetition) % turns.length];
        const plan = {
          threads, contextLength: CONTEXT,
          warmUp: { prompt: warm, tokens: 8 }, prefill: { prompt: prompts[2 * repetition] }, decode: { prompt: prompts[2 * repetition + 1], tokens: settings.decode },
        };
        const run = { engine, wanted: threads, repetition, busy: await waitForQuiet({ ms: 500, limitMs: isKept ? 5000 : 0 }) };
        try {
          Object.assign(run, engine === 'native' ? await prepared.native.measure({ file, ...plan }) : await withPage((all) => globalThis.bench(all), { engine, ...plan }));
          if (run.threads !== threads) throw new Error(`it ran with ${run.threads} thread(s)`);
          console.error(`${repetition + 1}/${settings.repeat} ${engine}, ${threads} thread(s): load ${(run.loadMs / 1000).toFixed(2)} s, prefill ${run.prefill.toFixed(1)}, decode ${run.decode.toFixed(1)} tokens/s`);
        } catch (error) {
          run.error = error.message.split('\n')[0];
          console.error(`${repetition + 1}/${settings.repeat} ${engine}, ${threads} thread(s): ${run.error}`);
        }
        runs.push(run);
      }
    }

    const chromium = `Chromium ${browser.version()}`;
    const said = (engine) => runs.find((run) => run.engine === engine && run.version)?.version ?? 'no version';
    for (const engine of engines) {
      versions[engine] = engine === 'ours' ? `${said('ours').replace(',', `${commit()},`)}, ${chromium}`
        : engine === 'wllama' ? `${prepared.wllama}, ${said('wllama')}, ${chromium}` : `${said('native')}, ${prepared.native.name}`;
    }
    const { size } = await stat(file);
    const record = { date: new Date().toISOString(), machine, model: { file: path.basename(file), bytes: size, ...facts }, settings: { ...settings, contextLength: CONTEXT }, engines, versions, missing };
    Object.assign(record, { isQuiet: runs.every((run) => run.busy <= QUIET), summary: summarize({ ...record, runs }), runs });
    console.log(table(record));
    if (isKept) await keep(record, file);
  }));
  return runs.some((run) => run.error) ? 1 : 0;
}

/** bench/results/<date>-<cpu>.json, with the model's name for another than the default one; a disturbed run never takes a quiet one's place. */
async function keep(record, file) {
  const slug = (text) => text.toLowerCase().replace(/\([^)]*\)/g, '').replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
  const model = path.basename(file) === path.basename(MODEL) ? '' : `-${slug(path.basename(file, '.gguf'))}`;
  const folder = path.join(root, 'bench/results');
  const target = path.join(folder, `${record.date.slice(0, 10)}-${slug(record.machine.cpu)}${model}${record.isQuiet ? '' : '-not-quiet'}.json`);
  await mkdir(folder, { recursive: true });
  await writeFile(target, `${JSON.stringify(record, null, 1)}\n`);
  console.log(`kept in ${path.relative(root, target)}`);
}

try {
  if (process.argv.includes('--help')) console.log(usage);
  else process.exitCode = await main(options());
} catch (error) {
  console.error(error.message);
  process.exitCode = error.message === usage ? 2 : 1;
}
