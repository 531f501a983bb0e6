// SPDX-License-Identifier: Apache-2.0
// chart.mjs: a record's summary as charts of bars in plain SVG, and as a table. Widths are per cent, so a
// chart is as wide as its place.
//
// A bar is the median of one measure with one number of threads, its line runs from the smallest to the
// largest value. A pale bar is the machine's limit for that measure, where report.mjs knows it.
import { figure } from './report.mjs';

const CHARTS = [
  { title: 'Reading a prompt', unit: 'tokens/s', note: 'more is better', of: /^prefill/ },
  { title: 'Writing an answer', unit: 'tokens/s', note: 'more is better', of: /^decode/ },
  { title: 'Waiting', unit: 's', note: 'less is better', of: /^(load|start)$/ },
  { title: 'First token, abort', unit: 'ms', note: 'less is better', of: /^(ttft|abort)$/ },
  {
    title: "Longest gap of this page's own thread",
    unit: 'ms',
    note: 'less is better; a reader feels more than 50 ms',
    of: /^gap/,
    mark: 50,
  },
  { title: 'Memory', unit: 'MB', note: 'less is better', of: /^memory$/ },
];

// Pixels: a title's line, a bar's line, the column of thread counts.
const TITLE = 22,
  ROW = 19;

/** One figure per chart that has values. */
export function chartsOf(summary) {
  return CHARTS.flatMap((chart) => {
    const rows = summary.filter(({ measure, engines }) => chart.of.test(measure) && engines.ours);
    return rows.length === 0 ? [] : [figureOf(chart, rows)];
  });
}

function figureOf({ title, unit, note, mark }, rows) {
  const limitOf = ({ engines, shares }) => (shares.ours ? engines.ours.median / shares.ours : 0);
  const scale = Math.max(...rows.map((row) => Math.max(row.engines.ours.max, limitOf(row))), mark ?? 0);
  const svg = draw('svg', { class: 'chart', role: 'img' });
  // style.css places bars between two columns, of thread counts and of numbers: --from and --to are shares
  // of its width.
  const bar = (kind, from, to, y, height, rx = 0) => {
    const rect = draw('rect', { class: `across ${kind}`, y, height, rx });
    rect.style.setProperty('--from', (from / scale).toFixed(4));
    rect.style.setProperty('--to', (to / scale).toFixed(4));
    svg.append(rect);
  };
  const said = [];
  let y = 0,
    measure;
  for (const row of rows) {
    if (row.measure !== measure) {
      measure = row.measure;
      svg.append(draw('text', { x: 0, y: y + 15 }, shortTitle(row)));
      y += TITLE;
    }
    const { median, min, max } = row.engines.ours;
    const limit = limitOf(row);
    const value = `${figure(median)}${limit > 0 ? ` (${Math.round(row.shares.ours * 100)} %)` : ''}`;
    svg.append(draw('text', { class: 'row', x: 0, y: y + 11 }, threadsOf(row)));
    if (limit > 0) bar('limit', 0, limit, y, 14, 3);
    bar('bar', 0, median, y, 14, 3);
    bar('range', min, max, y + 6.25, 1.5);
    svg.append(draw('text', { class: 'value', x: '100%', y: y + 11 }, value));
    said.push(`${shortTitle(row)}, ${threadsOf(row)}: ${value} ${unit}`);
    y += ROW;
  }
  if (mark) bar('mark', mark, mark, 0, y);
  svg.setAttribute('height', y);
  svg.setAttribute('aria-label', `${title}. ${said.join('; ')}`);

  const place = document.createElement('figure');
  place.className = 'panel';
  const caption = document.createElement('figcaption');
  const hasLimit = rows.some((row) => limitOf(row) > 0);
  const small = document.createElement('small');
  small.textContent = `${unit}; ${note}${hasLimit ? "; pale: this machine's limit" : ''}`;
  caption.append(title, small);
  place.append(caption, svg);
  return place;
}

/** Fills `table`: a row per measure, per number of threads the median, the range and the limit's share. */
export function fillTable(table, { settings: { measures, threads }, summary }) {
  const row = (tag, ...cells) => {
    const line = document.createElement('tr');
    line.append(...cells.map((cell, i) => cellOf(i === 0 ? 'th' : tag, cell, i === 0 && tag === 'td')));
    return line;
  };
  const head = document.createElement('thead'),
    body = document.createElement('tbody');
  head.append(
    row(
      'th',
      'median (smallest..largest)',
      ...threads.flatMap((n) => [threadsOf({ threads: n }), 'of limit']),
    ),
  );
  for (const measure of measures) {
    const at = threads.map((n) => summary.find((one) => one.measure === measure && one.threads === n));
    if (!at.some(({ engines }) => engines.ours)) continue;
    const cells = at.flatMap(({ engines: { ours }, shares }) => [
      ours ? [figure(ours.median), `(${figure(ours.min)}..${figure(ours.max)})`] : '',
      shares.ours ? `${Math.round(shares.ours * 100)} %` : '',
    ]);
    body.append(row('td', at[0].title, ...cells));
  }
  table.replaceChildren(head, body);
}

function cellOf(tag, content, isRowHead) {
  const cell = document.createElement(tag);
  if (tag === 'th') cell.scope = isRowHead ? 'row' : 'col';
  const [text, small] = Array.isArray(content) ? content : [content];
  cell.append(text);
  if (small) cell.append(' ', Object.assign(document.createElement('small'), { textContent: small }));
  return cell;
}

const threadsOf = ({ threads }) => (threads === 1 ? '1 thread' : `${threads} threads`);
/** The unit stands in the chart's head. */
const shortTitle = ({ title }) => title.replace(/^longest gap, |, (tokens\/s|ms|s|MB)$/g, '');

function draw(tag, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  if (text !== undefined) node.textContent = text;
  return node;
}
