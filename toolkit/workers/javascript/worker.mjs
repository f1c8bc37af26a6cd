// A worker in JavaScript: one process, one session of one target. It speaks the protocol of
// toolkit/workers/protocol.py.
//
//     node worker.mjs FACTS FOLDER READ WRITE PARENT
//
// FACTS is what toolkit's class of the runtime says, as JSON; FOLDER has node_modules.

import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Socket } from 'node:net';
import { dirname, join } from 'node:path';

import { open } from './browser.mjs';
import { TargetError, checkProvider, settled } from './checks.mjs';
import { memory } from './processes.mjs';
import { native, wasm } from './sessions.mjs';
import { Verbs } from './verbs.mjs';

const [facts, folder] = [JSON.parse(process.argv[2]), process.argv[3]];
const [reading, writing, parent] = process.argv.slice(4).map(Number);
if (process.ppid !== parent) process.exit(1); // It ended before this process could end with it.

/** Where the library runs: in this process, or in a page of a browser. */
let engine;
let options;

async function hello(request) {
  Object.assign(process.env, facts.environment);
  options = settled(facts, request.options);
  const { library, version } = installed(facts.name);
  const asked = request.provider;
  const provider = asked || facts.providers[0];
  checkProvider(facts, provider);
  const given = request.options;
  const how = { name: facts.name, folder, library, asked, provider, options, given };
  engine = options.in === 'browser' ? await open(how) : here(how);
  return {
    version,
    file: engine.file,
    python: engine.version,
    seconds: engine.seconds,
    precision: facts.precision,
    providers: facts.providers,
    starts_from: facts.starts_from,
    empty: engine.empty,
    converts: false,
  };
}

/** The library's file and version. It must lie in the folder itself, not in one above it. */
function installed(name) {
  const described = join(folder, 'node_modules', name, 'package.json');
  if (!existsSync(described)) {
    throw new TargetError(
      `${name} is not installed in this environment`,
      `--target '${name},env=FOLDER'    runs it from another environment`,
    );
  }
  const require = createRequire(join(folder, 'node_modules', 'x'));
  return { library: require.resolve(name), version: JSON.parse(readFileSync(described)).version };
}

/** The library in this process. */
function here({ name, library }) {
  const began = process.hrtime.bigint();
  const ort = createRequire(library)(library);
  const seconds = ns(began, process.hrtime.bigint()) / 1e9;
  const sessions = { cpu: native, wasm, webgpu: elsewhere };
  const files = { read: readFile, write, scan };
  const clock = { now: process.hrtime.bigint, ns, step: 0 };
  const begun = new Set();
  const verbs = new Verbs({ name, library: () => ort, sessions, begun, ...files, ...clock });
  return {
    version: `Node ${process.versions.node}`,
    file: library,
    seconds,
    empty: verbs.empty(),
    reply: (request) => verbs[request.verb](request),
    switches: () => process.resourceUsage().involuntaryContextSwitches,
    usage: () => memory([process.pid]),
    close: () => verbs.close(),
  };
}

function elsewhere({ host }) {
  const cure = `--target '${host.name}:webgpu,in=browser'    runs it there`;
  throw new TargetError('webgpu is in a browser only', cure);
}

function ns(before, after) {
  return Number(after - before);
}

async function write(file, bytes) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, bytes);
}

/** What a function of graph.mjs finds in a file, of which it reads a few bytes here and there. */
function scan(file, look) {
  const handle = openSync(file);
  const read = (position, length) => {
    const bytes = new Uint8Array(length);
    return bytes.subarray(0, readSync(handle, bytes, { position }));
  };
  try {
    return look(read, fstatSync(handle).size);
  } finally {
    closeSync(handle);
  }
}

function load(request) {
  checkProvider(facts, request.provider);
  return engine.reply({ ...request, options });
}

async function close() {
  await engine?.close();
  return {};
}

async function sample(request) {
  // In a page a block starts within a millisecond of this: its own clock has another zero.
  const start = ns(0n, process.hrtime.bigint());
  const before = engine.switches();
  const reply = await engine.reply(request);
  return { ...reply, start, switches: Math.max(0, engine.switches() - before) };
}

const VERBS = {
  hello,
  load,
  bind: (request) => engine.reply(request),
  answer: (request) => engine.reply(request),
  sample,
  copies: () => ({ into: null, out: null }), // They are made inside the library's own call.
  inputs: () => ({ changed: [] }),
  usage: () => engine.usage(),
  close,
};

async function replied(request) {
  try {
    const reply = await VERBS[request.verb](request);
    return reply.error ? failed(reply.error) : reply;
  } catch (error) {
    if (!(error instanceof TargetError)) console.error(error);
    return failed({ name: error.name, text: error.message, cures: error.cures ?? null });
  }
}

/** An error with cures is ours; another is the library's: its kind, and the line that says it. */
function failed({ name, text, cures }) {
  const [first] = text.split('\n').map((line) => line.trim()).filter(Boolean);
  return { error: cures ? text : `${name}: ${(first ?? '').slice(0, 300)}`, cures: cures ?? [] };
}

function send(message) {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let sent = 0; sent < bytes.length; ) sent += writeSync(writing, bytes, sent);
}

let rest = '';
// Not a stream of a file: its read would hold a thread, and the end of the process with it.
const requests = new Socket({ fd: reading, readable: true, writable: false }).setEncoding('utf8');
for await (const part of requests) {
  const lines = (rest + part).split('\n');
  rest = lines.pop();
  for (const request of lines.map((line) => JSON.parse(line))) {
    send({ ...(await replied(request)), number: request.number });
    if (request.verb === 'close') process.exit(0); // The threads of WebAssembly would hold it.
  }
}
process.exit(0);
