// SPDX-License-Identifier: Apache-2.0
// browsers.mjs: finds and starts the browsers of the tests: Chromium, Firefox and WebKit (WebKitGTK, the
// engine of Safari). `CHROMIUM`, `FIREFOX` and `WEBKIT_DRIVER` name other programs.
//
//   const browser = await launch('firefox');           // the same small interface for each engine
//   const page = await browser.open(address);
//   await page.evaluate((n) => n + 1, 1);              // what the function returns must be JSON
//   await browser.close();
//
// Chromium is driven by playwright-core, Firefox by Marionette, WebKit by W3C WebDriver.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const first = (...files) => files.find((file) => file && existsSync(file));
const mac = '/Applications';

/** Path of each program; undefined if there is none. */
export const chromiumPath = first(
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  `${mac}/Google Chrome.app/Contents/MacOS/Google Chrome`,
  `${mac}/Chromium.app/Contents/MacOS/Chromium`,
);
export const firefoxPath = first(
  process.env.FIREFOX,
  '/usr/bin/firefox-esr',
  '/usr/bin/firefox',
  `${mac}/Firefox.app/Contents/MacOS/firefox`,
);
export const webkitDriverPath = first(process.env.WEBKIT_DRIVER, '/usr/bin/WebKitWebDriver');
const xvfbPath = first('/usr/bin/Xvfb');

export const ENGINES = ['chromium', 'firefox', 'webkit'];

/** The programs that `engine` still needs, as text; '' if it can be started. */
export function missing(engine) {
  if (engine === 'chromium')
    return chromiumPath ? '' : 'no Chromium found (Debian: chromium; elsewhere set CHROMIUM to its path)';
  if (engine === 'firefox')
    return firefoxPath ? '' : 'no Firefox found (Debian: firefox-esr; elsewhere set FIREFOX to its path)';
  if (!webkitDriverPath) return 'no WebKitWebDriver found (Debian: webkit2gtk-driver)';
  return xvfbPath || process.env.DISPLAY ? '' : 'WebKit needs a display or Xvfb (Debian: xvfb)';
}

/** Name and version of the program that `launch` starts, such as 'Firefox 153'; without it, the name. */
export function nameOf(engine) {
  const [name, file] = {
    chromium: ['Chromium', chromiumPath],
    firefox: ['Firefox', firefoxPath],
    webkit: ['WebKit', undefined],
  }[engine];
  if (!file) return name;
  return `${name} ${execFileSync(file, ['--version'], { encoding: 'utf8' }).match(/\d+/)?.[0] ?? '?'}`;
}

