// SPDX-License-Identifier: Apache-2.0
// sampling.mjs: draws of the GPU's sampler, and of the CPU's (build/test/sampler.wasm) beside them.
import { readFile } from 'node:fs/promises';
import { transform } from 'esbuild';
import { ran } from './ledger.mjs';
import { download, upload } from './room.mjs';

const url = (name) => new URL(`../../${name}`, import.meta.url);
const { code } = await transform(await readFile(url('ts/abi/abi.gen.ts'), 'utf8'), { loader: 'ts' });
const abi = await import(`data:text/javascript,${encodeURIComponent(code)}`);
const { samplingLayout } = abi;

/** Every option off, temperature 1. */
export const plain = {
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
};

/** The CPU's sampler for vocabularies up to `largest`. A case: {nVocab, logits, tokens, sampling, random}. */
export async function openOracle(largest = 262144) {
  const memory = new WebAssembly.Memory({ initial: 512, maximum: 4096, shared: true });
  const { sin, cos, exp, log, pow } = Math;
  const { instance } = await WebAssembly.instantiate(await readFile(url('build/test/sampler.wasm')), {
    env: { memory, sin, cos, exp, log, pow, now: () => performance.now() },
  });
  const { exports } = instance;
  let top = Math.ceil(exports.__heap_base.value / 64) * 64;
  const alloc = (bytes) => (top += Math.ceil(bytes / 64) * 64) - Math.ceil(bytes / 64) * 64;
  const ids = alloc(8192 * 4);
  const [logits, scratch, pairs] = [alloc(largest * 4), alloc(largest * 8), alloc(largest * 8)];
  const struct = alloc(samplingLayout.size);
  const names = {
    top_k: 'topK',
    temperature: 'temperature',
    top_p: 'topP',
    min_p: 'minP',
    repetition_penalty: 'repetitionPenalty',
    frequency_penalty: 'frequencyPenalty',
    presence_penalty: 'presencePenalty',
  };
  return {
    /** Returns the id, or throws the library's text. */
    draw({ nVocab, logits: row, tokens = [], sampling, random = 0 }) {
      const view = new DataView(memory.buffer);
      const { bias = [] } = sampling;
      const write = (name, value) => {
        const { offset, type } = samplingLayout.fields[name];
        view[{ i32: 'setInt32', f32: 'setFloat32', f64: 'setFloat64' }[type]](struct + offset, value, true);
      };
      write('version', abi.ABI_VERSION);
      write('size', samplingLayout.size);
      write('typical_p', 1);
      write('n_bias', bias.length);
      for (const [name, option] of Object.entries(names)) write(name, sampling[option]);
      bias.forEach(([id, value], i) => {
        view.setInt32(pairs + i * 8, id, true);
        view.setFloat32(pairs + i * 8 + 4, value, true);
      });
      new Float32Array(memory.buffer, logits, nVocab).set(row);
      new Int32Array(memory.buffer, ids, tokens.length).set(tokens);
      const id = exports.sampler_draw(nVocab, ids, tokens.length, logits, struct, pairs, scratch, random);
      if (id >= 0) return id;
      const text = new Uint8Array(memory.buffer, scratch, exports.sampler_error(scratch)).slice();
      throw new Error(`${id}: ${new TextDecoder().decode(text)}`);
    },
  };
}

/**
 * The GPU's sampler for one vocabulary on a bench (room.mjs). `draw` takes at most 64 cases of openOracle():
 * each is a step of its own, submitted behind the one before. In `tokens` -1 is an embedding.
 */
export function openSampler({ device, features, pipelines, Sampler, kindOf, readRecord }, nVocab) {
  const stride = Math.ceil(nVocab / 4) * 4 + 8;
  const ROWS = 3;
  const logits = { view: { buffer: upload(device, ROWS * stride * 4) }, width: nVocab, stride };
  const tokens = { buffer: upload(device, 4096 * 4) };
  const batch = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  const sampler = new Sampler(device, { nVocab, nRecords: 64 });
  const kinds = new Map();
  /** The kernels of one kind of draw, compiled at the first. */
  const stepsOf = async (kind) => {
    if (kinds.has(kind)) return kinds.get(kind);
    const steps = [];
    for (const dispatch of sampler.dispatches({ kind, logits, tokens })) {
      const { pipeline, group, hasUniform } = await pipelines.get(dispatch);
      const params = Uint32Array.from(dispatch.params, ({ u32 }) => u32);
      const entries = [{ binding: 0, resource: { buffer: batch } }];
      if (hasUniform) {
        const p = device.createBuffer({ size: 64, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
        device.queue.writeBuffer(p, 0, params);
        entries.push({ binding: 1, resource: { buffer: p } });
      }
      dispatch.buffers.forEach(({ buffer, offset, size }, i) =>
        entries.push({ binding: 2 + i, resource: { buffer, offset, size } }),
      );
      steps.push({
        dispatch,
        pipeline,
        params,
        hasUniform,
        bindings: device.createBindGroup({ layout: group, entries }),
      });
    }
    kinds.set(kind, steps);
    return steps;
  };
  return {
    sampler,
    tokens,
    logits,
    /** Writes a step's inputs and encodes it. Without `logits` or `tokens` what is there stays. */
    async step({ logits: row, tokens: ids, sampling, random = 0, ...shape }, record) {
      const { nTokens = 1, firstPosition = ids.length - nTokens, nOutputs = 1 } = shape;
      const { queue } = device;
      const steps = await stepsOf(kindOf(sampling));
      sampler.set(sampling);
      sampler.next(random, record);
      if (row !== undefined) queue.writeBuffer(logits.view.buffer, (nOutputs - 1) * stride * 4, row);
      if (ids !== undefined) queue.writeBuffer(tokens.buffer, 0, Int32Array.from(ids));
      queue.writeBuffer(batch, 0, Uint32Array.of(nTokens, firstPosition, nOutputs, 0));
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (const { dispatch, pipeline, params, hasUniform, bindings } of steps) {
        const groups = dispatch.groups({ nTokens, firstPosition, nOutputs });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, bindings);
        if (!hasUniform) pass.setImmediates(0, params);
        if (groups.every((n) => n > 0)) pass.dispatchWorkgroups(...groups);
      }
      pass.end();
      queue.submit([encoder.finish()]);
      ran(
        steps.map(({ dispatch }) => dispatch),
        features,
      );
    },
    /** Resolves to the records of the cases. */
    async draw(cases) {
      device.pushErrorScope('validation');
      for (const [i, one] of cases.entries()) await this.step({ tokens: [0], ...one }, i);
      const error = await device.popErrorScope();
      if (error) throw new Error(error.message);
      return this.read(cases.length);
    },
    async read(n) {
      const bytes = await download(device, sampler.records);
      return Array.from({ length: n }, (_, i) => readRecord(bytes, i));
    },
  };
}
