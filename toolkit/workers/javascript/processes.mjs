// Reads the processes of a worker from /proc.

import { readFileSync, readdirSync } from 'node:fs';

/** A process and all below it: id → command line. */
export function tree(root) {
  const below = new Map();
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    // The name of the program stands in brackets and may hold any character (man 5 proc).
    const parent = Number(lines(`/proc/${pid}/stat`)[0]?.split(') ').at(-1).split(' ')[1]);
    below.set(parent, [...(below.get(parent) ?? []), Number(pid)]);
  }
  const processes = new Map();
  const open = [root];
  while (open.length) {
    const pid = open.pop();
    processes.set(pid, lines(`/proc/${pid}/cmdline`).join(' ').replaceAll('\0', ' '));
    open.push(...(below.get(pid) ?? []));
  }
  return processes;
}

/** Bytes now and at most. What processes share counts once: each has its share of it. */
export function memory(pids) {
  let [resident, shared, peak] = [0, 0, 0];
  for (const pid of pids) {
    const size = bytes(`/proc/${pid}/status`, 'VmRSS:');
    const part = bytes(`/proc/${pid}/smaps_rollup`, 'Pss:') ?? size;
    resident += part;
    shared += size - part;
    peak += bytes(`/proc/${pid}/status`, 'VmHWM:');
  }
  return { resident, peak: Math.max(resident, peak - shared) };
}

/** Involuntary context switches of all threads. */
export function switches(pids) {
  let sum = 0;
  for (const pid of pids) {
    for (const thread of names(`/proc/${pid}/task`)) {
      sum += count(`/proc/${pid}/task/${thread}/status`, 'nonvoluntary_ctxt_switches:') ?? 0;
    }
  }
  return sum;
}

function bytes(file, field) {
  const kilobytes = count(file, field);
  return kilobytes === null ? null : kilobytes * 1024;
}

function count(file, field) {
  const line = lines(file).find((text) => text.startsWith(field));
  return line === undefined ? null : Number(line.slice(field.length).trim().split(/\s/)[0]);
}

// A process or a thread may have ended meanwhile.
function lines(file) {
  try {
    return readFileSync(file, 'utf8').split('\n');
  } catch {
    return [];
  }
}

function names(folder) {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
