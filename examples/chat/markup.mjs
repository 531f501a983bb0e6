// SPDX-License-Identifier: Apache-2.0
// markup.mjs: renders a model's text as elements: paragraphs, lists, headings, code with a button to copy it.
// Text is only ever set as text, never as HTML. A block that hasn't ended yet (the answer isn't finished) is
// rendered as far as the text goes; code without a line yet is no block.

export const element = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

/** Returns `text` as a list of block elements. */
export function blocksOf(text) {
  const blocks = [];
  const lines = text.split('\n');
  for (let at = 0; at < lines.length;) {
    const fence = /^\s*```(\S*)/.exec(lines[at]);
    if (fence) {
      let end = at + 1;
      while (end < lines.length && !/^\s*```\s*$/.test(lines[end])) end++;
      const text = lines.slice(at + 1, end).join('\n');
      if (text.trim() !== '') blocks.push(code(fence[1], text));
      at = end + 1;
      continue;
    }
    let end = at;
    while (end < lines.length && lines[end].trim() !== '' && !/^\s*```/.test(lines[end])) end++;
    if (end > at) blocks.push(...paragraphs(lines.slice(at, end)));
    at = Math.max(end, at + (end === at ? 1 : 0));
  }
  return blocks;
}

function code(language, text) {
  return element(
    'div',
    { className: 'code' },
    element(
      'div',
      {},
      element('span', { textContent: language || 'code' }),
      copyButton(() => text),
    ),
    element('pre', { tabIndex: 0 }, element('code', { textContent: text })),
  );
}

/** A button that copies what `textOf()` returns, and says for a moment whether it could. */
export function copyButton(textOf, title = '') {
  const copy = element('button', { type: 'button', textContent: 'Copy' });
  if (title) copy.title = title;
  copy.addEventListener('click', async () => {
    await navigator.clipboard.writeText(textOf()).then(
      () => (copy.textContent = 'Copied'),
      () => (copy.textContent = 'Not allowed'),
    );
    setTimeout(() => (copy.textContent = 'Copy'), 1500);
  });
  return copy;
}

/** Lines without an empty one between them: items of lists, headings, and text. */
function paragraphs(lines) {
  const blocks = [];
  for (const line of lines) {
    const last = blocks.at(-1);
    if (/^\s*([-*_])(?:\s*\1){2,}\s*$/.test(line)) {
      blocks.push(element('hr'));
      continue;
    }
    const heading = /^#{1,6}\s+(.*)$/.exec(line);
    const item = /^\s*(?:[-*•]|(\d+)[.)])\s+(.*)$/.exec(line);
    if (heading) blocks.push(element('h3', {}, ...inline(heading[1])));
    else if (item) {
      const tag = item[1] === undefined ? 'ul' : 'ol';
      const list =
        last?.localName === tag ? last : element(tag, tag === 'ol' ? { start: Number(item[1]) } : {});
      list.append(element('li', {}, ...inline(item[2])));
      if (list !== last) blocks.push(list);
    } else if (last?.localName === 'p') last.append('\n', ...inline(line));
    else blocks.push(element('p', {}, ...inline(line)));
  }
  return blocks;
}

/** `code`, **strong** and *emphasis*; everything else as it is. */
function inline(text) {
  return text
    .split(/(`[^`]+`|\*\*[^*]+\*\*|\*[^*\s](?:[^*]*[^*\s])?\*)/)
    .filter((part) => part !== '')
    .map((part) => {
      if (/^`[^`]+`$/.test(part)) return element('code', { textContent: part.slice(1, -1) });
      if (/^\*\*[^*]+\*\*$/.test(part)) return element('strong', { textContent: part.slice(2, -2) });
      if (/^\*[^*]+\*$/.test(part)) return element('em', { textContent: part.slice(1, -1) });
      return part;
    });
}
