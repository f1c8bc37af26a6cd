// The verbs that need a session, the same in a Node process and in a page of a browser.

import { TargetError, checkFeed } from './checks.mjs';
import { TYPES, format, parse } from './npy.mjs';

/**
 * A batch lasts at least so many steps of the clock, so that a reading that is off by a step is off
 * by 1 %.
 */
const STEPS = 100;

/**
 * `host` knows where it is: `name` of the runtime, `library(provider)`, `sessions` (provider → the
 * function of sessions.mjs), `begun` (libraries that have a session), `read(file)`,
 * `write(file, bytes)`, and its clock: `now()`, `ns(before, after)` and `step`, the nanoseconds
 * between two readings that differ; 0 where every call can be timed.
 */
export class Verbs {
  #host;
  #ort;
  #program;
  #loaded;
  #calls = new Map();

  constructor(host) {
    this.#host = host;
  }

  /**
   * Nanoseconds between two readings of the clock with nothing between: median of 1,001. None where
   * the clock is coarse, and there none of a call's time is the clock's: a batch has two readings.
   */
  empty() {
    const { now, ns } = this.#host;
    const times = Array.from({ length: 1001 }, () => {
      const before = now();
      return ns(before, now());
    });
    return times.sort((a, b) => a - b)[500];
  }

  /** Loads the program; the time is that of the library's own load. */
  async load({ program, provider, options }) {
    const specs = [...program.inputs, ...program.outputs];
    const refused = specs.find(({ type }) => !TYPES.has(type));
    if (refused) {
      const what = `${this.#host.name} is not fed ${refused.type} here ('${refused.name}')`;
      throw new TargetError(what);
    }
    await this.#release();
    this.#program = program;
    this.#ort = await this.#host.library(provider);
    const context = { host: this.#host, ort: this.#ort };
    const before = this.#host.now();
    this.#loaded = await this.#host.sessions[provider](context, program, options);
    const seconds = this.#host.ns(before, this.#host.now()) / 1e9;
    const { nodes, elsewhere, transfers, copies } = this.#loaded;
    const placement = { nodes, elsewhere, copies: transfers };
    return { seconds, placement, copies: copies + this.#batched() };
  }

  /** Makes the call for one feed. */
  async bind({ feed, tensors }) {
    const rows = tensors.map(async ({ name, file }) => [name, parse(await this.#host.read(file))]);
    const arrays = new Map(await Promise.all(rows));
    checkFeed(this.#program, arrays);
    const { Tensor } = this.#ort;
    const ready = {};
    for (const [name, { type, data, shape }] of arrays) ready[name] = new Tensor(type, data, shape);
    const { session } = this.#loaded;
    const names = this.#program.outputs.map(({ name }) => name);
    this.#calls.set(feed, { run: () => session.run(ready, names), left: null, length: null });
    return {};
  }

  /** Writes the outputs of one call, or of the last timed one. */
  async answer({ feed, folder, again }) {
    const call = this.#calls.get(feed);
    let seconds = 0;
    if (again) {
      const before = this.#host.now();
      call.left = await call.run();
      seconds = this.#host.ns(before, this.#host.now()) / 1e9;
    }
    const tensors = [];
    for (const [index, { name }] of this.#program.outputs.entries()) {
      const { type, dims, data } = call.left[name];
      const file = outputFile(folder, index);
      await this.#host.write(file, format(type, dims, data));
      tensors.push({ name, type, file });
    }
    return { tensors, seconds };
  }

  /**
   * A block of timed calls. Only calls stand between two readings of the clock: one, or, where the
   * clock's step is too coarse for one, a batch, and then each of its times is the batch's mean.
   */
  async sample({ feed, calls, discard }) {
    const call = this.#calls.get(feed);
    const { run } = call;
    const { now, ns } = this.#host;
    let left;
    for (let i = 0; i < discard; i++) left = await run();
    const sizes = batches(calls, this.#batch(call.length, calls));
    const spans = new Array(sizes.length).fill(0);
    for (let batch = 0; batch < sizes.length; batch++) {
      const size = sizes[batch];
      const before = now();
      for (let i = 0; i < size; i++) left = await run();
      const after = now();
      spans[batch] = ns(before, after) / size;
    }
    call.left = left;
    const times = spans.flatMap((mean, batch) => new Array(sizes[batch]).fill(mean));
    const total = times.reduce((sum, time) => sum + time, 0);
    // The shortest mean that was told well: a batch is rather too long than too short.
    if (total >= this.#least) call.length = Math.min(call.length ?? Infinity, total / calls);
    return { ns: times.map(Math.round) };
  }

  /** Frees the session. */
  async close() {
    await this.#release();
    return {};
  }

  async #release() {
    this.#calls.clear();
    await this.#loaded?.session.release();
    this.#loaded = undefined;
  }

  /** Calls of a batch; all where it is not known yet how long a call takes. */
  #batch(length, calls) {
    if (this.#least === 0) return 1;
    return length === null ? calls : Math.ceil(this.#least / length);
  }

  /** Nanoseconds of the shortest batch; 0 where every call is timed by itself. */
  get #least() {
    return STEPS * this.#host.step;
  }

  #batched() {
    const { step } = this.#host;
    if (step === 0) return '';
    const least = this.#least / 1e6;
    const clock = `the page's clock steps by ${Number((step / 1e3).toPrecision(2))} µs`;
    return `; ${clock}, so each time is the mean of a batch of calls of about ${least} ms or more`;
  }
}

/** The file in the folder of an answer that takes the output of this number. */
export function outputFile(folder, index) {
  return `${folder}/${index}.npy`;
}

/** Sizes that differ by one at most, none smaller than asked but where there are fewer calls. */
function batches(calls, size) {
  const count = Math.max(1, Math.floor(calls / size));
  const even = Math.floor(calls / count);
  return Array.from({ length: count }, (_, batch) => even + (batch < calls - even * count ? 1 : 0));
}
