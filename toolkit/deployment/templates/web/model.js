// The network in model.onnx, by ONNX Runtime's WebAssembly: what a page of yours takes.

import * as ort from "./ort/ort.js";

const here = (name) => new URL(name, import.meta.url).href;

/** Threads share memory, which browsers allow on cross-origin isolated pages only. */
export const THREADS = globalThis.crossOriginIsolated
  ? Math.min(4, navigator.hardwareConcurrency)
  : 1;

export class Model {
  /** Loads the model beside this file; `external` names its files of weights, where it has any. */
  static async load(external = []) {
    ort.env.wasm.wasmPaths = { wasm: here("ort/ort-wasm-simd-threaded.wasm") };
    ort.env.wasm.numThreads = THREADS;
    const session = await ort.InferenceSession.create(here("model/model.onnx"), {
      executionProviders: ["wasm"],
      externalData: external.map((path) => ({ path, data: here(`model/${path}`) })),
    });
    return new Model(session);
  }

  constructor(session) {
    this.session = session;
    this.runtime = `ONNX Runtime Web ${ort.env.versions.web}`;
    this.inputs = session.inputMetadata;
    this.outputs = session.outputMetadata;
  }

  /**
   * Takes arrays { type, dims, data } in the order of `inputs`, gives such in that of `outputs`.
   * ONNX Runtime throws for another type or shape than the model takes.
   */
  async run(arrays) {
    const feeds = this.inputs.map(({ name }, i) => {
      const { type, data, dims } = arrays[i];
      return [name, new ort.Tensor(type, data, dims)];
    });
    const results = await this.session.run(Object.fromEntries(feeds));
    return this.outputs.map(({ name }) => results[name]);
  }
}