/** Without these Chromium calls its maker's hosts at every start. */
export const chromiumArguments = [
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * WebGPU on a machine without a GPU: SwiftShader plays the adapter, in windows and in workers, also headless.
 * On Linux Chromium has no adapter without the first one. The second one alone changes nothing; it is for
 * machines that have a GPU, too. SwiftShader compiles the zeros that WebGPU puts into workgroup memory one by
 * one, which takes a minute for a model's kernels; they write that memory before they read it.
 */
export const webgpuArguments = [
  '--enable-unsafe-webgpu',
  '--use-webgpu-adapter=swiftshader',
  '--enable-dawn-features=disable_workgroup_init',
];

/** Starts playwright-core's Chromium, headless. `more`: further arguments. */
export async function launchChromium(more = []) {
  const { chromium } = await import('playwright-core');
  return chromium.launch({ executablePath: chromiumPath, args: [...chromiumArguments, ...more] });
}

/**
 * Starts a browser. Resolves to { name, version, open(address), close() }. A page is { evaluate(call,
 * argument), waitFor(call, argument, seconds), reload(), screenshot(file), setFile(selector, file),
 * close() }. `webgpu`: with a software adapter for WebGPU (not WebKitGTK, which has no WebGPU).
 */
export async function launch(engine, { webgpu = false } = {}) {
  const start = { chromium: launchDrivenChromium, firefox: launchFirefox, webkit: launchWebKit };
  return start[engine](webgpu);
}

/** Mesa's lavapipe, which is Firefox's software adapter. Without it Firefox has no adapter. */
const lavapipe = first(...['x86_64', 'aarch64'].map((cpu) => `/usr/share/vulkan/icd.d/lvp_icd.${cpu}.json`));

/** What `engine` still needs for WebGPU without a GPU, as text; '' if it can be started with it. */
export function missingWebgpu(engine) {
  if (engine === 'webkit') return 'WebKitGTK has no WebGPU';
  if (engine === 'firefox' && !missing(engine) && !lavapipe)
    return 'lavapipe is missing (Debian: mesa-vulkan-drivers, libvulkan1)';
  return missing(engine);
}

/**
 * Starts Firefox with a fresh profile. It is driven by Marionette, its own form of W3C WebDriver: lines
 * `LENGTH:JSON` over TCP. Not by WebDriver BiDi: in a BiDi session `new Worker` in a worker hangs at random
 * (Firefox 153: one of some 50), which no Firefox without such a session does.
 */
async function launchFirefox(webgpu) {
  const profile = await mkdtemp(path.join(tmpdir(), 'wasm-chord-firefox-'));
  const preferences = [...FIREFOX_PREFERENCES, ...(webgpu ? FIREFOX_WEBGPU : [])];
  const lines = preferences.map((line) => `user_pref(${line});\n`);
  await writeFile(path.join(profile, 'user.js'), lines.join(''));
  const program = spawn(firefoxPath, ['--headless', '--no-remote', '--profile', profile, '--marionette'], {
    stdio: 'ignore',
    env: {
      ...process.env,
      MOZ_CRASHREPORTER_DISABLE: '1',
      ...(webgpu && lavapipe ? { VK_ICD_FILENAMES: lavapipe } : {}),
    },
  });
  const kill = () => program.kill('SIGKILL');
  process.once('exit', kill);
  const ended = new Promise((resolve) => program.once('exit', resolve));
  const portFile = path.join(profile, 'MarionetteActivePort');
  const port = await waitIn(
    { evaluate: () => readFile(portFile, 'utf8').catch(() => '') },
    'its port',
    null,
    60,
  );
  const send = await marionette(Number(port));
  const { capabilities } = await send('WebDriver:NewSession', {
    timeouts: { script: 600_000, pageLoad: 60_000 },
  });
  return windowOf('Firefox', capabilities.browserVersion, {
    execute: async (script, args) => (await send('WebDriver:ExecuteAsyncScript', { script, args })).value,
    goto: (url) => send('WebDriver:Navigate', { url }),
    reload: () => send('WebDriver:Refresh', {}),
    screenshot: async () => (await send('WebDriver:TakeScreenshot', { full: false })).value,
    async setFile(selector, file) {
      const { value } = await send('WebDriver:FindElement', { using: 'css selector', value: selector });
      await send('WebDriver:ElementSendKeys', { id: Object.values(value)[0], text: file });
    },
    async close() {
      await Promise.race([
        send('Marionette:Quit', { flags: ['eForceQuit'] }).catch(() => undefined),
        pause(3000),
      ]);
      setTimeout(kill, 3000).unref();
      await ended;
      await rm(profile, { recursive: true, force: true });
    },
  });
}

/** Connects to Marionette. Resolves to send(name, parameters), which throws its error's message. */
async function marionette(port) {
  const socket = connect(port, '127.0.0.1');
  const pending = new Map();
  let bytes = Buffer.alloc(0);
  let last = 0;
  socket.on('data', (more) => {
    bytes = Buffer.concat([bytes, more]);
    for (;;) {
      const colon = bytes.indexOf(':');
      const length = Number(bytes.subarray(0, colon));
      if (colon < 0 || bytes.length < colon + 1 + length) return;
      const message = JSON.parse(bytes.subarray(colon + 1, colon + 1 + length));
      bytes = bytes.subarray(colon + 1 + length);
      if (!Array.isArray(message)) continue; // its greeting
      const [, id, error, result] = message;
      if (error) pending.get(id).reject(new Error(`Marionette: ${error.error}: ${error.message}`));
      else pending.get(id).resolve(result);
      pending.delete(id);
    }
  });
  socket.on('close', () => {
    for (const { reject } of pending.values()) reject(new Error('Firefox has ended'));
  });
  await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return (name, parameters) =>
    new Promise((resolve, reject) => {
      pending.set(++last, { resolve, reject });
      const text = JSON.stringify([0, last, name, parameters]);
      socket.write(`${Buffer.byteLength(text)}:${text}`);
    });
}

/** Firefox calls its maker's hosts at a start with default preferences. */
const FIREFOX_PREFERENCES = [
  '"app.normandy.enabled", false',
  '"app.update.enabled", false',
  '"browser.aboutwelcome.enabled", false',
  '"browser.safebrowsing.malware.enabled", false',
  '"browser.safebrowsing.phishing.enabled", false',
  '"browser.search.update", false',
  '"browser.shell.checkDefaultBrowser", false',
  '"datareporting.policy.dataSubmissionEnabled", false',
  '"extensions.systemAddon.update.enabled", false',
  '"extensions.update.enabled", false',
  '"network.captive-portal-service.enabled", false',
  '"marionette.port", 0',
  '"network.connectivity-service.enabled", false',
  '"services.settings.server", "data:,#"',
  '"toolkit.telemetry.reportingpolicy.firstRun", false',
];

/**
 * On Linux a release of Firefox has no navigator.gpu without the first one, and no adapter without the last
 * one: its blocklist names software adapters.
 */
const FIREFOX_WEBGPU = [
  '"dom.webgpu.enabled", true',
  '"dom.webgpu.workers.enabled", true',
  '"gfx.webgpu.ignore-blocklist", true',
];

/** Waits in steps until `call` returns something true in the page, and returns it. */
async function waitIn(page, call, argument, seconds = 120) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const value = await page.evaluate(call, argument);
    if (value) return value;
    if (Date.now() > end) throw new Error(`not true within ${seconds} s: ${call}`);
    await pause(50);
  }
}

