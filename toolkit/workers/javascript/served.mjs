// Serves the page of a browser over the loopback, by an address that nobody can guess: our modules,
// the library's files, and of all others those that the parent's request names.

import { randomBytes } from 'node:crypto';
import { createReadStream, createWriteStream, mkdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';

import { outputFile } from './verbs.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
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

/**
 * The files that the page may have: those of the request that it answers. It runs a stranger's model,
 * and may ask for whatever it likes.
 */
export class Grants {
  #outputs = 0;
  #files = { GET: new Set(), PUT: new Set() };

  /** Grants the files that a request of the parent names, and no longer those of the one before. */
  follow({ verb, program, tensors, folder }) {
    this.#files = { GET: new Set(), PUT: new Set() };
    if (verb === 'load') {
      this.#outputs = program.outputs.length;
      this.#files.GET = new Set([program.model, ...Object.values(program.external)]);
    } else if (verb === 'bind') {
      this.#files.GET = new Set(tensors.map(({ file }) => file));
    } else if (verb === 'answer') {
      const written = Array.from({ length: this.#outputs }, (_, i) => outputFile(folder, i));
      this.#files.PUT = new Set(written);
    }
  }

  /** Says whether a file may be read (GET) or written (PUT). */
  allow(method, file) {
    return this.#files[method]?.has(file) ?? false;
  }
}

/** Serves the page, with the library's folder `dist`; gives its address, which holds a token. */
export async function served(dist, grants) {
  const root = `/${randomBytes(16).toString('hex')}/`;
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://127.0.0.1');
    for (const [name, value] of Object.entries(ISOLATED)) response.setHeader(name, value);
    const file = url.pathname.startsWith(root) ? chosen(request.method, url, root, dist, grants) : null;
    try {
      await (file === null ? response.writeHead(404).end() : moved(request, response, file));
    } catch (error) {
      response.writeHead(500).end(error.message);
    }
  });
  await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
  return `http://127.0.0.1:${server.address().port}${root}`;
}

/** The file that a request is about; null for one that the page may not have. */
function chosen(method, url, root, dist, grants) {
  const path = url.pathname.slice(root.length);
  if (path === 'file') {
    const file = url.searchParams.get('path');
    return grants.allow(method, file) ? file : null;
  }
  if (method !== 'GET') return null;
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
