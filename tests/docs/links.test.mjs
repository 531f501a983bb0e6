// SPDX-License-Identifier: Apache-2.0
// links.test.mjs: each relative link in the project's pages leads to a file and a heading, in a clone and in
// the packed package.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const run = async (program, ...parameters) =>
  (await promisify(execFile)(program, parameters, { cwd: root, maxBuffer: 1 << 24 })).stdout;

/** The anchor of a heading, as GitHub makes it. */
const anchorOf = (heading) =>
  heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\-_ ]/gu, '')
    .replaceAll(' ', '-');

/** The links of `page` that lead nowhere within `files`. */
async function deadLinks(page, files) {
  const strip = (text) =>
    text.replace(/^```[\s\S]*?^```$/gm, '').replace(/`[^`\n]*`/g, (code) => code.slice(1, -1));
  const text = strip(await readFile(path.join(root, page), 'utf8'));
  const dead = [];
  for (const [, link] of text.matchAll(/(?:\]\(|^\[[^\]]+\]: )([^)\s]+)/gm)) {
    if (/^[a-z]+:/.test(link)) continue;
    const [file, anchor] = link.split('#');
    const target = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
    const isThere =
      files.has(target) || [...files].some((name) => name.startsWith(`${target.replace(/\/$/, '')}/`));
    if (!isThere) dead.push(`${page}: ${link}`);
    else if (anchor && target.endsWith('.md')) {
      const headings = strip(await readFile(path.join(root, target), 'utf8')).matchAll(/^#+ (.*)$/gm);
      if (![...headings].some(([, heading]) => anchorOf(heading) === anchor)) dead.push(`${page}: ${link}`);
    }
  }
  return dead;
}

test('each relative link in a page of the project leads to a file, and to a heading of it', async () => {
  const files = new Set(
    (await run('git', 'ls-files', '--cached', '--others', '--exclude-standard')).trim().split('\n'),
  );
  const pages = [...files].filter((file) => file.endsWith('.md') && !file.startsWith('docs/api/'));
  assert.ok(pages.length > 8);
  assert.deepEqual((await Promise.all(pages.map((page) => deadLinks(page, files)))).flat(), []);
});

test('each relative link in a page of the packed package leads to a file of the package', async () => {
  const [{ files: packed }] = JSON.parse(await run('npm', 'pack', '--dry-run', '--ignore-scripts', '--json'));
  const files = new Set(packed.map((file) => file.path));
  const pages = [...files].filter((file) => file.endsWith('.md'));
  assert.ok(pages.includes('README.md'));
  assert.deepEqual((await Promise.all(pages.map((page) => deadLinks(page, files)))).flat(), []);
});
