// Runs onnxruntime-web in a page of a browser without a window: one session of it for a worker. The
// page comes from this process, over the loopback, by an address that nobody can guess.

import { accessSync, constants, mkdtempSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

import { TargetError } from './checks.mjs';
import { memory, switches, tree } from './processes.mjs';
import { Grants, served } from './served.mjs';

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
/** What Chromium says where the kernel gives it no sandbox (sandbox/linux, content/zygote). */
const NO_SANDBOX =
  /No usable sandbox|SUID sandbox helper|setuid sandbox is not running|move to new namespace/;

/** The browser with the library in its page. */
export async function open({ name, folder, library, asked, provider, options, given }) {
  const program = browser();
  const dist = dirname(library);
  const grants = new Grants();
  const address = await served(dist, grants);
  // A provider that is not named yet may be webgpu.
  const adapter = asked === 'wasm' ? ['--disable-gpu'] : ADAPTERS[options.adapter];
  const bare = withoutSandbox(options);
  const more = bare ? [...adapter, '--no-sandbox'] : adapter;
  const context = await launched(program, folder, more).catch((error) => {
    if (bare || !NO_SANDBOX.test(error.message)) throw error;
    throw new TargetError(
      'the browser finds no sandbox here: the kernel gives this user no namespaces',
      `--target '${retyped(name, asked, given)}'    runs it without one: for models that you trust`,
    );
  });
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
    version: product.replace('/', ' ') + (bare ? ', without its sandbox' : ''),
    file: join(dist, LIBRARIES[provider]),
    seconds,
    empty,
    reply: async (request) => {
      grants.follow(request);
      const reply = await page.evaluate((given) => globalThis.reply(given), request);
      if (request.verb !== 'load') return reply;
      computing = running();
      const copies = bare && reply.copies ? `${reply.copies}; ${bare}` : reply.copies;
      return { ...reply, copies, computes: computing };
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

/** In words why the browser has no sandbox; empty where it has one. Chromium has none as root. */
function withoutSandbox({ sandbox }) {
  if (sandbox === 'off') return 'the browser runs without its sandbox';
  return process.geteuid() === 0 ? 'the browser runs without its sandbox, since root starts it' : '';
}

/** The target as it was typed, but without a sandbox. */
function retyped(name, asked, given) {
  const pairs = Object.entries({ ...given, sandbox: 'off' }).map(([key, value]) => `${key}=${value}`);
  return [asked ? `${name}:${asked}` : name, ...pairs].join(',');
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
