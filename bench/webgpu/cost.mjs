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
/** Tokens of a batch, at most. */
const BATCH = 256;

/**
 * Tokens per second of decode, from what one token reads and dispatches. At a depth a token also reads the
 * keys and values of all positions before it (`kvBytes` each).
 */
export function decodeRate(
  { bandwidth, dispatch, submit },
  { gpuBytesRead, gpuDispatches, submits },
  { depth = 0, kvBytes = 0 } = {},
) {
  return 1 / ((gpuBytesRead + depth * kvBytes) / bandwidth + gpuDispatches * dispatch + submits * submit);
}

/**
 * Tokens per second of a prompt in batches of 256: products of every weight with every token, and attention,
 * which takes `attention` multiply-adds for each pair of positions.
 */
export function prefillRate(
  { madds, bandwidth, dispatch, submit },
  { parameters, bytes, gpuDispatches, attention = 0 },
  tokens = BATCH,
) {
  let seconds = 0;
  for (let at = 0; at < tokens; at += BATCH) {
    const batch = Math.min(BATCH, tokens - at);
    const pairs = batch * (at + (batch + 1) / 2);
    const work = parameters * batch + attention * pairs;
    seconds += Math.max(work / madds, bytes / bandwidth) + 2 * gpuDispatches * dispatch + submit;
  }
  return tokens / seconds;
}

/**
 * Predicted rates by class, as rows { device, decode, prefill, decodeOf: { depth: rate }, prefillOf: {
 * tokens: rate } }; decode and prefill are at depth 0 and of one batch.
 */
export function predict({
  parameters,
  multiplied = parameters,
  bytes,
  perToken,
  kvBytes,
  attention,
  depths = [],
  prompts = [],
}) {
  return Object.entries(CLASSES).map(([device, cost]) => {
    const model = { parameters: multiplied, bytes, attention, gpuDispatches: perToken.gpuDispatches };
    const decode = (depth) => decodeRate(cost, perToken, { depth, kvBytes });
    const prefill = (tokens) => prefillRate(cost, model, tokens);
    return {
      device,
      decode: decode(0),
      prefill: prefill(BATCH),
      decodeOf: Object.fromEntries(depths.map((depth) => [depth, decode(depth)])),
      prefillOf: Object.fromEntries(prompts.map((tokens) => [tokens, prefill(tokens)])),
    };
  });
}
