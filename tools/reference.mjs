// SPDX-License-Identifier: Apache-2.0
// reference.mjs: the public types, rolled up into one file -> docs/API.md, a page for people.
// tools/types.mjs calls it; `make abi` writes the page, `make check` compares it.
//
// The text of an entry is its comment in the code. A class gets a heading per method; an interface gets a
// table with a row per field, in the order of the code.

/** The order of the page. A name that stands here nowhere comes under "Other types". */
const SECTIONS = [
  [
    'Load a model',
    ['loadModel', 'ModelSource', 'LoadModelOptions', 'LoadProgress', 'capabilities', 'Capabilities'],
  ],
  ['Before a load', ['estimateModel', 'EstimateModelOptions', 'ModelEstimate']],
  [
    'The cache',
    [
      'downloadModel',
      'DownloadModelOptions',
      'listModels',
      'deleteModel',
      'cacheUsage',
      'persistCache',
      'CachedModel',
    ],
  ],
  [
    'A loaded model',
    ['LanguageModel', 'LanguageModelInfo', 'GenerateOptions', 'Generation', 'TokenEvent', 'GenerationStats'],
  ],
  ['Sessions', ['Session', 'SessionOptions']],
  ['Chat', ['ChatCompletions', 'ChatCompletionCreateParams', 'ChatCompletionStream', 'ChatCompletion']],
  [
    'Embeddings',
    [
      'EmbedOptions',
      'EmbedProgress',
      'Pooling',
      'TextInput',
      'RerankOptions',
      'RankedDocument',
      'EmbeddingCreateParams',
      'EmbeddingsResponse',
      'Embedding',
    ],
  ],
  ['Errors', ['ChordError', 'ChordErrorCode']],
  [
    'Level 1',
    ['init', 'InitOptions', 'WasmModel', 'AsyncTokenStream', 'format_chat', 'ChatFormat', 'version'],
  ],
];

const cell = (text) => text.replace(/\s+/g, ' ').replaceAll('|', '\\|').trim();
const code = (text) => `\`${cell(text)}\``;
const anchor = (title) =>
  title
    .toLowerCase()
    .replace(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
/** One line, without comments. */
const flat = (node, file) =>
  node
    .getText(file)
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/\s+/g, ' ')
    .trim();

