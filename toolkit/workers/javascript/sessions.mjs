// Makes a session of ONNX Runtime, by a function for each provider. `ort` is the library. Each gives
// `session`, `nodes` and `elsewhere` as in Placement, `transfers` (copies between devices, null:
// unknown) and `copies`, the copies that lie inside the timed call, in words.

import { TargetError } from './checks.mjs';
import { nodes } from './graph.mjs';

const LEVELS = { none: 'disabled' };
const PROVIDERS = { CPUExecutionProvider: 'cpu', WebGpuExecutionProvider: 'webgpu' };

function common(program, options) {
  return {
    graphOptimizationLevel: LEVELS[options.optimize] ?? options.optimize,
    logSeverityLevel: 2,
    enableProfiling: false,
  };
}

/** A session of onnxruntime-node, on the processor. */
export async function native({ host, ort }, program, options) {
  const session = await ort.InferenceSession.create(program.model, {
    ...common(program, options),
    executionProviders: ['cpu'],
    executionMode: 'sequential',
    intraOpNumThreads: program.threads,
    interOpNumThreads: 1,
    extra: { session: { intra_op: { allow_spinning: options.spinning === 'on' ? '1' : '0' } } },
  });
  return {
    session,
    nodes: { cpu: host.scan(program.model, nodes) },
    elsewhere: {},
    transfers: 0,
    copies: 'typed arrays in, new typed arrays out',
  };
}

/** A session of onnxruntime-web on WebAssembly, under Node or in a page. */
export async function wasm({ host, ort }, program, options) {
  const { bytes, files } = await parts(host, program);
  const session = await started(host, ort, program, bytes, {
    ...common(program, options),
    executionProviders: ['wasm'],
    externalData: files,
  });
  return {
    session,
    nodes: { wasm: nodes(within(bytes), bytes.length) },
    elsewhere: {},
    transfers: 0,
    copies: "typed arrays are copied into WebAssembly's memory, outputs out of it",
  };
}

/** A session of onnxruntime-web on WebGPU, in a page. Its device tells which adapter it runs on. */
export async function webgpu({ host, ort }, program, options) {
  const { bytes, files } = await parts(host, program);
  if (!(await navigator.gpu?.requestAdapter())) {
    throw new TargetError(
      'the browser finds no WebGPU adapter: no GPU, or no Vulkan driver for it',
      `--target '${host.name}:webgpu,adapter=swiftshader'    computes on the processor`,
    );
  }
  const settings = {
    ...common(program, options),
    executionProviders: ['webgpu'],
    externalData: files,
  };
  const session = await started(host, ort, program, bytes, settings);
  const { info, software } = described((await ort.env.webgpu.device).adapterInfo);
  if (software !== (options.adapter === 'swiftshader')) {
    throw new TargetError(
      `the adapter is ${info}, and adapter=${options.adapter} was asked for`,
      `--target '${host.name}:webgpu,adapter=swiftshader'    computes on the processor`,
    );
  }
  const placed = await placement(host, ort, bytes, settings);
  if (!placed.nodes.webgpu) throw new TargetError('no node of this model runs on webgpu');
  const kind = software ? `${info}, software on the processor and no GPU` : info;
  const copies = `inputs are copied to the adapter (${kind}) and outputs back`;
  return { session, ...placed, copies };
}

/**
 * The model, and the files of external data that the request names: which ones the model itself
 * names is not looked at here. The library opens none, and refuses a model that lacks one.
 */
async function parts(host, { model, external }) {
  const files = Object.entries(external).map(async ([path, file]) => {
    return { path, data: await host.read(file) };
  });
  return { bytes: await host.read(model), files: await Promise.all(files) };
}

function within(bytes) {
  return (position, length) => bytes.subarray(position, position + length);
}

/**
 * A session on as many threads as the program says, or on more. The first session fixes their
 * number, and where memory cannot be shared the library takes one, with a word on the console only.
 */
async function started(host, ort, program, bytes, settings) {
  const { wasm } = ort.env;
  if (!host.begun.has(ort)) wasm.numThreads = program.threads;
  host.begun.add(ort);
  const session = await ort.InferenceSession.create(bytes, settings);
  if (wasm.numThreads < program.threads) {
    const [has, asked] = [wasm.numThreads, program.threads];
    throw new TargetError(`WebAssembly runs on ${has} here, not on the ${asked} threads asked for`);
  }
  return session;
}

function described({ vendor, architecture, description, isFallbackAdapter }) {
  const words = [description, vendor, architecture].filter(Boolean).join(' ');
  return { info: words, software: isFallbackAdapter || architecture === 'swiftshader' };
}

/**
 * The providers of the nodes, as the library logs them while a second session is made. The copies
 * between devices that it puts in are nodes there.
 */
async function placement(host, ort, bytes, settings) {
  const lines = await host.logged(async () => {
    const second = await ort.InferenceSession.create(bytes, { ...settings, logSeverityLevel: 0 });
    await second.release();
  });
  const placed = { nodes: {}, elsewhere: {}, transfers: 0 };
  let name = '';
  for (const line of lines) {
    const [, provider, count] = line.match(/placed on \[(\w+)\]\. Number of nodes: (\d+)/) ?? [];
    const [, operator] = line.match(/VerifyEachNodeIsAssignedToAnEp\] +(\w+) \(/) ?? [];
    if (provider) {
      name = PROVIDERS[provider] ?? provider;
      placed.nodes[name] = Number(count);
      if (name !== 'webgpu') placed.elsewhere[name] = [];
    } else if (operator?.startsWith('Memcpy')) {
      placed.transfers += 1;
      placed.nodes[name] -= 1;
    } else if (operator && name !== 'webgpu') {
      placed.elsewhere[name].push(operator);
    }
  }
  return placed;
}
