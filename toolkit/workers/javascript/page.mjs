// Runs in the page: answers the verbs, with files that the worker's server reads and writes.

import { Verbs } from './verbs.mjs';
import { wasm, webgpu } from './sessions.mjs';

let verbs;
let lines = null;

// WebAssembly's standard error goes to the console, of which it takes hold when it starts.
const { error } = console;
console.error = (...words) => (lines === null ? error(...words) : lines.push(words.join(' ')));

/** Imports the library. `libraries`: provider → its address. */
globalThis.start = async ({ name, libraries, provider }) => {
  const library = (key) => import(libraries[key]);
  const began = performance.now();
  await library(provider);
  const seconds = (performance.now() - began) / 1e3;
  const sessions = { wasm, webgpu };
  const files = { read, write };
  const clock = { now, ns, step: step() };
  verbs = new Verbs({ name, library, sessions, begun: new Set(), logged, ...files, ...clock });
  return { seconds, empty: verbs.empty(), isolated: crossOriginIsolated };
};

/** The reply to one request. */
globalThis.reply = async (request) => {
  try {
    return await verbs[request.verb](request);
  } catch (error) {
    return { error: { name: error.name, text: error.message, cures: error.cures ?? null } };
  }
};

const now = () => performance.now();
const ns = (before, after) => (after - before) * 1e6;

/** Nanoseconds between two readings that differ: the median of 100. */
function step() {
  const steps = [];
  for (let before = now(); steps.length < 100; ) {
    const after = now();
    if (after !== before) steps.push(ns(before, after));
    before = after;
  }
  return Math.round(steps.sort((a, b) => a - b)[50]);
}

async function read(file) {
  const response = await fetch(address(file));
  if (!response.ok) throw new Error(`${file} cannot be read: ${await response.text()}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function write(file, bytes) {
  const response = await fetch(address(file), { method: 'PUT', body: bytes });
  if (!response.ok) throw new Error(`${file} cannot be written: ${await response.text()}`);
}

function address(file) {
  return `file?path=${encodeURIComponent(file)}`;
}

/** Gives the lines that the library writes to the console during `work`. */
async function logged(work) {
  lines = [];
  try {
    await work();
    return lines;
  } finally {
    lines = null;
  }
}
