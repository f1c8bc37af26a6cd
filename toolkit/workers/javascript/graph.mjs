// Reads from an .onnx file how many nodes its graph has: it looks at the tags of the protocol buffer,
// and skips what they enclose.

const MODEL = { graph: 7 };
const GRAPH = { node: 1 };

/** Counts the nodes of the main graph. `read(position, length)` gives bytes, fewer at the end. */
export function nodes(read, size) {
  let count = 0;
  for (const graph of inside(read, { start: 0, end: size }, MODEL.graph)) {
    count += [...inside(read, graph, GRAPH.node)].length;
  }
  return count;
}

/** The ranges of the fields with this number within a message. */
function* inside(read, { start, end }, number) {
  let position = start;
  while (position < end) {
    const head = read(position, 20); // A tag and a length have ten bytes each at most.
    const [tag, first] = varint(head, 0);
    const [value, second] = (tag & 7) === 2 ? varint(head, first) : [0, first];
    const from = position + second;
    position = from + { 0: 0, 1: 8, 2: value, 5: 4 }[tag & 7];
    if ((tag & 7) === 0) position += varint(head, first)[1] - first;
    if (!(position <= end)) throw new Error('the file is no whole protocol buffer');
    if ((tag & 7) === 2 && tag >>> 3 === number) yield { start: from, end: position };
  }
}

/** A number, and the position behind it. */
function varint(bytes, position) {
  let [value, factor] = [0, 1];
  for (let i = position; i < bytes.length; i++, factor *= 128) {
    value += (bytes[i] & 127) * factor;
    if (bytes[i] < 128) return [value, i + 1];
  }
  throw new Error('the file is no whole protocol buffer');
}
