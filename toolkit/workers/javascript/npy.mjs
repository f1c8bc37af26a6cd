// Reads and writes arrays in numpy's format .npy (numpy.lib.format), as bytes. Knows no file.

const PLAIN = {
  '|b1': ['bool', Uint8Array],
  '|i1': ['int8', Int8Array],
  '|u1': ['uint8', Uint8Array],
  '<i2': ['int16', Int16Array],
  '<u2': ['uint16', Uint16Array],
  '<i4': ['int32', Int32Array],
  '<u4': ['uint32', Uint32Array],
  '<i8': ['int64', BigInt64Array],
  '<u8': ['uint64', BigUint64Array],
  '<f2': ['float16', Uint16Array],
  '<f4': ['float32', Float32Array],
  '<f8': ['float64', Float64Array],
};
const DESCRIPTIONS = Object.fromEntries(Object.entries(PLAIN).map(([d, [type]]) => [type, d]));

/** The ONNX types that JavaScript has an array for. */
export const TYPES = new Set([...Object.keys(DESCRIPTIONS), 'string']);

/**
 * An array: `type` (ONNX), `dtype` (as numpy names it), `shape`, and `data` in C order, null for a
 * type that is not in TYPES.
 */
export function parse(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const first = bytes[6] === 1; // The first version of the format has a shorter length.
  const [length, start] = first ? [view.getUint16(8, true), 10] : [view.getUint32(8, true), 12];
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const [, description] = header.match(/'descr': '([^']+)'/);
  const [, sizes] = header.match(/'shape': \(([^)]*)\)/);
  const shape = sizes.split(',').filter((size) => size.trim()).map(Number);
  const raw = Uint8Array.prototype.slice.call(bytes, start + length);
  const array = { shape, ...values(description, raw) };
  const fortran = header.includes("'fortran_order': True");
  return fortran && array.data !== null ? { ...array, data: inOrder(array.data, shape) } : array;
}

function values(description, raw) {
  const [, kind, size] = description.match(/^[<|=>]([a-zA-Z])(\d+)$/);
  if (kind === 'U') {
    const data = texts(new Uint32Array(raw.buffer), Number(size));
    return { type: 'string', dtype: `str${32 * Number(size)}`, data };
  }
  if (!(description in PLAIN)) {
    const dtype = kind === 'c' ? `complex${8 * Number(size)}` : description;
    return { type: dtype, dtype, data: null };
  }
  const [type, Typed] = PLAIN[description];
  return { type, dtype: type, data: new Typed(raw.buffer) };
}

/** Splits code points into texts of a width, each of them filled up with zeros. */
function texts(points, width) {
  const words = [];
  for (let start = 0; start + width <= points.length && width > 0; start += width) {
    let end = start + width;
    while (end > start && points[end - 1] === 0) end--;
    words.push(Array.from(points.subarray(start, end), (p) => String.fromCodePoint(p)).join(''));
  }
  return words;
}

/** Copies from Fortran's order, first axis fastest, to C's. */
function inOrder(data, shape) {
  const ordered = data.slice();
  const at = shape.map(() => 0);
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((a, b) => a * b, 1));
  for (let index = 0; index < data.length; index++) {
    ordered[index] = data[at.reduce((sum, step, axis) => sum + step * strides[axis], 0)];
    for (let axis = shape.length - 1; axis >= 0 && ++at[axis] === shape[axis]; axis--) at[axis] = 0;
  }
  return ordered;
}

/** The bytes of a file. `data`: a typed array, or an array of texts. */
export function format(type, shape, data) {
  const [description, raw] = type === 'string' ? coded(data) : [DESCRIPTIONS[type], bytesOf(data)];
  const sizes = shape.join(', ') + (shape.length === 1 ? ',' : '');
  const words = `{'descr': '${description}', 'fortran_order': False, 'shape': (${sizes}), }`;
  // The data begin at a multiple of 64 bytes; the header's length stands in two of them.
  const header = words.padEnd(Math.ceil((words.length + 11) / 64) * 64 - 11) + '\n';
  const prefix = [0x93, ...new TextEncoder().encode('NUMPY'), 1, 0];
  const length = [header.length & 255, header.length >> 8];
  const bytes = new Uint8Array(10 + header.length + raw.length);
  bytes.set([...prefix, ...length, ...new TextEncoder().encode(header)]);
  bytes.set(raw, 10 + header.length);
  return bytes;
}

function coded(words) {
  const rows = words.map((word) => Array.from(word, (letter) => letter.codePointAt(0)));
  const width = rows.reduce((most, row) => Math.max(most, row.length), 1);
  const points = new Uint32Array(width * rows.length);
  rows.forEach((row, index) => points.set(row, index * width));
  return [`<U${width}`, bytesOf(points)];
}

function bytesOf(data) {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
