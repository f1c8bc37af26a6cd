// The page around the model: reads inputs, runs, shows outputs and how long a call takes.

import { Model, THREADS } from "./model.js";
import { distance, holder, numbers, parse } from "./npy.js";

const EDITABLE = 4096; // Elements of an input that a person may want to see and edit.
const SHOWN = 64; // Elements of an output that are shown.
const LOOP = 60; // Milliseconds: clocks in browsers are coarse, so many calls are timed as one.

const byId = (id) => document.getElementById(id);
const element = (tag, text = "", className = "") =>
  Object.assign(document.createElement(tag), { textContent: text, className });

let queue = Promise.resolve();

/** Runs tasks one after the other: the model takes one call at a time. */
function inTurn(task) {
  const done = queue.then(task);
  queue = done.catch(() => {});
  return done;
}

const run = (arrays) => inTurn(() => model.run(arrays));

/** Times calls for a moment: '0.0123 ms a call, the mean of 900 calls'. */
async function latency(arrays) {
  const [mean, calls] = await inTurn(async () => {
    const start = performance.now();
    let count = 0;
    do {
      await model.run(arrays);
      count++;
    } while (performance.now() - start < LOOP);
    return [(performance.now() - start) / count, count];
  });
  const mean3 = Number(mean.toPrecision(3));
  return calls === 1 ? `${mean3} ms for one call` : `${mean3} ms a call, the mean of ${calls} calls`;
}

async function fetched(file) {
  const reply = await fetch(file);
  if (!reply.ok) throw new Error(`${file}: ${reply.status} ${reply.statusText}`);
  return reply;
}

async function dataSet(number) {
  const all = (role, specs) =>
    Promise.all(
      specs.map(async (_, i) =>
        parse(await (await fetched(`test_data_set_${number}/${role}_${i}.npy`)).arrayBuffer()),
      ),
    );
  return { inputs: await all("input", model.inputs), expected: await all("output", model.outputs) };
}

/** Returns, for scripts, the outputs of all sets of test data, each as { type, dims, base64 }. */
async function runTestData() {
  const sets = [];
  for (let number = 0; number < facts.sets; number++) {
    const outputs = await run((await dataSet(number)).inputs);
    sets.push(outputs.map(({ type, dims, data }) => ({ type, dims, base64: base64(data) })));
  }
  return sets;
}

function base64(data) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192)
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

// Inputs.

const fields = [];

/** The fields of one input; `read` gives its array, `write` shows one. */
function inputField(spec) {
  const set = element("fieldset");
  const legend = element("legend", `${spec.name} `);
  legend.append(element("small", `${spec.type}[${spec.shape.join(", ")}]`));
  const [shapeLabel, shape] = labelled("Shape", element("input"));
  const [fileLabel, file] = labelled("or an .npy file", element("input"));
  const [valuesLabel, values] = labelled("Values, row by row", element("textarea"));
  file.type = "file";
  file.accept = ".npy";
  values.spellcheck = false;
  const pair = element("div", "", "shape");
  pair.append(shapeLabel, fileLabel);
  set.append(legend, pair, valuesLabel);

  let large = null; // An array that is too large to be edited.
  const field = {
    read: () => large ?? { type: spec.type, ...typed(spec, shape.value, values.value) },
    write: (array) => {
      large = array.data.length > EDITABLE ? array : null;
      shape.value = array.dims.join(" × ");
      shape.readOnly = values.readOnly = large !== null;
      values.value = large ? `${array.data.length} values, too many to be edited here` : rows(array);
    },
  };
  file.addEventListener("change", () =>
    attempt(async () => {
      const array = parse(await file.files[0].arrayBuffer());
      if (array.type !== spec.type) throw new Error(`${spec.name} takes ${spec.type}, not ${array.type}`);
      field.write(array);
    }),
  );
  fields.push(field);
  return set;
}

function labelled(text, field) {
  const label = element("label", text);
  label.append(field);
  return [label, field];
}

/** Returns the array that a person typed. Throws an error that says what does not fit. */
function typed(spec, shapeText, text) {
  const dims = (shapeText.match(/\d+/g) ?? []).map(Number);
  const words = text.split(/[\s,;[\]]+/).filter(Boolean);
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (words.length !== size)
    throw new Error(`${spec.name}: ${words.length} values, the shape ${dims.join(" × ")} has ${size}`);
  const Holder = holder(spec.type);
  if (Holder === BigInt64Array || Holder === BigUint64Array)
    return { dims, data: Holder.from(words.map((word) => integer(spec, word))) };
  const values = words.map((word) => number(spec, word));
  const Half = spec.type === "float16" ? globalThis.Float16Array : Holder;
  if (!Half) throw new Error(`${spec.name}: this browser cannot make float16; load an .npy file`);
  return { dims, data: Half.from(values) };
}

