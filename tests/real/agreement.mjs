// SPDX-License-Identifier: Apache-2.0
// agreement.mjs: which tokens CPU and GPU prefer behind each token of a text, in Node and in a page.

function bestOf(row) {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}

/**
 * Compares the logits of CPU and GPU from row `first` on. `cpu` and `gpu` are the tokens that they prefer,
 * `parted` is [row, the CPU's lead, the GPU's lead] of each difference.
 */
function compare(a, b, width, first) {
  let [error, power] = [0, 0];
  const found = { cpu: [], gpu: [], parted: [] };
  for (let i = first; i < a.length / width; i++) {
    const [x, y] = [a, b].map((all) => all.subarray(i * width, (i + 1) * width));
    const [best, other] = [bestOf(x), bestOf(y)];
    found.cpu.push(best);
    found.gpu.push(other);
    if (best !== other) found.parted.push([i, x[best] - x[other], y[other] - y[best]]);
    for (let k = 0; k < width; k++) {
      error += (x[k] - y[k]) ** 2;
      power += x[k] ** 2;
    }
  }
  return { ...found, nmse: error / power };
}

export const CONTEXT = 256;

/** Resolves to the logits of each text by one backend. */
async function logitsOf(loadModel, file, texts, backend) {
  const model = await loadModel(file, { cache: 'none', contextLength: CONTEXT, backend });
  try {
    const logits = [];
    for (const { ids } of Object.values(texts)) logits.push(await model.logits(ids, { all: true }));
    return { logits, info: model.info };
  } finally {
    await model.dispose();
  }
}

/**
 * Resolves to the comparison of each text of `texts` (tests/golden/best.json), by the text's name. `onGpu`
 * resolves to the logits of each text and `info`, by the GPU.
 */
export async function agreement(
  loadModel,
  file,
  texts,
  onGpu = () => logitsOf(loadModel, file, texts, 'webgpu'),
) {
  const names = Object.keys(texts);
  const cpu = await logitsOf(loadModel, file, texts, 'cpu');
  const gpu = await onGpu();
  const { vocabularySize: width } = cpu.info;
  const found = names.map((name, i) => [
    name,
    compare(cpu.logits[i], gpu.logits[i], width, texts[name].first),
  ]);
  return { ...Object.fromEntries(found), backend: gpu.info.backend, reason: gpu.info.backendReason };
}