async function launchDrivenChromium(webgpu) {
  const browser = await launchChromium(webgpu ? webgpuArguments : []);
  // One context: what a page stores, the next one finds.
  const context = await browser.newContext();
  return {
    name: 'Chromium',
    version: browser.version(),
    async open(address) {
      const playwright = await context.newPage();
      await playwright.goto(address);
      const page = {
        evaluate: (call, argument) => playwright.evaluate(call, argument),
        waitFor: (call, argument, seconds) => waitIn(page, call, argument, seconds),
        reload: () => playwright.reload(),
        screenshot: (file) => playwright.screenshot({ path: file }),
        setFile: (selector, file) => playwright.setInputFiles(selector, file),
        close: () => playwright.close(),
      };
      return page;
    },
    close: () => browser.close(),
  };
}

// ---- WebKit ----------------------------------------------------------------------------------------------

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Starts Xvfb on a display that is free. Resolves to [process, display]. */
async function startDisplay() {
  const server = spawn(
    xvfbPath,
    ['-displayfd', '3', '-screen', '0', '1280x900x24', '-nolisten', 'tcp', '-ac'],
    {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
    },
  );
  const display = await new Promise((resolve, reject) => {
    server.stdio[3].once('data', (bytes) => resolve(`:${String(bytes).trim()}`));
    server.once('exit', (code) => reject(new Error(`Xvfb ended with exit status ${code}`)));
  });
  return [server, display];
}

/** One command of W3C WebDriver. Throws its error's message. */
async function command(base, method, route, body) {
  const response = await fetch(base + route, {
    method,
    ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  const { value } = await response.json();
  if (response.ok) return value;
  throw new Error(`WebDriver, ${method} ${route}: ${value?.error}: ${value?.message}`);
}

async function launchWebKit() {
  const [display, name] = xvfbPath ? await startDisplay() : [undefined, process.env.DISPLAY];
  const port = await freePort();
  const driver = spawn(webkitDriverPath, [`--port=${port}`, '--host=127.0.0.1'], {
    stdio: 'ignore',
    // WebKit's own sandbox needs user namespaces, which containers refuse.
    env: { ...process.env, DISPLAY: name, WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS: '1', NO_AT_BRIDGE: '1' },
  });
  const stop = () => {
    driver.kill();
    display?.kill();
  };
  process.once('exit', stop);
  const base = `http://127.0.0.1:${port}`;
  try {
    await waitIn(
      {
        evaluate: () =>
          fetch(`${base}/status`).then(
            (r) => r.ok,
            () => false,
          ),
      },
      'the driver',
      null,
      30,
    );
    // The driver knows its MiniBrowser; `--automation` makes it open no window of its own.
    const { sessionId, capabilities } = await command(base, 'POST', '/session', {
      capabilities: { alwaysMatch: { timeouts: { script: 600_000, pageLoad: 60_000 } } },
    });
    const send = (method, route, body) => command(`${base}/session/${sessionId}`, method, route, body);
    return windowOf('WebKit', capabilities.browserVersion, {
      execute: (script, args) => send('POST', '/execute/async', { script, args }),
      goto: (url) => send('POST', '/url', { url }),
      reload: () => send('POST', '/refresh', {}),
      screenshot: () => send('GET', '/screenshot'),
      async setFile(selector, file) {
        const element = await send('POST', '/element', { using: 'css selector', value: selector });
        await send('POST', `/element/${Object.values(element)[0]}/value`, { text: file });
      },
      async close() {
        await send('DELETE', '').catch(() => undefined);
        stop();
      },
    });
  } catch (error) {
    stop();
    throw error;
  }
}

/** A browser of WebDriver with one window: open() leaves the page before. `commands`: its protocol. */
function windowOf(name, version, commands) {
  const page = {
    async evaluate(call, argument = null) {
      const script = `const done = arguments[1];
        (async () => (${call})(JSON.parse(arguments[0])))().then(
          (value) => done(JSON.stringify({ value })),
          (error) => done(JSON.stringify({ error: String(error) + '\\n' + error?.stack })));`;
      const { value, error } = JSON.parse(await commands.execute(script, [JSON.stringify(argument)]));
      if (error !== undefined) throw new Error(error);
      return value;
    },
    waitFor: (call, argument, seconds) => waitIn(page, call, argument, seconds),
    reload: () => commands.reload(),
    screenshot: async (file) => writeFile(file, await commands.screenshot(), 'base64'),
    setFile: (selector, file) => commands.setFile(selector, file),
    close: () => commands.goto('about:blank'),
  };
  return {
    name,
    version,
    async open(address) {
      await commands.goto(address);
      return page;
    },
    close: () => commands.close(),
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  // `node tools/browsers.mjs missing firefox` prints what is missing; exit status 1 if something is.
  const text = missing(process.argv[3]);
  if (text) console.log(text);
  process.exitCode = text ? 1 : 0;
}
