// Runs onnxruntime-web in a page of a browser without a window: one session of it for a worker. The
// page comes from this process, over the loopback, by an address that nobody can guess.

import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, mkdtempSync } from 'node:fs';
import { createReadStream, createWriteStream } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, delimiter, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

import { TargetError } from './checks.mjs';
import { memory, switches, tree } from './processes.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const BROWSERS = [
  'chromium',
  'chromium-browser',
  'google-chrome-stable',
  'google-chrome',
  'microsoft-edge-stable',
  'microsoft-edge',
];
const FLAGS = [
  '--headless',
  '--js-flags=--single-threaded', // As in toolkit/workers/node.py.
  '--no-sandbox',
  '--remote-debugging-pipe',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-breakpad',
  '--disable-extensions',
  '--disable-default-apps',
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-features=Translate,OptimizationHints,MediaRouter,SpareRendererForSitePerProcess',
  // No name is looked up, so nothing leaves this machine.
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
];
const ADAPTERS = {
  hardware: ['--enable-unsafe-webgpu', '--enable-features=Vulkan'],
  swiftshader: ['--disable-gpu', '--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'],
};
const LIBRARIES = { wasm: 'ort.wasm.min.mjs', webgpu: 'ort.webgpu.min.mjs' };
const KINDS = {
  '.html': 'text/html',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};
/** Without these two a page has neither several threads nor a clock finer than 100 µs. */
const ISOLATED = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

/** The browser with the library in its page. */
export async function open({ name, folder, library, asked, provider, options }) {
  const program = browser();
  const dist = dirname(library);
  const address = await served(dist);
  // A provider that is not named yet may be webgpu.
  const more = asked === 'wasm' ? ['--disable-gpu'] : ADAPTERS[options.adapter];
  const context = await launched(program, folder, more);
  const [page] = context.pages();
  page.on('console', (message) => console.log(message.text()));
  let closing = false;
  page.on('crash', () => died('the page crashed'));
  context.on('close', () => closing || died('the browser ended'));
  await page.goto(address);
  const rows = Object.entries(LIBRARIES).map(([key, file]) => [key, `${address}package/${file}`]);
  const setup = { name, libraries: Object.fromEntries(rows), provider };
  const started = await page.evaluate((given) => globalThis.start(given), setup);
  const { seconds, empty, isolated } = started;
  if (!isolated) throw new TargetError('the page is not cross-origin isolated');
  const session = await context.newCDPSession(page);
  const { product } = await session.send('Browser.getVersion');
  let computing = [];
  return {
    version: product.replace('/', ' '),
    file: join(dist, LIBRARIES[provider]),
    seconds,
    empty,
    reply: async (request) => {
      const reply = await page.evaluate((given) => globalThis.reply(given), request);
      if (request.verb !== 'load') return reply;
      computing = running();
      return { ...reply, computes: computing };
    },
    switches: () => switches(computing),
    // Without this process, which is none of the browser's.
    usage: () => memory([...tree(process.pid).keys()].filter((pid) => pid !== process.pid)),
    close: async () => {
      closing = true;
      await context.close();
    },
  };
}

function browser() {
  const program = onPath(BROWSERS);
  if (program !== undefined) return program;
  throw new TargetError(
    'no Chromium, Chrome or Edge is on the PATH',
    'apt install chromium    installs one',
    "--target 'onnxruntime-web,in=node'    runs WebAssembly without a browser",
  );
}

/** The path of the first of these programs that is on the PATH; undefined where none is. */
function onPath(names) {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(executable);
}

function executable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Starts the browser, which ends with this process even where that is killed. */
async function launched(program, folder, more) {
  const { chromium } = createRequire(join(folder, 'node_modules', 'x'))('playwright-core');
  // The worker's own folder for temporary files: the parent removes it with the worker.
  const profile = mkdtempSync(join(tmpdir(), 'browser-'));
  const userData = `--user-data-dir=${profile}`;
  const dying = ['--pdeathsig', 'KILL', '--'];
  return chromium.launchPersistentContext(profile, {
    executablePath: onPath(['setpriv']),
    ignoreDefaultArgs: true,
    args: [...dying, program, ...FLAGS, ...more, userData, 'about:blank'],
    // Crash dumps and caches would go to the user's home.
    env: { ...process.env, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
  });
}

/** The processes in which the page computes: its renderer's, or the adapter's. */
function running() {
  const kinds = /--type=(renderer|gpu-process)/;
  return [...tree(process.pid)].filter(([, command]) => kinds.test(command)).map(([pid]) => pid);
}

function died(what) {
  console.error(what);
  process.exit(1);
}

/** Serves the page; gives its address, without whose token nobody gets anything. */
async function served(dist) {
  const root = `/${randomBytes(16).toString('hex')}/`;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    for (const [name, value] of Object.entries(ISOLATED)) response.setHeader(name, value);
    const file = url.pathname.startsWith(root) ? chosen(url, root, dist) : null;
    try {
      await (file === null ? response.writeHead(404).end() : moved(request, response, file));
    } catch (error) {
      response.writeHead(500).end(error.message);
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return `http://127.0.0.1:${server.address().port}${root}`;
}

function chosen(url, root, dist) {
  const path = url.pathname.slice(root.length);
  if (path === 'file') return url.searchParams.get('path');
  const name = basename(path);
  return path.startsWith('package/') ? join(dist, name) : join(HERE, name || 'page.html');
}

async function moved(request, response, file) {
  if (request.method === 'PUT') {
    mkdirSync(dirname(file), { recursive: true });
    await pipeline(request, createWriteStream(file));
    response.end();
    return;
  }
  const kind = KINDS[file.slice(file.lastIndexOf('.'))] ?? 'application/octet-stream';
  response.setHeader('Content-Type', kind);
  await pipeline(createReadStream(file), response);
}
