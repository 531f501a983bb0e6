// SPDX-License-Identifier: Apache-2.0
// run.mjs: `make bench`: measures our package in Chromium (both variants) and in Node, wllama in the same
// Chromium, and native llama.cpp, on one file.
//
// Each measurement has a fresh page (or process), and nothing else runs at the same time. Engines, thread
// counts and the ceilings take turns within a repetition. Each repetition starts with another engine, so a
// machine that slows down slows all of them. Definitions: README.md. Conclusions: docs/SPEED.md.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { open, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { MODEL, openPage, root, withBrowser, withServer } from '../tests/e2e/browser.mjs';
import { work } from './file.mjs';
import { machineFacts, waitForQuiet, watchStolen } from './machine.mjs';
import { prepareNative, prepareNode, prepareSimd, prepareWllama } from './peers.mjs';
import { aborts, DEFAULT, estimate, fitting, MEASURES, QUIET, STOLEN, stepsOf, WARM_UP } from './plan.mjs';
import { summarize, table } from './report.mjs';
import { keep } from './results.mjs';

/** Maximum number of times that a disturbed measurement is repeated. */
const MOST_AGAIN = 2;
const ALL = ['ours', 'simd', 'node', 'wllama', 'native'];

const usage =
  `node bench/run.mjs [options]
  --model FILE      a GGUF file (default ${MODEL})
  --repeat N        repetitions (default 5)
  --threads 1,2     thread counts
  --only LIST       of ${ALL.join(',')}
  --measure LIST    of ${MEASURES.join(',')},
                    or all (default: all but prefill128, prefill2048, decode2048, and wllama's abort,
                    which comes when the whole prompt is read)
  --decode N        tokens to decode (default 64)
  --out FILE        every single measurement as JSON, too
  --quick           one repetition of one thread count, 8 tokens, no depth: does it work at all?
A whole run (no --only, --measure, --decode, --quick) on a quiet machine is kept: ` +
  'rows of bench/results/<machine>.csv.';

function options() {
  const { values } = parseArgs({
    options: {
      model: { type: 'string', default: path.join(root, MODEL) },
      repeat: { type: 'string', default: '5' },
      threads: { type: 'string' },
      only: { type: 'string' },
      measure: { type: 'string' },
      decode: { type: 'string' },
      out: { type: 'string' },
      quick: { type: 'boolean', default: false },
    },
  });
  const { quick } = values;
  const threads = (values.threads ?? (quick ? '2' : '1,2')).split(',').map(Number),
    only = values.only?.split(',') ?? ALL;
  const wanted =
    values.measure === 'all'
      ? MEASURES
      : (values.measure?.split(',') ?? (quick ? DEFAULT.filter((name) => !name.endsWith('512')) : DEFAULT));
  const repeat = quick ? 1 : Number(values.repeat),
    decode = Number(values.decode ?? (quick ? 8 : 64));
  const isCount = (n, most) => Number.isInteger(n) && n > 0 && n <= most;
  if (!threads.every((n) => isCount(n, 64)) || !isCount(repeat, 40) || !isCount(decode, 1024))
    throw new Error(usage);
  if (!only.every((name) => ALL.includes(name)) || !wanted.every((name) => MEASURES.includes(name)))
    throw new Error(usage);
  if (!existsSync(values.model))
    throw new Error(`${values.model} is missing${values.model.endsWith(MODEL) ? ' (make model)' : ''}`);
  return {
    file: path.resolve(values.model),
    engines: ALL.filter((name) => only.includes(name)),
    out: values.out,
    isQuick: quick,
    isAsked: values.measure !== undefined,
    isKept: !quick && !values.only && !values.measure && !values.decode,
    settings: { repeat, threads, measures: MEASURES.filter((name) => wanted.includes(name)), decode },
  };
}

