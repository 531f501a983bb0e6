// SPDX-License-Identifier: Apache-2.0
// peers.mjs: the peers, at pinned versions, in build/bench/. The first run of the benchmark fetches them; the
// package doesn't depend on them. Their install scripts don't run.
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('.', import.meta.url));
const folder = path.join(here, '../build/bench');
const NATIVE = '3.22.1';
// The package node@24 only fetches this one, in its install script, which doesn't run.
const NODE = '24.21.0';
const NODE_PACKAGE = `node-${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
const PINNED = {
  node: { [NODE_PACKAGE]: NODE },
  wllama: { '@wllama/wllama': '3.13.0' },
  onnx: { 'onnxruntime-web': '1.30.0' },
  webllm: { '@mlc-ai/web-llm': '0.2.86' },
  native: { 'node-llama-cpp': NATIVE, [`@node-llama-cpp/${platform()}`]: NATIVE },
};

/**
 * node-llama-cpp's name of this machine's CPU build. All its optional packages together are gigabytes for
 * GPUs.
 */
function platform() {
  if (process.platform === 'darwin') return process.arch === 'arm64' ? 'mac-arm64-metal' : 'mac-x64';
  return `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
}

async function installed(name, version) {
  const file = path.join(folder, 'node_modules', name, 'package.json');
  return existsSync(file) && JSON.parse(await readFile(file, 'utf8')).version === version;
}

async function install(packages) {
  const wanted = Object.entries(packages);
  if ((await Promise.all(wanted.map(([name, version]) => installed(name, version)))).every(Boolean)) return;
  await mkdir(folder, { recursive: true });
  const manifest = path.join(folder, 'package.json');
  if (!existsSync(manifest)) await writeFile(manifest, '{ "private": true }\n');
  const names = wanted.map(([name, version]) => `${name}@${version}`);
  console.error(`installing ${names.join(' ')} into build/bench`);
  await promisify(execFile)(
    'npm',
    [
      'install',
      '--ignore-scripts',
      '--omit=optional',
      '--save-exact',
      '--no-audit',
      '--no-fund',
      '--prefix',
      folder,
      ...names,
    ],
    { cwd: folder },
  );
}

/** Our package with the simd module under the relaxed module's name too: what runs without relaxed SIMD. */
export async function prepareSimd() {
  const target = path.join(folder, 'dist-simd');
  await rm(target, { recursive: true, force: true });
  await cp(path.join(here, '../dist'), target, { recursive: true });
  await cp(path.join(target, 'wasm32-simd.wasm'), path.join(target, 'wasm32-relaxed.wasm'));
}

/** The path of Node 24, the first Node whose relaxed SIMD needs no flag. */
export async function nodeProgram() {
  await install(PINNED.node);
  const program = process.platform === 'win32' ? 'bin/node.exe' : 'bin/node';
  return path.join(folder, 'node_modules', NODE_PACKAGE, program);
}

/** { name, measure(plan) } of our package in Node 24. */
export async function prepareNode() {
  const program = await nodeProgram();
  const dist = new URL('../dist/', import.meta.url).href;
  return { name: `Node ${NODE}`, measure: (plan) => inProcess(program, ['ours.mjs'], { dist, ...plan }) };
}

/** Prepares onnxruntime-web, for bench/embeddings/. Returns its module's URL. */
export async function prepareOnnx() {
  await install(PINNED.onnx);
  return new URL('../build/bench/node_modules/onnxruntime-web/dist/ort.node.min.mjs', import.meta.url).href;
}

/** Prepares wllama. Returns its version. */
export async function prepareWllama() {
  await install(PINNED.wllama);
  return PINNED.wllama['@wllama/wllama'];
}

/** Prepares WebLLM, for bench/webgpu/. Returns its version. */
export async function prepareWebllm() {
  await install(PINNED.webllm);
  return PINNED.webllm['@mlc-ai/web-llm'];
}

/**
 * { name, measure(plan) } of native llama.cpp: node-llama-cpp, or llama-cpp-python ($PYTHON) where that can't
 * be installed.
 */
export async function prepareNative() {
  try {
    await install(PINNED.native);
    return {
      name: `node-llama-cpp ${NATIVE}`,
      measure: (plan) => inProcess(process.execPath, ['native.mjs'], plan),
    };
  } catch (error) {
    const python = process.env.PYTHON ?? 'python3';
    const version = await promisify(execFile)(python, [path.join(here, 'native.py'), '--version']).catch(
      () => null,
    );
    if (version === null)
      throw new Error(
        `neither node-llama-cpp (${npmReason(error)}) nor llama_cpp in ${python} ($PYTHON) is available`,
      );
    return {
      name: `llama-cpp-python ${version.stdout.trim()}`,
      measure: (plan) => inProcess(python, ['native.py'], plan),
    };
  }
}

/** The first informative line of npm's error output. */
const npmReason = (error) =>
  /^npm error (?!code )(.*\S)/m.exec(error.stderr ?? '')?.[1] ?? lastLine(error.message);
const lastLine = (text) => text.trim().split('\n').at(-1);

/** Runs a measuring program of this folder: the plan goes in as JSON, its last line comes back as JSON. */
export async function inProcess(program, [script], plan) {
  const child = spawn(program, [path.join(here, script)], { stdio: ['pipe', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'])
    child[name].setEncoding('utf8').on('data', (text) => {
      output[name] += text;
    });
  // The program died before it read the plan; its exit status is reported.
  child.stdin.on('error', () => {});
  child.stdin.end(JSON.stringify(plan));
  const status = await new Promise((resolve, reject) => child.once('error', reject).once('close', resolve));
  // Node ends an uncaught error's text with its own version.
  const why = /^\S*Error.*/m.exec(output.stderr)?.[0] ?? lastLine(output.stderr);
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${why}`);
  return JSON.parse(lastLine(output.stdout));
}
