// SPDX-License-Identifier: Apache-2.0
// real.mjs: the real models that have goldens in tests/golden, and options for tests that need their files.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** By the golden's name: the model's name, its file in models/, the golden of its vocabulary. */
export const REAL = {
  smollm2: { title: 'SmolLM2', file: 'SmolLM2-135M-Instruct.Q4_1.gguf', tokens: 'smollm2_tokens' },
  'gemma3-270m': { title: 'Gemma 3 270M', file: 'gemma-3-270m.Q4_K_M.gguf', tokens: 'gemma3-270m_tokens' },
  'qwen2.5-coder-0.5b': {
    title: 'Qwen2.5-Coder 0.5B',
    file: 'Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf',
    tokens: 'qwen2.5-coder_tokens',
  },
  'qwen2.5-coder-1.5b': {
    title: 'Qwen2.5-Coder 1.5B',
    file: 'Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf',
    tokens: 'qwen2.5-coder_tokens',
  },
};

export const fileOf = (name) => fileURLToPath(new URL(`../../models/${REAL[name].file}`, import.meta.url));

/** Options of a test that needs this model. Without the file, the test is skipped; in CI it fails. */
export function needs(name) {
  const isHere = existsSync(fileOf(name)) || process.env.CI === 'true';
  return {
    skip: isHere
      ? false
      : `models/${REAL[name].file} is missing: run \`make ${name === 'smollm2' ? 'model' : 'models'}\``,
  };
}
