// SPDX-License-Identifier: Apache-2.0
// progress.ts: a load's progress on one line of stderr: share, bytes, rate and time left.
import type { LoadProgress } from '../index.js';
import { faint, isScreen, size } from './terminal.js';

const REDRAW_MS = 100;
/** The rate is that of the last seconds: a load that was read from a cache at first isn't fast for ever. */
const WINDOW_MS = 4000;
const labels: { readonly [phase in LoadProgress['phase']]?: string } = {
  compile: 'starting',
  download: 'downloading',
  read: 'reading',
  upload: 'preparing the GPU',
};

/** What a load tells about its own rate; while it tells nothing, the bar measures. */
interface Rates {
  readonly bytesPerSecond: number | undefined;
  readonly secondsLeft: number | undefined;
}

/** Draws load progress over one line of stderr. Draws nothing where stderr isn't a terminal. */
export class ProgressBar {
  readonly #isShown: boolean;
  readonly #samples: { ms: number; loaded: number }[] = [];
  #isDrawn = false;
  #drawnMs = -Infinity;
  #phase: LoadProgress['phase'] | undefined;

  constructor(isShown: boolean) {
    this.#isShown = isShown && isScreen(process.stderr);
  }

  update(progress: LoadProgress): void {
    if (!this.#isShown) return;
    if (progress.phase === 'ready') return this.clear();
    const ms = performance.now();
    if (this.#phase !== progress.phase) this.#samples.length = 0;
    this.#samples.push({ ms, loaded: progress.loaded });
    while (this.#samples.length > 2 && ms - this.#samples[0]!.ms > WINDOW_MS) this.#samples.shift();
    const isSoon = this.#phase === progress.phase && ms - this.#drawnMs < REDRAW_MS;
    if (isSoon && progress.progress !== 1) return;
    this.#phase = progress.phase;
    this.#drawnMs = ms;
    this.#draw(progress);
  }

  clear(): void {
    if (this.#isDrawn) process.stderr.write('\r\x1b[2K');
    this.#isDrawn = false;
  }

  #draw({ phase, loaded, total, progress, ...given }: LoadProgress & Partial<Rates>): void {
    const label = labels[phase] ?? phase;
    const facts = [total ? `${size(loaded)} of ${size(total)}` : size(loaded)];
    const rate = given.bytesPerSecond ?? this.#rate();
    const left = given.secondsLeft ?? (rate && total ? (total - loaded) / rate : undefined);
    if (rate) facts.push(`${size(rate)}/s`);
    if (left !== undefined && left >= 1) facts.push(`${duration(left)} left`);
    const part = Math.min(1, Math.max(0, progress ?? 0));
    const share = total ? `${String(Math.floor(part * 100)).padStart(3)} %  ` : '';
    const text = `${share}${facts.join('  ')}`;
    // The last column stays free, so that the line never breaks.
    const room = (process.stderr.columns || 80) - 1 - label.length - 2 - text.length;
    const cells = total && room >= 8 ? Math.min(30, room - 1) : 0;
    const filled = Math.round(part * cells);
    const bar = cells > 0 ? `${'█'.repeat(filled)}${faint('░'.repeat(cells - filled))} ` : '';
    const line = room < 0 ? text.slice(0, (process.stderr.columns || 80) - 1) : `${label}  ${bar}${text}`;
    process.stderr.write(`\r\x1b[2K${line}`);
    this.#isDrawn = true;
  }

  /** Bytes per second; undefined until half a second has been seen. */
  #rate(): number | undefined {
    const first = this.#samples[0]!;
    const last = this.#samples.at(-1)!;
    return last.ms - first.ms < 500
      ? undefined
      : (1000 * (last.loaded - first.loaded)) / (last.ms - first.ms);
  }
}

/** Seconds as people say them: 8 s, 3 min 20 s, 2 h 5 min. */
export function duration(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}
