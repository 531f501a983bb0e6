// SPDX-License-Identifier: Apache-2.0
// cost.mjs: a model of cost: what a token should take on a class of GPUs, from bytes, multiply-adds and
// dispatches. It isn't fitted to our figures: they are compared with it.

/**
 * bandwidth: bytes/s that a good mat-vec reaches, 70 % of the data sheet's. madds: multiply-adds/s of a tile
 * in float32, 40 % of the data sheet's flops / 2. dispatch: seconds of one more dispatch in a submit, of
 * which there are hundreds (alone, a dispatch takes 24 to 71 us in browsers). submit: one more submit with
 * its readback.
 */
export const CLASSES = {
  'Apple M2 Max': { bandwidth: 0.7 * 400e9, madds: 0.4 * 6.8e12, dispatch: 8e-6, submit: 150e-6 },
  'RTX 4070': { bandwidth: 0.7 * 504e9, madds: 0.4 * 14.6e12, dispatch: 5e-6, submit: 100e-6 },
  'Iris Xe': { bandwidth: 0.7 * 51e9, madds: 0.4 * 1.1e12, dispatch: 10e-6, submit: 200e-6 },
  'H200 (Vulkan)': { bandwidth: 0.7 * 4800e9, madds: 0.4 * 33.5e12, dispatch: 5e-6, submit: 80e-6 },
};

/** Tokens per second of decode, from what one token reads and dispatches. */
export function decodeRate({ bandwidth, dispatch, submit }, { gpuBytesRead, gpuDispatches, submits }) {
  return 1 / (gpuBytesRead / bandwidth + gpuDispatches * dispatch + submits * submit);
}

/** Tokens per second of prefill in batches of 256: products of every weight with every token. */
export function prefillRate({ madds, bandwidth, dispatch, submit }, { parameters, bytes, gpuDispatches }) {
  const batch = 256;
  const seconds =
    Math.max((parameters * batch) / madds, bytes / bandwidth) + 2 * gpuDispatches * dispatch + submit;
  return batch / seconds;
}

/** Predicted rates by class, as rows { device, decode, prefill }. */
export function predict({ parameters, bytes, perToken }) {
  return Object.entries(CLASSES).map(([device, cost]) => ({
    device,
    decode: decodeRate(cost, perToken),
    prefill: prefillRate(cost, { parameters, bytes, gpuDispatches: perToken.gpuDispatches }),
  }));
}
