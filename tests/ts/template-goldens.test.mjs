// SPDX-License-Identifier: Apache-2.0
// What the package's template engine renders is what Jinja2 renders (tools/make_template_goldens.py). The C
// tests read the same files with the native host, where another library converts numbers.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../..', import.meta.url));
const NOW = [2026, 3, 9, 7, 5, 3];

/** The cases of a golden file. `text`: undefined for an error. */
async function* cases(name) {
  const bytes = await readFile(path.join(root, `tests/template/${name}.golden`));
  for (let at = 0; at < bytes.byteLength;) {
    const line = bytes.indexOf(10, at);
    const [, ...sizes] = bytes.toString('utf8', at, line).split(' ').slice(0, 4);
    const [template, variables, text] = sizes.map(Number);
    at = line + 1;
    const take = (n) => bytes.toString('utf8', at, (at += n + 1) - 1);
    yield {
      isRaised: text < -1,
      template: take(template),
      variables: take(variables),
      text: text === -1 ? void take(0) : take(text >= 0 ? text : -2 - text),
    };
  }
}

const { outputFiles } = await build({
  absWorkingDir: root,
  entryPoints: ['ts/template/engine.ts'],
  bundle: true,
  format: 'esm',
  platform: 'neutral',
  write: false,
});
const { TemplateEngine } = await import(
  `data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`
);
const engine = new TemplateEngine(await readFile(path.join(root, 'build/wasm/packed/template.wasm')));

for (const name of ['snippets', 'chats', 'merged'])
  test(`${name}.golden`, async () => {
    let n = 0;
    for await (const { template, variables, text, isRaised } of cases(name)) {
      n++;
      const rendered = engine.render({ template, variables, now: NOW, mergeSystem: name === 'merged' });
      if (text === undefined) {
        await assert.rejects(rendered, { code: 'invalid-argument' }, template);
        continue;
      }
      const found = await rendered;
      assert.equal(found.isRaised, isRaised, template);
      if (isRaised) assert.ok(found.text.includes(text), template);
      else assert.equal(found.text, text, template);
    }
    assert.ok(n > 60);
  });
