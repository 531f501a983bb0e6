// SPDX-License-Identifier: Apache-2.0
// predict.mjs: prints what cost.mjs predicts for the models of shapes.mjs, without a GPU: the table in
// docs/SPEED.md. `node bench/webgpu/predict.mjs [TYPE]`
import { predict } from './cost.mjs';
import { SHAPES, makeModel } from './shapes.mjs';

/** Six dispatches a layer; the lookup, the logits, and two for the draw. */
const dispatchesOf = ({ layer }) => 6 * layer + 4;

const type = process.argv[2] ?? 'Q4_K_M';
for (const [name, shape] of Object.entries(SHAPES)) {
  const model = makeModel(name, type);
  // Of an embedding that isn't the output, too, a token reads one row.
  const lookup = shape.tied ? 0 : model.tensors.find((tensor) => tensor.name === 'token_embd.weight').bytes;
  const perToken = { gpuBytesRead: model.bytes - lookup, gpuDispatches: dispatchesOf(shape), submits: 1 };
  console.log(
    `${name} ${type}: ${perToken.gpuDispatches} dispatches a token, ${(perToken.gpuBytesRead / 1e6).toFixed(0)} MB`,
  );
  const [prompts, depths] = [
    [128, 512, 2048],
    [0, 512, 4096],
  ];
  const list = (rates, digits) => Object.values(rates).map((rate) => rate.toFixed(digits).padStart(7));
  for (const { device, prefillOf, decodeOf } of predict({ ...model, perToken, prompts, depths }))
    console.log(
      `  ${device.padEnd(14)} prefill of ${prompts}:${list(prefillOf, 0)}; decode at ${depths}:${list(decodeOf, 1)} tokens/s`,
    );
}
