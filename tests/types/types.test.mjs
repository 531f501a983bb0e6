// SPDX-License-Identifier: Apache-2.0
// types.test.mjs: a user's strict TypeScript project compiles against the packed package, and its
// deliberate mistakes are caught (tests/types/project/main.ts).
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
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
