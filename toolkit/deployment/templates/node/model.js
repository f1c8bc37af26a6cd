// The network in model.onnx, by ONNX Runtime on the CPU: what a program of yours takes.

import { fileURLToPath } from "node:url";

// ONNX Runtime reports usage to its maker unless this is set before it is loaded, so it is not
// imported above; it is only a default, so that you can decide otherwise.
process.env.ORT_DISABLE_TELEMETRY ??= "1";
const { default: ort } = await import("onnxruntime-node");

export class Model {
  /** Loads the model beside this file. */
  static async load(threads = 1) {
    const file = fileURLToPath(new URL("model/model.onnx", import.meta.url));
    const session = await ort.InferenceSession.create(file, {
      executionProviders: ["cpu"],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
    });
    return new Model(session);
  }

  constructor(session) {
    this.session = session;
    this.runtime = `onnxruntime-node ${ort.env.versions.node}`;
    this.inputs = session.inputNames;
    this.outputs = session.outputNames;
  }

  /**
   * Takes arrays { type, dims, data } in the order of `inputs`, gives such in that of `outputs`.
   * ONNX Runtime throws for another type or shape than the model takes.
   */
  async run(arrays) {
    const feeds = this.inputs.map((name, i) => {
      const { type, data, dims } = arrays[i];
      return [name, new ort.Tensor(type, data, dims)];
    });
    const results = await this.session.run(Object.fromEntries(feeds));
    return this.outputs.map((name) => results[name]);
  }
}
