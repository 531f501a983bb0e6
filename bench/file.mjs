// SPDX-License-Identifier: Apache-2.0
// file.mjs: what the ceilings need from a GGUF file besides model.info: which weights a token reads.

// Bytes and elements of a block, by ggml_type.
// prettier-ignore
const BLOCKS = {
  0: [4, 1], 1: [2, 1], 30: [2, 1], 2: [18, 32], 3: [20, 32], 6: [22, 32], 7: [24, 32], 8: [34, 32],
  10: [84, 256], 11: [110, 256], 12: [144, 256], 13: [176, 256], 14: [210, 256], 20: [18, 32], 23: [136, 256],
};

/** { elements, bytes } of the tensor `name` in the first bytes of a file; null if it isn't found. */
export function tensorIn(head, name) {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  // A string in GGUF: length first.
  const key = new Uint8Array(8 + name.length);
  new DataView(key.buffer).setUint32(0, name.length, true);
  key.set(new TextEncoder().encode(name), 8);
  for (let at = head.indexOf(key[0]); at >= 0; at = head.indexOf(key[0], at + 1)) {
    if (!key.every((byte, i) => head[at + i] === byte)) continue;
    let next = at + key.length;
    const dims = next + 4 <= head.length ? view.getUint32(next, true) : 0;
    // The same words in a text.
    if (dims < 1 || dims > 4 || next + 8 + dims * 8 > head.length) continue;
    next += 4;
    let elements = 1;
    for (let i = 0; i < dims; i++, next += 8) elements *= Number(view.getBigUint64(next, true));
    const block = BLOCKS[view.getUint32(next, true)];
    if (block) return { elements, bytes: (elements / block[1]) * block[0] };
  }
  return null;
}

/**
 * { bytesPerToken, maddsPerPromptToken }: bytes of the weights that decoding a token reads, and multiply-adds
 * of the matmuls of a prompt's token without logits. The embedding matrix counts when it is also the output
 * matrix.
 */
export function work(head, { parameters, weightBytes }) {
  const embedding = tensorIn(head, 'token_embd.weight'),
    output = tensorIn(head, 'output.weight');
  if (!embedding) return null;
  return {
    bytesPerToken: weightBytes - (output ? embedding.bytes : 0),
    maddsPerPromptToken: parameters - embedding.elements - (output?.elements ?? 0),
  };
}
