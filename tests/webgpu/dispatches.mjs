// SPDX-License-Identifier: Apache-2.0
// dispatches.mjs: one dispatch at a time, on any GPUDevice, in Node and in browsers.
import { ran } from './ledger.mjs';

/**
 * A device with everything that a test of dispatches needs. Its limits are those of every adapter, so a
 * kernel that takes more is an error.
 */
export async function bench({ openDevice, Pipelines, ...others }, gpu, options) {
  const opened = await openDevice(gpu, { isLeast: true, ...options });
  const { device, features } = opened;
  device.onuncapturederror = ({ error }) => {
    throw new Error(error.message);
  };
  return { ...others, ...opened, pipelines: new Pipelines(device, features) };
}

/** A buffer with `data` (a typed array), or of `data` bytes. */
export function upload(device, data, label = 'test') {
  const bytes = typeof data === 'number' ? data : data.byteLength;
  const buffer = device.createBuffer({
    label,
    size: Math.max(16, Math.ceil(bytes / 4) * 4),
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
  });
  if (typeof data !== 'number') device.queue.writeBuffer(buffer, 0, data);
  return buffer;
}

/**
 * Resolves as `promise`, which waits for the GPU. Firefox looks for the GPU's answers at each submit, and
 * else every 100 ms only.
 */
export async function answered(device, promise) {
  let isPending = true;
  const settled = promise.finally(() => (isPending = false));
  while (isPending) {
    device.queue.submit([]);
    await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 1))]);
  }
  return settled;
}

/** Resolves to a buffer's bytes. */
export async function download(device, buffer, bytes = buffer.size) {
  const read = device.createBuffer({ size: bytes, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
  const encoder = device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, read, 0, bytes);
  device.queue.submit([encoder.finish()]);
  await answered(device, read.mapAsync(GPUMapMode.READ));
  const copy = read.getMappedRange().slice(0);
  read.destroy();
  return copy;
}

/** Runs dispatches in order on a batch { nTokens, firstPosition, nOutputs }. A validation error is thrown. */
export async function runDispatches({ device, features, pipelines }, dispatches, batch) {
  ran(dispatches, features);
  device.pushErrorScope('validation');
  const uniform = device.createBuffer({ size: 16, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  device.queue.writeBuffer(
    uniform,
    0,
    new Uint32Array([batch.nTokens, batch.firstPosition, batch.nOutputs, 0]),
  );
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const dispatch of dispatches) {
    const { pipeline, group, hasUniform } = await pipelines.get(dispatch);
    const words = new DataView(new ArrayBuffer(64));
    dispatch.params.forEach((param, i) =>
      'u32' in param ? words.setUint32(i * 4, param.u32, true) : words.setFloat32(i * 4, param.f32, true),
    );
    const entries = [{ binding: 0, resource: { buffer: uniform } }];
    if (hasUniform) {
      const p = device.createBuffer({ size: 64, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
      device.queue.writeBuffer(p, 0, words.buffer);
      entries.push({ binding: 1, resource: { buffer: p } });
    }
    dispatch.buffers.forEach(({ buffer, offset, size }, i) =>
      entries.push({ binding: 2 + i, resource: { buffer, offset, size } }),
    );
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout: group, entries }));
    if (!hasUniform && dispatch.params.length > 0)
      pass.setImmediates(0, words.buffer, 0, dispatch.params.length * 4);
    const groups = dispatch.groups(batch);
    if (groups.every((n) => n > 0)) pass.dispatchWorkgroups(...groups);
  }
  pass.end();
  device.queue.submit([encoder.finish()]);
  const error = await device.popErrorScope();
  if (error) throw new Error(error.message);
  await answered(device, device.queue.onSubmittedWorkDone());
}
