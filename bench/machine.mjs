// SPDX-License-Identifier: Apache-2.0
// machine.mjs: describes this machine, and measures how busy it is.
import { readFileSync } from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { QUIET } from './plan.mjs';

// CPU flags that decide how fast a dot of bytes is. V8 uses AVX-VNNI, but not the AVX-512 form
// (docs/SPEED.md).
const TOLD = ['avx2', 'avx512f', 'avx_vnni', 'avx512_vnni', 'asimddp', 'i8mm'];

/**
 * { cpu, cores, flags, vnni, memoryBytes, system, node, load }. flags and vnni are null where the system has
 * no such file.
 */
export function machineFacts() {
  let cpu = os.cpus()[0]?.model?.trim(),
    flags = null;
  try {
    const info = readFileSync('/proc/cpuinfo', 'utf8');
    const all = new Set(/^(?:flags|Features)\s*:\s*(.*)$/m.exec(info)?.[1].split(' '));
    flags = TOLD.filter((flag) => all.has(flag));
    cpu ||= /^model name\s*:\s*(.*)$/m.exec(info)?.[1];
  } catch {
    /* not Linux */
  }
  return {
    cpu: cpu || os.arch(),
    cores: os.availableParallelism?.() ?? os.cpus().length,
    flags,
    vnni: flags && process.arch === 'x64' ? flags.some((flag) => flag.endsWith('vnni')) : null,
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    load: os.loadavg(),
  };
}

const times = () =>
  os.cpus().reduce(
    (sum, { times }) => {
      const total = Object.values(times).reduce((a, b) => a + b, 0);
      return { busy: sum.busy + total - times.idle, total: sum.total + total };
    },
    { busy: 0, total: 0 },
  );

/**
 * Cores that other processes use during the next `ms`. The load average would still include what ended a
 * minute ago.
 */
export async function busyCores(ms) {
  const before = times();
  await sleep(ms);
  const after = times();
  return ((after.busy - before.busy) / Math.max(1, after.total - before.total)) * os.cpus().length;
}

/**
 * Ticks of the kernel, all processors together (proc(5), /proc/stat): wanted by any process, and of these
 * given to other guests by the machine host.
 */
export function wantedTicks(stat) {
  const [user, nice, system, , , irq, softirq, stolen = 0] = stat
    .split('\n', 1)[0]
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { wanted: user + nice + system + irq + softirq + stolen, stolen };
}

/**
 * Starts to watch. The returned function returns the share of the wanted time that the machine host has given
 * to other guests since, or null where the system doesn't report it.
 */
export function watchStolen() {
  const read = () => {
    try {
      return wantedTicks(readFileSync('/proc/stat', 'utf8'));
    } catch {
      return null;
    }
  };
  const before = read();
  return () => {
    const after = before && read();
    return after && (after.stolen - before.stolen) / Math.max(1, after.wanted - before.wanted);
  };
}

/**
 * Waits until the machine is quiet for `ms`, at most `limitMs`. Returns the number of cores that are busy
 * then.
 */
export async function waitForQuiet({ ms, limitMs, onWait }) {
  const end = performance.now() + limitMs;
  for (let told = false; ; told = true) {
    const busy = await busyCores(ms);
    if (busy <= QUIET || performance.now() > end) return busy;
    if (!told) onWait?.(busy);
  }
}
