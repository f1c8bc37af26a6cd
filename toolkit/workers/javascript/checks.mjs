// Refuses what the worker in Python refuses, in the same words (toolkit/runtimes/base.py).

/** An error that a user can mend: what is wrong, then what to do, a line each. */
export class TargetError extends Error {
  constructor(what, ...cures) {
    super(what);
    this.cures = cures;
  }
}

/** All options of a runtime with the user's values over the defaults. */
export function settled(facts, given) {
  for (const [key, value] of Object.entries(given)) {
    const option = facts.options[key];
    if (option === undefined) {
      throw new TargetError(unknown(`option of ${facts.name}`, key, Object.keys(facts.options)));
    }
    if (option.choices.length && !option.choices.includes(value)) {
      const what = `value of ${facts.name}'s option ${key}`;
      throw new TargetError(unknown(what, value, option.choices));
    }
  }
  const rows = Object.entries(facts.options).map(([key, { value }]) => [key, given[key] ?? value]);
  return Object.fromEntries(rows);
}

/** Rule R2: there is no other provider than the one asked for. */
export function checkProvider(facts, asked) {
  if (!facts.providers.includes(asked)) {
    throw new TargetError(unknown(`provider of ${facts.name}`, asked, facts.providers));
  }
}

/** Rule R6. `feed` has an array of npy.mjs for each name. */
export function checkFeed(program, feed) {
  const specs = new Map(program.inputs.map((spec) => [spec.name, spec]));
  const missing = [...specs.keys()].find((name) => !feed.has(name));
  if (missing !== undefined) {
    throw new TargetError(`the feed lacks the input ${repr(missing)}`);
  }
  const needless = [...feed.keys()].find((name) => !specs.has(name));
  if (needless !== undefined) {
    throw new TargetError(unknown('input', needless, [...specs.keys()]));
  }
  for (const [name, { type, shape }] of specs) {
    const array = feed.get(name);
    if (array.type !== type) {
      throw new TargetError(`input ${repr(name)} takes ${type}, the feed has ${array.dtype}`);
    }
    if (shape !== null && !fits(shape, array.shape)) {
      const words = `takes ${tuple(shape)}, the feed has ${tuple(array.shape)}`;
      throw new TargetError(`input ${repr(name)} ${words}`);
    }
  }
}

function fits(dims, shape) {
  const same = (dim, axis) => typeof dim !== 'number' || dim === shape[axis];
  return dims.length === shape.length && dims.every(same);
}

/** One line that names what is unknown, all choices and, where one is near, a suggestion. */
export function unknown(what, name, choices) {
  const known = [...choices].sort();
  const [near] = known
    .map((word) => ({ word, likeness: likeness(word, name) }))
    .filter((candidate) => candidate.likeness >= 0.5)
    .sort((a, b) => b.likeness - a.likeness);
  const guess = near === undefined ? '' : ` Did you mean ${near.word}?`;
  return `no ${what} is called ${repr(name)}; there are: ${known.join(', ')}.${guess}`;
}

/** Twice the characters in common over all (J. Ratcliff, D. Metzener, 1988), as Python has it. */
function likeness(a, b) {
  return a.length + b.length === 0 ? 1 : (2 * common(a, b)) / (a.length + b.length);
}

function common(a, b) {
  let [startA, startB, length] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j < b.length; j++) {
      let run = 0;
      while (i + run < a.length && a[i + run] === b[j + run]) run++;
      if (run > length) [startA, startB, length] = [i, j, run];
    }
  }
  if (length === 0) return 0;
  const before = common(a.slice(0, startA), b.slice(0, startB));
  return before + length + common(a.slice(startA + length), b.slice(startB + length));
}

/** Writes a text, a size or null as Python does. */
function repr(value) {
  if (value === null) return 'None';
  if (typeof value === 'number') return String(value);
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  return quote + value.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote;
}

function tuple(values) {
  return `(${values.map(repr).join(', ')}${values.length === 1 ? ',' : ''})`;
}
