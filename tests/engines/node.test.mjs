// SPDX-License-Identifier: Apache-2.0
// node.test.mjs: the checks of the browsers in this Node, so that the table of docs/ENGINES.md has its
// figures beside theirs. Another Node in PATH adds a row of its own.
import { after, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { MODEL, root } from '../e2e/browser.mjs';
import { needs } from '../reference/real.mjs';
import { checks } from './page/checks.mjs';
import { FIXTURES, Findings, assertMemory64, judgedFixtures, judgedSmolLm2 } from './suite.mjs';

const version = process.versions.node;
const findings = new Findings(`node-${version.split('.')[0]}`);
after(() => findings.write('Node', version));

const given = { model: pathToFileURL(root + MODEL).href, fixtures: FIXTURES };
for (const [what, sentence, use] of [
  ['environment', 'model.info says what runs, and why', () => checks.environment(given)],
  [
    'fixtures',
    "every fixture has llama.cpp's ids and logits",
    async (t) => judgedFixtures(t, await checks.fixtures({ ...given, threads: 2 })),
  ],
  [
    'smollm2',
    "SmolLM2 prefers tokens as good as llama.cpp's",
    async (t) => judgedSmolLm2(t, `Node ${version}`, await checks.smollm2(given)),
  ],
  [
    'memory64',
    'a plan above 4 GiB takes 64-bit addresses with the same logits, or says why not',
    async () =>
      assertMemory64(findings.modes['Node'].fixtures, await checks.memory64({ ...given, threads: 2 })),
  ],
  ...Object.entries({
    level1: 'level 1 streams, breaks, refuses and frees',
    level2: 'level 2 repeats by seed, breaks, tokenizes and chats',
    sources: 'every kind of source gives the same text',
    threads: 'each number of threads gives the same logits',
    abort: 'an abort takes effect within one step',
    badFiles: 'bad files are typed errors, and the next load works',
    paging: 'a paged model has the bits of the resident one, from a path and from a Blob',
  }).map(([what, sentence]) => [what, sentence, () => checks[what](given)]),
])
  test(`Node: ${sentence}`, needs('smollm2'), (t) => findings.keep('Node', what, () => use(t)));
