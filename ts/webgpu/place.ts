// SPDX-License-Identifier: Apache-2.0
/** The global in which webgpu.js puts its exports. */
export const place = Symbol.for('wasm-chord.webgpu');
