// Arrays as .npy files, in Node.js and in a browser: { type, dims, data }, where `type` is ONNX's
// name, `dims` the shape, and `data` a typed array (float16 as its bits in a Uint16Array).

const TYPES = {
  "<f2": ["float16", Uint16Array],
  "<f4": ["float32", Float32Array],
  "<f8": ["float64", Float64Array],
  "|i1": ["int8", Int8Array],
  "<i2": ["int16", Int16Array],
  "<i4": ["int32", Int32Array],
  "<i8": ["int64", BigInt64Array],
  "|u1": ["uint8", Uint8Array],
  "<u2": ["uint16", Uint16Array],
  "<u4": ["uint32", Uint32Array],
  "<u8": ["uint64", BigUint64Array],
  "|b1": ["bool", Uint8Array],
};

/** The typed array that holds elements of an ONNX type. */
export function holder(type) {
  const entry = Object.values(TYPES).find(([name]) => name === type);
  if (!entry) throw new Error(`arrays of the type ${type} are not fed`);
  return entry[1];
}

/** Reads the bytes of an .npy file (an ArrayBuffer). */
export function parse(buffer) {
  const bytes = new Uint8Array(buffer);
  const text = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  if (text(1, 6) !== "NUMPY") throw new Error("this is no .npy file");
  const view = new DataView(buffer);
  const start = bytes[6] === 1 ? 10 : 12;
  const end = start + (bytes[6] === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  const header = text(start, end);
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header)?.[1];
  if (!TYPES[descr] || shape === undefined) throw new Error(`arrays of the type ${descr} are not read`);
  const dims = shape.split(",").map((part) => part.trim()).filter(Boolean).map(Number);
  if (/'fortran_order':\s*True/.test(header) && dims.length > 1)
    throw new Error("the array is not row-major; numpy.ascontiguousarray makes it so");
  const [type, Holder] = TYPES[descr];
  const size = dims.reduce((product, dim) => product * dim, 1) * Holder.BYTES_PER_ELEMENT;
  if (buffer.byteLength < end + size) throw new Error("the file is shorter than its header says");
  return { type, dims, data: new Holder(buffer.slice(end, end + size)) };
}

/** Returns the bytes of an array's .npy file. */
export function format({ type, dims, data }) {
  const descr = Object.keys(TYPES).find((key) => TYPES[key][0] === type);
  if (!descr) throw new Error(`${type} has no place in an .npy file`);
  const shape = dims.map((dim) => `${dim},`).join("");
  const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }`;
  const padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`;
  const start = [0x93, ..."NUMPY".split("").map((c) => c.charCodeAt(0)), 1, 0];
  const length = [padded.length & 0xff, padded.length >> 8];
  const head = Uint8Array.from([...start, ...length, ...padded.split("").map((c) => c.charCodeAt(0))]);
  const file = new Uint8Array(head.length + data.byteLength);
  file.set(head);
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), head.length);
  return file;
}

/** Returns the first `count` elements of an array as numbers. */
export function numbers({ type, data }, count = data.length) {
  const first = Array.from(data.subarray(0, count), Number);
  return type === "float16" && data instanceof Uint16Array ? first.map(half) : first;
}

/** The number whose float16 has these bits: sign, 5 bits of exponent, 10 of fraction. */
function half(bits) {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 1 + fraction / 1024 : fraction / 512) * 2 ** (exponent ? exponent - 15 : -15);
}

/** The largest difference between two lists of arrays; NaN where shapes differ. */
export function distance(got, expected) {
  let largest = 0;
  for (const [index, array] of got.entries()) {
    if (String(array.dims) !== String(expected[index].dims)) return NaN;
    const right = numbers(expected[index]);
    for (const [i, value] of numbers(array).entries()) {
      const off = Math.abs(value - right[i]);
      if (Number.isNaN(off)) return NaN;
      largest = Math.max(largest, off);
    }
  }
  return largest;
}
