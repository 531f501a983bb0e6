// SPDX-License-Identifier: Apache-2.0
// template-wasm.test.mjs: the template engine as a wasm module, over the goldens of tests/template, which are
// what Jinja2 renders. tests/template/golden_test.c runs the same natively.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const { outputFiles } = await build({
  entryPoints: [fileURLToPath(new URL('../../ts/template/engine.ts', import.meta.url))],
  bundle: true,
  format: 'esm',
  platform: 'node',
  write: false,
});
const { TemplateEngine } = await import(`data:text/javascript,${encodeURIComponent(outputFiles[0].text)}`);
const engine = new TemplateEngine(
  new Uint8Array(await readFile(new URL('../../build/wasm/template.wasm', import.meta.url))),
);
const now = [2026, 3, 9, 7, 5, 3];

/** The cases of a file of goldens (tools/make_template_goldens.py). */
async function casesOf(name) {
  const bytes = await readFile(new URL(`../template/${name}.golden`, import.meta.url));
  const cases = [];
  for (let at = 0; at < bytes.length;) {
    const end = bytes.indexOf(10, at);
    const [, ...words] = bytes.toString('utf8', at, end).split(' ');
    const [nTemplate, nVariables, size] = words.map(Number);
    at = end + 1;
    const take = (n) => {
      const text = bytes.toString('utf8', at, at + n);
      at += n + 1;
      return text;
    };
    const template = take(nTemplate);
    const variables = take(nVariables);
    const text = take(size >= 0 ? size : Math.max(0, -2 - size));
    cases.push({ name: words.slice(3).join(' '), template, variables, text, size });
  }
  return cases;
}

for (const name of ['snippets', 'chats', 'merged']) {
  test(`${name}: what Jinja2 renders`, async (t) => {
    const cases = await casesOf(name);
    assert.ok(cases.length > 50);
    for (const { name: title, template, variables, text, size } of cases) {
      const rendering = { template, variables, now, mergeSystem: name === 'merged' };
      const at = `${title}: ${template}`;
      if (size === -1) {
        await assert.rejects(engine.render(rendering), { code: 'invalid-argument' }, at);
        continue;
      }
      const rendered = await engine.render(rendering);
      assert.equal(rendered.isRaised, size < 0, at);
      if (size >= 0) assert.equal(rendered.text, text, at);
      else assert.ok(rendered.text.endsWith(`: ${text}`), `${at}\n${rendered.text}`);
    }
    t.diagnostic(`${cases.length} cases`);
  });
}
