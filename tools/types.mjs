// SPDX-License-Identifier: Apache-2.0
// types.mjs: build/types/ -> dist/index.d.ts, one file with the public types, the report of the API
// (docs/api/) and its reference (docs/API.md).
// `node tools/types.mjs OUTPUT [--report | --check]`: --report writes the two pages, --check compares them.
//
// API Extractor rolls the declarations up and leaves out what is @internal. Two things are done to its
// output, so that it compiles in projects of TypeScript 5.0 and newer, with and without the DOM library,
// without skipLibCheck:
//   - A name that only the DOM library (or Node's types) declares is the global type where there is one,
//     and a smaller type of our own elsewhere.
//   - Typed arrays have no type parameter before TypeScript 5.7. Symbol.dispose isn't declared before 5.2.
import { Extractor, ExtractorConfig } from '@microsoft/api-extractor';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createRequire } from 'node:module';
import path from 'node:path';
import { reference } from './reference.mjs';

// API Extractor's own: the compiler of this project has no such interface.
const ts = createRequire(createRequire(import.meta.url).resolve('@microsoft/api-extractor'))('typescript');
const root = fileURLToPath(new URL('..', import.meta.url));
const [output, flag] = process.argv.slice(2);
const entry = path.join(root, 'build/types/index.d.ts');
const work = path.join(root, 'build/api');
const report = 'wasm-chord.api.md';
const compilerOptions = {
  strict: true,
  target: 'es2022',
  module: 'esnext',
  moduleResolution: 'bundler',
  lib: ['es2022', 'dom', 'dom.asynciterable', 'esnext.disposable'],
  types: ['node'],
  skipLibCheck: true,
};

await mkdir(work, { recursive: true });
const quiet = { logLevel: 'none' };
const config = ExtractorConfig.prepare({
  configObject: {
    projectFolder: root,
    newlineKind: 'lf',
    mainEntryPointFilePath: entry,
    compiler: { overrideTsconfig: { compilerOptions, files: [entry] } },
    apiReport: {
      enabled: true,
      reportFolder: work,
      reportTempFolder: path.join(work, 'temp'),
      reportFileName: report,
    },
    docModel: { enabled: true, apiJsonFilePath: path.join(work, 'wasm-chord.api.json') },
    dtsRollup: { enabled: true, untrimmedFilePath: '', publicTrimmedFilePath: path.join(work, 'index.d.ts') },
    tsdocMetadata: { enabled: false },
    messages: {
      compilerMessageReporting: { default: { logLevel: 'error' } },
      extractorMessageReporting: { default: quiet },
      tsdocMessageReporting: { default: quiet },
    },
  },
  configObjectFullPath: undefined,
  packageJsonFullPath: path.join(root, 'package.json'),
});
const messages = [];
const messageCallback = (message) => {
  if (message.logLevel === 'error') messages.push(message.text);
  message.handled = true;
};
const { succeeded } = Extractor.invoke(config, { localBuild: true, messageCallback });
if (!succeeded) fail(messages.join('\n'));

/** `text` without the top-level declarations that no exported one reaches. API Extractor keeps them. */
function prune(text) {
  const file = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.ES2022, true);
  const names = (node) => {
    const found = new Set();
    const visit = (child) => {
      if (ts.isIdentifier(child)) found.add(child.text);
      ts.forEachChild(child, visit);
    };
    visit(node);
    return found;
  };
  const declared = (node) => node.name?.text ?? node.declarationList?.declarations[0].name.text;
  const isExport = (node) =>
    ts.isExportDeclaration(node) ||
    ts.isExportAssignment(node) ||
    node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
  const kept = new Set(file.statements.filter(isExport));
  for (const node of kept) {
    const used = names(node);
    for (const other of file.statements) if (used.has(declared(other))) kept.add(other);
  }
  return file.statements
    .filter((node) => kept.has(node))
    .map((node) => node.getFullText())
    .join('');
}

/** The members that callers use. The names are those of the global types. */
const globals = {
  AbortSignal: `{ readonly aborted: boolean; readonly reason: any; throwIfAborted(): void;
    addEventListener(type: 'abort', listener: () => void): void;
    removeEventListener(type: 'abort', listener: () => void): void; }`,
  AbortController: '{ readonly signal: AbortSignal; abort(reason?: any): void; }',
  Blob: '{ readonly size: number; readonly type: string; slice(start?: number, end?: number): Blob; }',
  FileSystemDirectoryHandle: "{ readonly kind: 'directory'; readonly name: string; }",
  FileSystemFileHandle: "{ readonly kind: 'file'; readonly name: string; getFile(): Promise<Blob>; }",
  Response:
    '{ readonly ok: boolean; readonly status: number; readonly body: unknown; readonly headers: object; }',
  URL: '{ readonly href: string; readonly protocol: string; readonly pathname: string; }',
};

const rolledUp = (await readFile(path.join(work, 'index.d.ts'), 'utf8')).replaceAll('\r\n', '\n');
const text = prune(rolledUp)
  .replace(/^\/\/\/ <reference .*\n/gm, '')
  .replaceAll('/* Excluded from this release type: __constructor */', 'private constructor();')
  .replace(/^ *\/\* Excluded from this release type: .*\*\/\n/gm, '')
  .replace(/\b(Uint8|Int32|Float32)Array<Array(Buffer|BufferLike)>/g, '$1Array')
  .replace(/\bAsyncIterableIterator<(\w+), [^>]*>/g, 'AsyncIterableIterator<$1>')
  .replace(/\n\n\n+/g, '\n\n');
const used = Object.keys(globals).filter((name) => new RegExp(`\\b${name}\\b`).test(text));
const head = [
  '/** The global type `Name` where the project has one, otherwise `Other`. */',
  'type GlobalOr<Name extends string, Other> =',
  '  typeof globalThis extends { [K in Name]: { prototype: infer T } } ? T : Other;',
  ...used.map((name) => `type ${name} = GlobalOr<'${name}', ${globals[name]}>;`),
  // The DOM library's is the same union.
  "type RequestCredentials = 'include' | 'omit' | 'same-origin';",
  // Declared once more, with members of the same types: the declarations merge.
  'declare global {',
  '  interface ReadableStream<R = any> { readonly locked: boolean; }',
  '  interface WritableStream<W = any> { readonly locked: boolean; }',
  '  interface SymbolConstructor { readonly dispose: unique symbol; readonly asyncDispose: unique symbol; }',
  '  interface Disposable { [Symbol.dispose](): void; }',
  '  namespace WebAssembly { interface Module {} }',
  '}',
];
await writeFile(path.join(root, output), `${head.join('\n')}\n\n${text}`);

const pages = {
  [`docs/api/${report}`]: (await readFile(path.join(work, report), 'utf8')).replaceAll('\r\n', '\n'),
  'docs/API.md': reference(ts, text),
};
for (const [page, made] of Object.entries(pages)) {
  const kept = path.join(root, page);
  if (flag === '--report') {
    await mkdir(path.dirname(kept), { recursive: true });
    await writeFile(kept, made);
  } else if (flag === '--check' && made !== (await readFile(kept, 'utf8').catch(() => ''))) {
    fail(`${page} differs from the code: run make abi, and look at what changed`);
  }
}

function fail(why) {
  console.error(`types.mjs: ${why}`);
  process.exit(1);
}
