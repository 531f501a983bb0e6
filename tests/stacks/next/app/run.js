// SPDX-License-Identifier: Apache-2.0
import { loadModel } from 'wasm-chord';

/** Eight greedy tokens; in the browser, in a route handler and in a server action. */
export async function run(source) {
  try {
    const model = await loadModel(source, { threads: 2 });
    const text = await model
      .generate('The walk of', { temperature: 0, maxTokens: 8, ignoreEos: true })
      .text();
    const { threads, backendReason } = model.info;
    await model.dispose();
    return { text, threads, backendReason };
  } catch (error) {
    return { error: String(error.stack ?? error), hint: error.hint };
  }
}
