// Runs the model in this folder with ONNX Runtime, on the CPU.
//
//   node client.js                     the test data in this folder
//   node client.js x.npy               your own inputs, one .npy file for each
//   node client.js --output results    writes what comes out, as .npy files

import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { Model } from "./model.js";
import { distance, format, numbers, parse } from "./npy.js";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SHOWN = 6;

async function read(file) {
  const bytes = await readFile(file);
  try {
    return parse(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  } catch (error) {
    throw new Error(`${file}: ${error.message}`);
  }
}

/** Yields the user's own arrays, for which nothing is expected, or the test data beside this file. */
async function* sets(model, files) {
  if (files.length) {
    if (files.length !== model.inputs.length)
      throw new Error(`the model has ${model.inputs.length} inputs: ${model.inputs.join(", ")}`);
    yield { name: "your inputs", inputs: await Promise.all(files.map(read)), expected: null };
    return;
  }
  for (let number = 0; ; number++) {
    const name = `test_data_set_${number}`;
    if (!existsSync(path.join(HERE, name))) return;
    const all = (role, names) =>
      Promise.all(names.map((_, i) => read(path.join(HERE, name, `${role}_${i}.npy`))));
    yield {
      name,
      inputs: await all("input", model.inputs),
      expected: await all("output", model.outputs),
    };
  }
}

function shown(array) {
  const values = numbers(array, SHOWN).map((value) => Number(value.toPrecision(4)));
  const more = array.data.length > SHOWN ? " …" : "";
  return `${array.type} ${array.dims.join("×") || "scalar"}  ${values.join(", ")}${more}`;
}

/** The median time of a call: a mean would also tell what else the machine did. */
async function milliseconds(model, inputs, calls) {
  const times = [];
  for (let i = 0; i < calls; i++) {
    const start = performance.now();
    await model.run(inputs);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[calls >> 1];
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      output: { type: "string" },
      threads: { type: "string", default: "1" },
      calls: { type: "string", default: "100" },
    },
  });
  const threads = Number(values.threads);
  const calls = Math.max(1, Number(values.calls));
  const model = await Model.load(threads);
  console.log(`model.onnx on ${model.runtime}, ${threads} thread${threads === 1 ? "" : "s"}`);
  for await (const { name, inputs, expected } of sets(model, positionals)) {
    const outputs = await model.run(inputs);
    console.log(name);
    model.inputs.forEach((label, i) => console.log(`  ${label}: ${shown(inputs[i])}`));
    model.outputs.forEach((label, i) => console.log(`  ${label}: ${shown(outputs[i])}`));
    if (expected) {
      const difference = distance(outputs, expected).toPrecision(2);
      console.log(`  largest difference from the expected outputs: ${difference}`);
    }
    const took = (await milliseconds(model, inputs, calls)).toPrecision(4);
    console.log(`  ${took} ms a call, the median of ${calls}`);
    if (!values.output) continue;
    const folder = path.join(values.output, name);
    await mkdir(folder, { recursive: true });
    await Promise.all(
      outputs.map((array, i) => writeFile(path.join(folder, `output_${i}.npy`), format(array))),
    );
  }
}

main().catch((error) => {
  console.error(`error: ${error.message}`);
  process.exitCode = 1;
});