function integer(spec, word) {
  if (!/^[+-]?\d+$/.test(word)) throw new Error(`${spec.name}: ${word} is no whole number`);
  return BigInt(word);
}

function number(spec, word) {
  const names = { nan: NaN, inf: Infinity, "-inf": -Infinity, true: 1, false: 0 };
  const value = names[word.toLowerCase()] ?? Number(word);
  if (Number.isNaN(value) && word.toLowerCase() !== "nan")
    throw new Error(`${spec.name}: ${word} is no number`);
  return value;
}

/** Writes an array out, a line for each row of its last dimension. */
function rows(array, count = array.data.length) {
  const width = array.dims.at(-1) || 1;
  const exact = /int|bool/.test(array.type);
  const texts = numbers(array, count).map((value) => (exact ? String(value) : short(value)));
  const lines = [];
  for (let i = 0; i < texts.length; i += width) lines.push(texts.slice(i, i + width).join(", "));
  return lines.join("\n");
}

const short = (value) => String(Number(value.toPrecision(7)));

// Outputs.

function show(outputs, expected) {
  const difference = expected ? distance(outputs, expected) : null;
  const blocks = outputs.map((array, i) => {
    const block = element("div", "", "output");
    const head = element("h3", `${model.outputs[i].name} `);
    head.append(element("small", `${array.type}[${array.dims.join(", ")}]`));
    const more = array.data.length > SHOWN ? `\n… ${array.data.length} values` : "";
    block.append(head, element("pre", rows(array, SHOWN) + more));
    return block;
  });
  if (difference !== null) {
    const figure = Number(difference.toPrecision(2));
    const text = `Largest difference from the expected outputs: ${figure}`;
    blocks.push(element("p", text, "note"));
  }
  byId("outputs").replaceChildren(...blocks);
}

async function answer(arrays, expected = null) {
  show(await run(arrays), expected);
  byId("latency").textContent = await latency(arrays);
}

/** Does what a person asked for, and says what is wrong with it. */
async function attempt(task) {
  byId("fault").textContent = "";
  try {
    await task();
  } catch (error) {
    byId("outputs").replaceChildren();
    byId("latency").textContent = "";
    byId("fault").textContent = error.message;
  }
}

function dataButtons() {
  const buttons = Array.from({ length: facts.sets }, (_, number) => {
    const button = element("button", `Test data ${number + 1}`);
    button.type = "button";
    button.addEventListener("click", () =>
      attempt(async () => {
        const { inputs, expected } = await dataSet(number);
        fields.forEach((field, i) => field.write(inputs[i]));
        await answer(inputs, expected);
      }),
    );
    return button;
  });
  byId("sets").replaceChildren(...buttons);
}

// The start.

let facts;
let model;

async function start() {
  facts = await (await fetched("page.json")).json();
  document.title = facts.digits ? "Draw a digit" : facts.name;
  byId("name").textContent = facts.name;
  byId("title").textContent = facts.digits ? "Draw a digit" : `Run ${facts.name}`;
  model = await Model.load(facts.external);
  byId("inputs").replaceChildren(...model.inputs.map(inputField));
  byId("inputs").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(() => answer(fields.map((field) => field.read())));
  });
  dataButtons();
  if (facts.sets) {
    const { inputs } = await dataSet(0);
    fields.forEach((field, i) => field.write(inputs[i]));
  }
  if (facts.digits) {
    const { show: showDigits } = await import("./digits.js");
    showDigits({ run, latency, drawn: (input) => fields[0].write(input) });
  }
  const threads = THREADS === 1 ? "1 thread" : `${THREADS} threads`;
  byId("machine").textContent = `${model.runtime}, WebAssembly, ${threads}.`;
  byId("isolation").hidden = globalThis.crossOriginIsolated;
  byId("run").disabled = false;
  byId("state").textContent = "";
}

const ready = start().catch((error) => {
  byId("state").textContent = `The model could not be loaded: ${error.message}`;
  byId("state").className = "fault";
  throw error;
});

globalThis.client = { ready, runTestData };
