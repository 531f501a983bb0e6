// SPDX-License-Identifier: Apache-2.0
// An adapter and a device, with the limits that this room asks for, and what kernels may use on it.
import { ChordError } from '../errors.js';
import { asked, isNode, opened } from './asked.js';
import type { Features } from './dispatch.js';

export interface OpenDevice {
  readonly device: GPUDevice;
  readonly features: Features;
  /** For people: vendor, architecture and description of the adapter. */
  readonly adapter: string;
}

export interface DeviceOptions {
  /** Features to leave out, for tests and downgrades. */
  readonly without?: readonly ('f16' | 'subgroups' | 'packedDot' | 'immediates')[];
  /** Prompts as q8 with packed dots, or not: instead of what the adapter's name says, for tests. */
  readonly fastDot?: boolean;
  /** Prompts with f16 in workgroup memory, or not: instead of whether the device has the type, for tests. */
  readonly f16Tiles?: boolean;
  /** Limits are asked for up to this binding size, for tests. */
  readonly maxBinding?: number;
  /** No limits above WebGPU's defaults, which every adapter has, for tests. */
  readonly isLeast?: boolean;
}

/** WebGPU's defaults, which every adapter has: what kernels may rely on. */
const FLOORS = { maxStorageBufferBindingSize: 128 << 20, maxComputeWorkgroupStorageSize: 16 << 10 };

/** Metal and programs that play an adapter make a packed dot of several instructions. */
const NO_DOT = /apple|metal|swiftshader|llvmpipe|basic render/i;
/** Where WebGPU is Metal, also in a browser that doesn't name its adapter: Firefox. */
const isMetal = (): boolean =>
  /Mac OS|iPhone|iPad/.test(
    (globalThis as { navigator?: { userAgent?: string } }).navigator?.userAgent ?? '',
  );

/** Throws `no-webgpu` with the reason. */
export async function openDevice(gpu: GPU, options: DeviceOptions = {}): Promise<OpenDevice> {
  const adapter = await asked(gpu.requestAdapter({ powerPreference: 'high-performance' }));
  if (adapter === null)
    throw new ChordError('no-webgpu', 'WebGPU has no adapter on this machine', {
      hint: isNode
        ? "on Linux it takes libvulkan1 and the GPU's Vulkan driver (VK_ICD_FILENAMES names one); backend: 'auto' uses the CPU"
        : "the GPU, or its driver, may be on the browser's blocklist; backend: 'auto' uses the CPU",
    });
  const without = new Set<string>(options.without);
  const has = (name: string): boolean => adapter.features.has(name);
  const language = (gpu as { wgslLanguageFeatures?: ReadonlySet<string> }).wgslLanguageFeatures;
  const wanted = [
    ...(has('shader-f16') && !without.has('f16') ? ['shader-f16'] : []),
    ...(has('subgroups') && !without.has('subgroups') ? ['subgroups'] : []),
    ...(has('timestamp-query') ? ['timestamp-query'] : []),
  ];
  const limits: Record<string, number> = {};
  const given = adapter.limits as unknown as Record<string, number>;
  for (const name of [
    'maxStorageBufferBindingSize',
    'maxBufferSize',
    'maxComputeWorkgroupStorageSize',
    'maxImmediateSize',
  ])
    if ((given[name] ?? 0) > 0 && (!options.isLeast || name === 'maxImmediateSize'))
      limits[name] = given[name]!;
  if (options.maxBinding !== undefined) limits['maxStorageBufferBindingSize'] = options.maxBinding;
  let device: GPUDevice;
  try {
    device = await asked(
      adapter.requestDevice({ requiredFeatures: wanted as GPUFeatureName[], requiredLimits: limits }),
    );
  } catch (error) {
    throw new ChordError('no-webgpu', `the adapter refuses a device: ${(error as Error).message}`, {
      cause: error,
    });
  }
  opened(device);
  const info = adapter.info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
  const subgroups = device.features.has('subgroups' as GPUFeatureName);
  const own = device.limits as unknown as Record<string, number>;
  const immediates = language?.has('immediate_address_space') ?? false;
  const name = [info.vendor, info.architecture, info.description].filter(Boolean).join(' ');
  const f16 = device.features.has('shader-f16');
  const packedDot = !without.has('packedDot') && (language?.has('packed_4x8_integer_dot_product') ?? false);
  return {
    device,
    adapter: name || 'unnamed adapter',
    features: {
      f16,
      f16Tiles: options.f16Tiles ?? f16,
      subgroupMatrices: has('chromium-experimental-subgroup-matrix'),
      subgroups,
      // An adapter that doesn't say: any size that WebGPU allows.
      subgroupMin: subgroups ? (info.subgroupMinSize ?? 4) : 0,
      subgroupMax: subgroups ? (info.subgroupMaxSize ?? 128) : 0,
      packedDot,
      fastDot: packedDot && (options.fastDot ?? !(NO_DOT.test(name) || isMetal())),
      immediates: immediates && (own['maxImmediateSize'] ?? 0) >= 64 && !without.has('immediates'),
      maxBinding: own['maxStorageBufferBindingSize'] ?? FLOORS.maxStorageBufferBindingSize,
      maxWorkgroupStorage: own['maxComputeWorkgroupStorageSize'] ?? FLOORS.maxComputeWorkgroupStorageSize,
      maxInvocations: own['maxComputeInvocationsPerWorkgroup'] ?? 256,
    },
  };
}
