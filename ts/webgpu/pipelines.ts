// SPDX-License-Identifier: Apache-2.0
// Compiles kernels. A text is compiled once for its constants, a pipeline once for its overrides; dispatches
// with the same of both share it, whatever their buffers are.
import texts from 'wgsl-texts';
import { ChordError } from '../errors.js';
import { asked } from './asked.js';
import { COMPUTE } from './flags.js';
import type { Dispatch, Features } from './dispatch.js';

const parameters = /@group\(0\)\s*@binding\(1\)\s*var<uniform>\s*p:/;

/** A kernel's text, whole, as the device compiles it. */
export function textOf(dispatch: Dispatch, features: Features): string {
  const names = ['batch', ...(dispatch.with ?? []), dispatch.kernel];
  const body = names.map((name) => {
    const text = texts[name];
    if (text === undefined) throw new ChordError('internal', `there is no kernel text ${name}`);
    return text;
  });
  let text = [...body, dispatch.glue ?? ''].join('\n');
  const head: string[] = [];
  if (features.subgroups && text.includes('subgroup')) head.push('enable subgroups;');
  if (features.f16 && /\bf16\b/.test(text)) head.push('enable f16;');
  if (features.packedDot && /4x8|4xI8|4I8/.test(text)) head.push('requires packed_4x8_integer_dot_product;');
  if (features.immediates && parameters.test(text)) {
    head.push('requires immediate_address_space;');
    text = text.replace(parameters, 'var<immediate> p:');
  }
  for (const [name, value] of Object.entries(dispatch.constants ?? {}))
    head.push(`const ${name}:${Number.isInteger(value) && value >= 0 ? `u32=${value}u` : `f32=${value}f`};`);
  return `${head.join('\n')}\n${text}`;
}

/** Whether a kernel's whole text takes its parameters from binding 1. */
export const hasUniform = (text: string): boolean => /@binding\(1\)/.test(text);

/** A pipeline and the layout of its group 0. Dispatches with equal bindings have the same layout. */
export interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroupLayout;
  /** Whether binding 1 holds the parameters. Without it they are immediates, or there are none. */
  readonly hasUniform: boolean;
}

interface Layout {
  readonly group: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

export class Pipelines {
  readonly #device: GPUDevice;
  readonly #features: Features;
  readonly #modules = new Map<string, GPUShaderModule>();
  readonly #layouts = new Map<string, Layout>();
  readonly #pipelines = new Map<string, Promise<CompiledKernel>>();

  constructor(device: GPUDevice, features: Features) {
    this.#device = device;
    this.#features = features;
  }

  get count(): number {
    return this.#pipelines.size;
  }

  /** Resolves to the pipeline of a dispatch. Rejects with `internal`, which names the kernel. */
  get(dispatch: Dispatch): Promise<CompiledKernel> {
    const { kernel, constants = {}, overrides = {}, with: others = [], glue } = dispatch;
    const module = JSON.stringify([kernel, others, constants, glue]);
    const key = `${module}${JSON.stringify(overrides)}`;
    let pipeline = this.#pipelines.get(key);
    if (pipeline === undefined) {
      pipeline = this.#compile(dispatch, module);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  /** The layout of the bindings that a text declares, also of those that it doesn't use. */
  #layoutOf(text: string): Layout {
    const bindings = [...text.matchAll(/@binding\((\d+)\)\s*var<(uniform|storage)(?:,\s*(\w+))?>/g)].map(
      ([, binding, space, access]) => ({
        binding: Number(binding),
        visibility: COMPUTE,
        buffer: {
          type: (space === 'uniform'
            ? 'uniform'
            : access === 'read_write'
              ? 'storage'
              : 'read-only-storage') as GPUBufferBindingType,
        },
      }),
    );
    const immediateSize = text.includes('var<immediate>') ? 64 : 0;
    const key = JSON.stringify([bindings, immediateSize]);
    let layout = this.#layouts.get(key);
    if (layout === undefined) {
      const group = this.#device.createBindGroupLayout({ entries: bindings });
      const descriptor = { bindGroupLayouts: [group], ...(immediateSize > 0 ? { immediateSize } : {}) };
      layout = { group, pipeline: this.#device.createPipelineLayout(descriptor) };
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  async #compile(dispatch: Dispatch, key: string): Promise<CompiledKernel> {
    const text = textOf(dispatch, this.#features);
    let module = this.#modules.get(key);
    if (module === undefined) {
      module = this.#device.createShaderModule({ label: dispatch.kernel, code: text });
      this.#modules.set(key, module);
    }
    const layout = this.#layoutOf(text);
    try {
      const pipeline = await asked(
        this.#device.createComputePipelineAsync({
          label: dispatch.label,
          layout: layout.pipeline,
          compute: { module, entryPoint: 'main', constants: { ...dispatch.overrides } },
        }),
      );
      return { pipeline, group: layout.group, hasUniform: hasUniform(text) };
    } catch (error) {
      const { messages } = await asked(module.getCompilationInfo());
      const why = messages.map(({ lineNum, message }) => `${lineNum}: ${message}`).join('\n');
      throw new ChordError('internal', `kernel ${dispatch.label}: ${why || (error as Error).message}`, {
        cause: error,
      });
    }
  }
}
