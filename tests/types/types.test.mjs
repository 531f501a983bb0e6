// SPDX-License-Identifier: Apache-2.0
// types.test.mjs: a user's strict TypeScript project compiles against the packed package, and its
// deliberate mistakes are caught (tests/types/project/main.ts). A program written for OpenAI's client
// compiles with our model in its place (tests/types/openai/main.ts).
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { root, runTool, withProject } from '../bundler/package.mjs';

test(
  "a user's strict project compiles with moduleResolution bundler and nodenext",
  { timeout: 120_000 },
  () =>
    withProject(path.join(root, 'tests/types/project'), async (folder) => {
      for (const resolution of ['bundler', 'nodenext']) {
        const { status, output } = await runTool(
          'typescript/bin/tsc',
          ['-p', `tsconfig.${resolution}.json`],
          folder,
        );
        assert.equal(status, 0, `${resolution}:\n${output}`);
      }
      // One more mistake must make the compiler fail; otherwise the check above can't.
      const main = path.join(folder, 'main.ts');
      await writeFile(
        main,
        (await readFile(main, 'utf8')) + '\nconst wrong: number = version();\nvoid wrong;\n',
      );
      assert.notEqual(
        (await runTool('typescript/bin/tsc', ['-p', 'tsconfig.bundler.json'], folder)).status,
        0,
      );
    }),
);

test("what a model returns, and the messages and tools that it takes, have the types of OpenAI's client", () =>
  withProject(path.join(root, 'tests/types/openai'), async (folder) => {
    const client = 'node_modules/openai';
    await symlink(path.join(root, client), path.join(folder, client), 'dir');
    await writeFile(path.join(folder, 'package.json'), '{ "private": true, "type": "module" }');
    const { status, output } = await runTool('typescript/bin/tsc', ['-p', 'tsconfig.json'], folder);
    assert.equal(status, 0, output);
  }));