/** Returns the page. `ts`: a TypeScript compiler. `text`: declarations, each exported name in it. */
export function reference(ts, text) {
  const file = ts.createSourceFile('index.d.ts', text, ts.ScriptTarget.ES2022, true);
  const entries = new Map();
  for (const node of file.statements) {
    const name = node.name?.text;
    if (name === undefined || !node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) {
      if (name !== 'init') continue; // the default export
    }
    // A function with overloads, or an interface that is merged with a class.
    entries.set(name, [...(entries.get(name) ?? []), node]);
  }
  const named = new Set(SECTIONS.flatMap(([, names]) => names));
  const others = [...entries.keys()].filter((name) => !named.has(name));
  const sections = [...SECTIONS, ['Other types', others]]
    .map(([title, names]) => [title, names.filter((name) => entries.has(name))])
    .filter(([, names]) => names.length > 0);

  const isHidden = (node) =>
    /@internal/.test(commentOf(node)) ||
    node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.PrivateKeyword) ||
    (node.name && ts.isPrivateIdentifier(node.name));

  function commentOf(node) {
    const ranges = ts.getLeadingCommentRanges(text, node.getFullStart()) ?? [];
    const last = ranges
      .map(({ pos, end }) => text.slice(pos, end))
      .findLast((part) => part.startsWith('/**'));
    return (last ?? '')
      .replace(/^\/\*\*|\*\/$/g, '')
      .replace(/^[ \t]*\*? ?/gm, '')
      .trim();
  }

  /** The paragraphs of a comment, its parameters and what it throws, as Markdown. */
  function prose(node) {
    const [main, ...tags] = commentOf(node).split(/^@(?=\w)/m);
    const lines = tags.flatMap((tag) => {
      const [, name, rest] = /^(\w+)\s+([\s\S]*)$/.exec(tag.trim()) ?? [];
      const told = rest?.replace(/\s+/g, ' ').replace(/^\{(\w+)\}\s*/, '`$1`: ');
      if (name === 'param') return [`- ${told.replace(/^(\w+)\s+/, '`$1`: ')}`];
      if (name === 'throws')
        return [`- Throws ${told.replace(/^(The|A|An) /, (word) => word.toLowerCase())}`];
      if (name === 'returns') return [`- Returns ${told}`];
      return [];
    });
    return [unlinked(main.trim()), lines.map(unlinked).join('\n')].filter(Boolean).join('\n\n');
  }
  const unlinked = (words) => words.replace(/\{@link (\w+)[^}]*\}/g, '`$1`');

  function table(members, head) {
    const rows = members
      .filter((member) => !isHidden(member) && member.name)
      .map((member) => {
        const name = member.name.getText(file) + (member.questionToken ? '?' : '');
        const type = member.type ? flat(member.type, file).replace(/ \| undefined$/, '') : '';
        return `| ${code(name)} | ${code(type)} | ${cell(prose(member).replace(/\n- /g, ' '))} |`;
      });
    return rows.length === 0 ? '' : [`| ${head} | type | |`, '|---|---|---|', ...rows].join('\n');
  }

  /** A signature without `export`, `declare` and the like. */
  const signature = (node) =>
    flat(node, file)
      .replace(/^export (default )?/, '')
      .replace(/^declare /, '');
  /** The default export has no name that braces could import. */
  const isDefault = (name) => new RegExp(`^export default ${name};`, 'm').test(text);
  const importOf = (name) => (isDefault(name) ? `import ${name} from 'wasm-chord';\n\n` : '');

  function classEntry(node) {
    const own = node.members.filter((member) => !isHidden(member) && !ts.isConstructorDeclaration(member));
    const fields = own.filter((member) => ts.isPropertyDeclaration(member) || ts.isGetAccessor(member));
    const methods = own.filter((member) => ts.isMethodDeclaration(member));
    const made = node.members.filter((member) => ts.isConstructorDeclaration(member) && !isHidden(member));
    return [
      prose(node),
      ...made.map((member) =>
        method(
          `new ${node.name.text}`,
          member,
          flat(member, file).replace('constructor', `new ${node.name.text}`),
        ),
      ),
      table(fields, 'field'),
      ...methods.map((member) => method(member.name.getText(file), member, flat(member, file))),
    ];
  }
  const method = (name, member, text) =>
    [`#### ${name}`, fenced(text), prose(member)].filter(Boolean).join('\n\n');
  const fenced = (line, before = '') => ['```ts', before + broken(line), '```'].join('\n');
  /** A long signature, with a line per parameter. */
  const broken = (line) => {
    if (line.length <= 100) return line;
    const parts = /^([^(]*\()(.*)(\): [^()]*(?:\([^()]*\)[^()]*)*;)$/.exec(line);
    return parts ? `${parts[1]}\n  ${parts[2].replace(/, (?=\w+\??:)/g, ',\n  ')}\n${parts[3]}` : line;
  };

  function entry(name) {
    const parts = [`### ${name}`];
    for (const node of entries.get(name)) {
      if (ts.isClassDeclaration(node)) parts.push(...classEntry(node));
      else if (ts.isInterfaceDeclaration(node)) parts.push(prose(node), table(node.members, 'field'));
      else if (ts.isFunctionDeclaration(node))
        parts.push(fenced(signature(node), importOf(name)), prose(node));
      else if (ts.isTypeAliasDeclaration(node)) parts.push(prose(node), fenced(signature(node)));
    }
    return parts.filter(Boolean).join('\n\n');
  }

  return [
    '# API reference',
    'This page is made from the comments in the code by `make abi`. A field with `?` is optional.',
    sections
      .map(
        ([title, names]) =>
          `- [${title}](#${anchor(title)}): ${names.map((name) => `[\`${name}\`](#${anchor(name)})`).join(', ')}`,
      )
      .join('\n'),
    ...sections.map(([title, names]) => [`## ${title}`, ...names.map(entry)].join('\n\n')),
  ]
    .join('\n\n')
    .concat('\n');
}
