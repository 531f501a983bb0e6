// SPDX-License-Identifier: Apache-2.0
// agreement.mjs: how often the GPU prefers the token that the CPU prefers, in Node and in a page.

const TEXT = `The river rises in the hills above the town, where the first mills were built. For two hundred years
the water turned their wheels, and the roads to the coast carried flour and cloth. In the spring the
meadows stood under water, and the children went to school by boat. When the railway came, the mills
moved to the harbour, the bridge was widened, and the market moved from the church to the station.
Today the valley is quiet. Two of the mills are still there; one of them is a museum, and the other
one a house with a garden. On Sundays the people of the town walk along the bank as far as the old
lock, where boats can be hired, and come back by the road.`;
const TOKENS = 128;
const PROMPT = 32;

function bestOf(row) {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i] > row[best]) best = i;
  return best;
}

/** Compares the rows from `first` on. `parted`: [row, the CPU's lead, the GPU's lead] of each difference. */
function compare(a, b, width, first) {
  let [same, error, power] = [0, 0, 0];
  const parted = [];
  for (let i = first; i < a.length / width; i++) {
    const [x, y] = [a, b].map((all) => all.subarray(i * width, (i + 1) * width));
    const [best, other] = [bestOf(x), bestOf(y)];
    if (best === other) same += 1;
    else parted.push([i, x[best] - x[other], y[other] - y[best]]);
    for (let k = 0; k < width; k++) {
      error += (x[k] - y[k]) ** 2;
      power += x[k] ** 2;
    }
  }
  return { same, of: a.length / width - first, nmse: error / power, parted };
}

/**
 * Resolves to what CPU and GPU prefer behind each of 128 tokens that both are given: of the CPU's own greedy
 * text (`own`), and of a text that no model wrote (`foreign`), where two tokens are often equally good.
 */
export async function agreement(loadModel, file, gpuOptions = {}) {
  const options = { cache: 'none', contextLength: 256 };
  const run = async (more, lists) => {
    const model = await loadModel(file, { ...options, ...more });
    try {
      const found = lists ?? (await write(model));
      const logits = [];
      for (const ids of found) logits.push(await model.logits(ids, { all: true }));
      return { lists: found, logits, info: model.info };
    } finally {
      await model.dispose();
    }
  };
  const cpu = await run({ backend: 'cpu' });
  const gpu = await run({ backend: 'webgpu', ...gpuOptions }, cpu.lists);
  const { vocabularySize: width } = cpu.info;
  const [own, foreign] = [PROMPT - 1, 0].map((first, i) =>
    compare(cpu.logits[i], gpu.logits[i], width, first),
  );
  return { own, foreign, backend: gpu.info.backend, reason: gpu.info.backendReason };
}

/** The two lists of ids. */
async function write(model) {
  const foreign = (await model.tokenize(TEXT)).slice(0, TOKENS);
  const own = foreign.slice(0, PROMPT);
  const sampling = { maxTokens: TOKENS - 1, temperature: 0, ignoreEos: true };
  for await (const { token } of model.generate([...own], sampling)) own.push(token);
  return [own, foreign];
}
