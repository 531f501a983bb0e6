// SPDX-License-Identifier: Apache-2.0
// browser.mjs: helpers of all tests in Chromium: the browser, the project's server, and skips.
//
// A test is skipped where the browser or a model is missing. With CI=true it fails instead.
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { chromiumPath, launchChromium } from '../../tools/browsers.mjs';
import { startServer } from '../../tools/serve.mjs';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const MODEL = 'models/SmolLM2-135M-Instruct.Q4_1.gguf';

/**
 * Options of node:test's test(): skips if the browser or one of `files` is missing. Throws then if CI=true.
 */
export function needs(...files) {
  const missing = files.filter((file) => !existsSync(path.join(root, file)));
  const reasons = [
    ...(chromiumPath ? [] : ['no Chromium found (set CHROMIUM to its path)']),
    ...missing.map((file) => `${file} is missing (make model)`),
  ];
  if (reasons.length > 0 && process.env.CI === 'true') throw new Error(reasons.join('; '));
  return { skip: reasons.length > 0 ? reasons.join('; ') : false, timeout: 300_000 };
}

/** Runs `use(browser)` with a fresh headless Chromium. `more`: further arguments. */
export async function withBrowser(use, more = []) {
  const browser = await launchChromium(more);
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

/**
 * Runs `use(address)` with the project's server on a free port, cross-origin isolated or not. `extra`: more
 * headers.
 */
export async function withServer({ isolated, directory = root, extra = {} }, use) {
  const server = await startServer({ root: directory, isolated, extra });
  try {
    return await use(server.address);
  } finally {
    await server.close();
  }
}

/** A new page whose uncaught errors and console errors are collected in `page.faults`. */
export async function openPage(browser, address) {
  const page = await browser.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.faults.push(message.text());
  });
  await page.goto(address);
  return page;
}

/** Saves a picture of the whole page in the folder that SCREENSHOTS names, if it names one. */
export async function screenshot(page, name) {
  const folder = process.env.SCREENSHOTS;
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
}
