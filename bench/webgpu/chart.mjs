// SPDX-License-Identifier: Apache-2.0
// chart.mjs: rates that were measured beside those that cost.mjs predicts, as the text of an SVG: on one axis
// of powers of ten, because a phone and a data centre's GPU are a thousand times apart. In a page its colours
// are the page's; as a file it has its own.

// Pixels: the names' column, the edge on the right, the axis above, a row, a line of the legend.
const NAMES = 110,
  RIGHT = 30,
  AXIS = 26,
  ROW = 34,
  LEGEND = 20,
  LETTER = 6.6;
const INK = 'var(--ink, #222)',
  SOFT = 'var(--soft, #666)',
  LINE = 'var(--line, #ddd)',
  OURS = 'var(--accent, #1d5fbf)',
  PEER = 'var(--fail, #b3261e)';

/** Marks of radius 5 about (0, 0), in the order of the legend. */
const SHAPES = [
  'M0-5.5 5.5 4-5.5 4Z',
  'M-4.5-4.5h9v9h-9Z',
  'M0-6 6 0 0 6-6 0Z',
  'M-5-5 5 5M5-5-5 5',
  'M-5 0h10M0-5v10',
];
const CIRCLE = 'M-5.5 0a5.5 5.5 0 1 0 11 0a5.5 5.5 0 1 0-11 0Z';

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const shown = (x) =>
  x >= 1e6
    ? `${Math.round(x / 1e6)}M`
    : x >= 1e4
      ? `${Math.round(x / 1e3)}k`
      : x.toFixed(x < 10 && x % 1 ? 1 : 0);

/**
 * The SVG's text. rows: [{ name, measured, predicted: { device: rate }, peers?: { name: rate } }], all in
 * tokens/s.
 */
export function chartText({ title, rows, width = 640 }) {
  const devices = [...new Set(rows.flatMap(({ predicted }) => Object.keys(predicted)))];
  const peers = [...new Set(rows.flatMap((row) => Object.keys(row.peers ?? {})))];
  const all = rows.flatMap(({ measured, predicted, peers: others = {} }) =>
    [measured, ...Object.values(predicted), ...Object.values(others)].filter((x) => x > 0),
  );
  const from = Math.floor(Math.log10(Math.min(...all, 1)));
  const to = Math.max(from + 1, Math.ceil(Math.log10(Math.max(...all))));
  const x = (rate) => NAMES + ((Math.log10(rate) - from) / (to - from)) * (width - NAMES - RIGHT);
  const parts = [];
  const bottom = AXIS + rows.length * ROW;
  const step = Math.ceil((46 * (to - from)) / (width - NAMES - RIGHT));
  for (let power = from; power <= to; power += step) {
    const at = x(10 ** power).toFixed(1);
    parts.push(
      `<path d="M${at} ${AXIS - 4}V${bottom}" stroke="${LINE}"/>`,
      `<text x="${at}" y="14" text-anchor="middle" fill="${SOFT}">${shown(10 ** power)}</text>`,
    );
  }
  const mark = (path, at, y, fill, stroke, said) =>
    `<path transform="translate(${at.toFixed(1)} ${y})" d="${path}" fill="${fill}" stroke="${stroke}" stroke-width="1.5">${said ? `<title>${escaped(said)}</title>` : ''}</path>`;
  rows.forEach(({ name, measured, predicted, peers: others = {} }, i) => {
    const y = AXIS + i * ROW + ROW / 2 + 4;
    parts.push(
      `<text x="0" y="${y + 4}" fill="${INK}">${escaped(name)}</text>`,
      `<path d="M${NAMES} ${y}H${width - RIGHT}" stroke="${LINE}" stroke-dasharray="2 4"/>`,
    );
    devices.forEach((device, k) => {
      const rate = predicted[device];
      const said = `${name}: predicted on ${device} ${shown(rate ?? 0)} tokens/s`;
      if (rate > 0) parts.push(mark(SHAPES[k % SHAPES.length], x(rate), y, 'none', SOFT, said));
    });
    for (const [peer, rate] of Object.entries(others))
      if (rate > 0)
        parts.push(mark(SHAPES[1], x(rate), y, PEER, PEER, `${name}: ${peer} ${shown(rate)} tokens/s`));
    if (!(measured > 0)) return;
    parts.push(
      mark(CIRCLE, x(measured), y, OURS, OURS, `${name}: measured ${shown(measured)} tokens/s`),
      `<text x="${x(measured).toFixed(1)}" y="${y - 9}" text-anchor="middle" font-weight="600" fill="${OURS}">${shown(measured)}</text>`,
    );
  });
  const legend = [
    [CIRCLE, OURS, OURS, 'measured here'],
    ...peers.map((peer) => [SHAPES[1], PEER, PEER, `${peer}, here`]),
    ...devices.map((device, k) => [SHAPES[k % SHAPES.length], 'none', SOFT, `${device}, predicted`]),
  ];
  const column = 32 + LETTER * Math.max(...legend.map(([, , , text]) => text.length));
  const columns = Math.max(1, Math.floor(width / column));
  legend.forEach(([path, fill, stroke, text], i) => {
    const [left, y] = [(i % columns) * column, bottom + 18 + Math.floor(i / columns) * LEGEND];
    parts.push(
      mark(path, left + 7, y, fill, stroke),
      `<text x="${left + 20}" y="${y + 4}" fill="${SOFT}">${escaped(text)}</text>`,
    );
  });
  const height = bottom + 14 + Math.ceil(legend.length / columns) * LEGEND;
  const said = rows
    .map(({ name, measured }) => `${name}: ${measured > 0 ? shown(measured) : 'none'}`)
    .join('; ');
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    width,
    height,
    viewBox: `0 0 ${width} ${height}`,
    role: 'img',
    'aria-label': `${title}, tokens/s. ${said}`,
    'font-family': 'system-ui, sans-serif',
    'font-size': 12.5,
  };
  const head = Object.entries(attributes).map(([name, value]) => ` ${name}="${escaped(value)}"`);
  return `<svg${head.join('')}>${parts.join('')}</svg>`;
}

/** Rows for chartText: figures of measureModel with `predicted` of predict(). `peers`: { name: figures }. */
export function rowsOf(key, { predicted, ...figures }, peers = {}) {
  return Object.entries(figures[key]).map(([n, measured]) => ({
    name: key === 'prefill' ? `prompt of ${n}` : `decode at ${n}`,
    measured,
    predicted: Object.fromEntries(predicted.map((one) => [one.device, one[`${key}Of`][n]])),
    peers: Object.fromEntries(
      Object.entries(peers).flatMap(([peer, found]) => (found[key]?.[n] ? [[peer, found[key][n]]] : [])),
    ),
  }));
}