/** Our commit, with `+` when the checkout differs from it; '' outside a checkout. */
function commit() {
  try {
    const git = (...args) =>
      execFileSync('git', args, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
    return ` ${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain', '--', 'src', 'ts', 'include', 'Makefile') ? '+' : ''}`;
  } catch {
    return '';
  }
}

/** Prepares each of `engines`: { prepared, missing }. A missing engine is removed from the list. */
async function prepareAll(engines) {
  const missing = {},
    prepared = {};
  const prepare = {
    ours: () => null,
    simd: prepareSimd,
    node: prepareNode,
    wllama: prepareWllama,
    native: prepareNative,
  };
  for (const name of [...engines]) {
    try {
      prepared[name] = await prepare[name]();
    } catch (error) {
      missing[name] = error.message;
      engines.splice(engines.indexOf(name), 1);
    }
  }
  if (engines.length === 0) throw new Error(Object.values(missing).join('\n'));
  return { prepared, missing };
}

/** The file's first 32 MB. They contain the tensor table, which comes after the vocabulary. */
async function headOf(file) {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(32 << 20), 0, 32 << 20, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

/** A line about a run, for the person who watches. */
function told({ loadMs, steps, memoryBytes }) {
  const longest = Object.values(steps).findLast(
    (step) => step.decodeMs !== undefined && step.gapMs === undefined,
  );
  return [
    `load ${(loadMs / 1000).toFixed(2)} s`,
    ...(longest
      ? [`prefill ${longest.count}: ${((longest.count / longest.firstMs) * 1000).toFixed(1)}`]
      : []),
    ...(longest?.tokens
      ? [`decode: ${((longest.tokens / longest.decodeMs) * 1000).toFixed(1)} tokens/s`]
      : []),
    ...(memoryBytes ? [`${(memoryBytes / 1e6).toFixed(0)} MB`] : []),
    ...(steps.start ? [`start ${(steps.start.startMs / 1000).toFixed(2)} s`] : []),
    ...(steps.abort?.abortMs ? [`abort ${steps.abort.abortMs.toFixed(0)} ms`] : []),
  ].join(', ');
}

async function main({ file, engines, isKept, isQuick, isAsked, out, settings }) {
  const { prepared, missing } = await prepareAll(engines);
  await waitForQuiet({
    ms: 2000,
    limitMs: isQuick ? 0 : 300_000,
    onWait: (busy) =>
      console.error(`waiting for a quiet machine (${busy.toFixed(1)} cores are busy), at most five minutes`),
  });
  const machine = machineFacts(),
    { size } = await stat(file);
  const runs = [],
    ceilings = [],
    versions = {};

  await withServer({ isolated: true }, (address) =>
    withBrowser(async (browser) => {
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

      const { facts } = await withPage((list) => globalThis.prepare(list), []);
      Object.assign(settings, fitting(settings.measures, settings.decode, facts.trainedContextLength));
      const { steps, contextLength } = stepsOf(settings.measures, settings.decode);
      settings.contextLength = contextLength;
      const minutes = (seconds) => `${Math.max(1, Math.round(seconds / 60))} minute(s)`;
      console.error(
        `about ${minutes(estimate({ ...settings, engines, steps, ceilings: true, isAsked }, size))} if this machine is like the EPYC of 2026-11-24`,
      );

      // A prompt's number selects its first word. Numbers differ for each step of a page, and for each of ten
      // repetitions.
      const wanted = [
        [90, WARM_UP.count],
        ...Array.from({ length: settings.repeat }, (_, r) =>
          steps.map(({ count }, i) => [(r * 8 + i) % 80, count]),
        ).flat(),
      ];
      const {
        prompts: [warm, ...prompts],
      } = await withPage((list) => globalThis.prepare(list), wanted);

      // Only the load of the machine decides whether a measurement counts, never the measurement's result.
      const undisturbed = async (label, once) => {
        for (let again = 0; ; again++) {
          const busy = await waitForQuiet({ ms: 500, limitMs: isQuick ? 0 : 30_000 });
          const watched = watchStolen(),
            found = await once(),
            stolen = watched();
          if (!(stolen > STOLEN) || again === MOST_AGAIN || isQuick) return { ...found, busy, stolen, again };
          console.error(
            `${label}: repeated, because the machine host gave ${(stolen * 100).toFixed(0)} % of the processor time to other guests`,
          );
        }
      };
      const turns = settings.threads.flatMap((threads) =>
        [...engines, 'ceilings'].map((engine) => ({ engine, threads })),
      );
      const begin = performance.now();
      for (let repetition = 0; repetition < settings.repeat; repetition++) {
        for (let turn = 0; turn < turns.length; turn++) {
          const { engine, threads } = turns[(turn + repetition) % turns.length];
          const label = `${repetition + 1}/${settings.repeat} ${engine}, ${threads} thread(s)`;
          if (engine === 'ceilings') {
            const found = await undisturbed(label, () => withPage((n) => globalThis.ceilings(n), threads));
            ceilings.push({ ...found, repetition });
            console.error(
              `${label}: read ${found.readGBs.toFixed(1)} GB/s, ${Object.entries(found.dot)
                .map(([name, rate]) => `${name} dot ${rate.toFixed(1)}`)
                .join(', ')}`,
            );
            continue;
          }
          const own = steps
            .map((step, i) => ({ ...step, prompt: prompts[repetition * steps.length + i] }))
            .filter((step) => !step.abortMs || aborts(engine, repetition, isAsked));
          const plan = { threads, contextLength, warmUp: { ...WARM_UP, prompt: warm }, steps: own };
          const inPage = (all) => globalThis.bench(all);
          const run = await undisturbed(label, async () => {
            try {
              const found = prepared[engine]?.measure
                ? await prepared[engine].measure({ file, ...plan })
                : await withPage(inPage, { engine, ...plan });
              if (found.threads !== threads) throw new Error(`it ran with ${found.threads} thread(s)`);
              return found;
            } catch (error) {
              return { error: error.message.split('\n')[0] };
            }
          });
          runs.push({ engine, wanted: threads, repetition, ...run });
          console.error(`${label}: ${run.error ?? told(run)}`);
        }
        if (repetition === 0 && settings.repeat > 1)
          console.error(
            `about ${minutes(((performance.now() - begin) / 1000) * (settings.repeat - 1))} to go`,
          );
      }

      const chromium = `Chromium ${browser.version()}`;
      const home = (engine) => prepared[engine]?.name ?? chromium;
      for (const engine of engines) {
        const { version = 'no version', variant } =
          runs.find((run) => run.engine === engine && run.version) ?? {};
        versions[engine] = variant
          ? `wasm-chord ${version}${commit()}, ${variant}, ${home(engine)}`
          : engine === 'wllama'
            ? `${prepared.wllama}, ${version}, ${chromium}`
            : `${version}, ${home(engine)}`;
      }
      const model = {
        file: path.basename(file),
        bytes: size,
        ...facts,
        work: work(await headOf(file), facts),
      };
      const record = { date: new Date().toISOString(), machine, model, settings, engines, versions, missing };
      Object.assign(record, {
        isQuiet: runs.every((run) => run.busy <= QUIET && !(run.stolen > STOLEN)),
        summary: summarize({ ...record, runs, ceilings }),
        ceilings,
        runs,
      });
      console.log(table(record));
      if (isKept) {
        const kept = await keep(path.join(root, 'bench/results'), record);
        console.log(kept ? `kept in ${path.relative(root, kept)}` : 'not kept: the machine was not quiet');
      }
      if (out) await writeFile(out, `${JSON.stringify(record, null, 1)}\n`);
      if (isQuick) console.log("A quick run shows only whether everything works; don't quote its figures.");
    }),
  );
  return runs.some((run) => run.error) ? 1 : 0;
}

try {
  if (process.argv.includes('--help')) console.log(usage);
  else process.exitCode = await main(options());
} catch (error) {
  console.error(error.message);
  process.exitCode = error.message === usage ? 2 : 1;
}
