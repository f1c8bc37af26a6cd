// A pad to draw a digit on. The network was trained on scikit-learn's digits: each was a bitmap of
// 32×32, scaled to its frame, and each of the 8×8 inputs is the share of ink in a block of 4×4.

const LABELS = ["odd", "five or more"];
const BITMAP = 32;
const FIELDS = 8;
const PEN = 4.5; // The width of a stroke in the bitmap, about that of the digits it was trained on.
const STEP = 0.04; // Of the pad's width, for an arrow key.

const byId = (id) => document.getElementById(id);

const strokes = []; // Lists of points { x, y } with 0 ≤ x, y ≤ 1.
const cursor = { x: 0.5, y: 0.3, down: false, shown: false };

/** `run` and `latency` take inputs; `drawn` is told the input of each finished drawing. */
export function show({ run, latency, drawn }) {
  const pad = byId("pad");
  meters();
  byId("digits").hidden = false;
  const changed = throttled(() => read(run));
  const finished = async () => {
    const input = pixels();
    if (!input) return;
    drawn(input);
    byId("digit-latency").textContent = await latency([input]);
  };
  const redraw = () => {
    draw(pad);
    changed();
  };
  pointers(pad, redraw, finished);
  keys(pad, redraw, finished);
  byId("clear").addEventListener("click", () => {
    clear();
    redraw();
  });
  new ResizeObserver(() => draw(pad)).observe(pad);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
}

function clear() {
  strokes.length = 0;
  cursor.down = false;
  byId("digit-latency").textContent = "";
}

function pointers(pad, redraw, finished) {
  const place = (event) => {
    const frame = pad.getBoundingClientRect();
    const within = (value) => Math.min(1, Math.max(0, value));
    return {
      x: within((event.clientX - frame.left) / frame.width),
      y: within((event.clientY - frame.top) / frame.height),
    };
  };
  let stroke = null;
  pad.addEventListener("pointerdown", (event) => {
    pad.setPointerCapture(event.pointerId);
    cursor.shown = false;
    stroke = [place(event)];
    strokes.push(stroke);
    redraw();
  });
  pad.addEventListener("pointermove", (event) => {
    if (!stroke) return;
    for (const moved of event.getCoalescedEvents?.() ?? [event]) stroke.push(place(moved));
    redraw();
  });
  const end = () => {
    if (!stroke) return;
    stroke = null;
    finished();
  };
  pad.addEventListener("pointerup", end);
  pad.addEventListener("pointercancel", end);
}

function keys(pad, redraw, finished) {
  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  pad.addEventListener("keydown", (event) => {
    if (event.key === "Escape") clear();
    else if (event.key === " ") lower(finished);
    else if (moves[event.key]) move(moves[event.key]);
    else return;
    cursor.shown = true;
    event.preventDefault();
    redraw();
  });
  pad.addEventListener("blur", () => {
    cursor.shown = false;
    redraw();
  });
}

function lower(finished) {
  cursor.down = !cursor.down;
  if (cursor.down) strokes.push([{ x: cursor.x, y: cursor.y }]);
  else finished();
}

function move([right, down]) {
  cursor.x = Math.min(1, Math.max(0, cursor.x + right * STEP));
  cursor.y = Math.min(1, Math.max(0, cursor.y + down * STEP));
  if (cursor.down) strokes.at(-1).push({ x: cursor.x, y: cursor.y });
}

/** Draws the strokes as a person made them, and the cursor while it is moved by keys. */
function draw(pad) {
  const size = Math.round(pad.clientWidth * devicePixelRatio);
  if (pad.width !== size) pad.width = pad.height = size;
  const style = getComputedStyle(document.documentElement);
  const context = pad.getContext("2d");
  context.clearRect(0, 0, size, size);
  context.strokeStyle = style.getPropertyValue("--ink");
  trace(context, (point) => [point.x * size, point.y * size], size / 13);
  if (!cursor.shown) return;
  context.beginPath();
  context.arc(cursor.x * size, cursor.y * size, size / 30, 0, 7);
  context.lineWidth = size / 100;
  context.strokeStyle = context.fillStyle = style.getPropertyValue("--accent");
  if (cursor.down) context.fill();
  else context.stroke();
}

function trace(context, place, width) {
  context.lineWidth = width;
  context.lineCap = context.lineJoin = "round";
  for (const stroke of strokes) {
    context.beginPath();
    context.moveTo(...place(stroke[0]));
    for (const point of stroke) context.lineTo(...place(point));
    context.stroke();
  }
}

/** The input of the network: the drawing scaled to its frame, as the digits of the data set are. */
function pixels() {
  const points = strokes.flat();
  if (!points.length) return null;
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, right, top, bottom] = [
    Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys),
  ];
  const scale = (BITMAP - PEN) / Math.max(right - left, bottom - top, 0.05);
  const canvas = new OffscreenCanvas(BITMAP, BITMAP);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const centre = (value, low, high) => BITMAP / 2 + (value - (low + high) / 2) * scale;
  trace(context, ({ x, y }) => [centre(x, left, right), centre(y, top, bottom)], PEN);
  const bitmap = context.getImageData(0, 0, BITMAP, BITMAP).data;
  const block = BITMAP / FIELDS;
  const data = new Float32Array(FIELDS * FIELDS);
  for (let i = 0; i < BITMAP * BITMAP; i++) {
    const inked = bitmap[4 * i + 3] > 127;
    const field = Math.floor(i / BITMAP / block) * FIELDS + Math.floor((i % BITMAP) / block);
    if (inked) data[field] += 1 / (block * block);
  }
  return { type: "float32", dims: [1, FIELDS * FIELDS], data };
}

async function read(run) {
  const input = pixels();
  seen(input?.data ?? new Float32Array(FIELDS * FIELDS));
  if (!input) return say(null);
  const [output] = await run([input]);
  say(Array.from(output.data));
}

function seen(data) {
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  const context = byId("seen").getContext("2d");
  context.clearRect(0, 0, FIELDS, FIELDS);
  context.fillStyle = ink;
  data.forEach((share, i) => {
    context.globalAlpha = share;
    context.fillRect(i % FIELDS, Math.floor(i / FIELDS), 1, 1);
  });
  context.globalAlpha = 1;
}

function meters() {
  byId("meters").replaceChildren(
    ...LABELS.map((label) => {
      const meter = document.createElement("div");
      meter.className = "meter";
      meter.role = "meter";
      meter.ariaLabel = label;
      meter.ariaValueMin = "0";
      meter.ariaValueMax = "100";
      const head = document.createElement("div");
      const value = document.createElement("span");
      head.append(label, value);
      const bar = document.createElement("div");
      bar.className = "bar";
      bar.append(document.createElement("span"));
      meter.append(head, bar);
      return meter;
    }),
  );
}

/** Shows the two outputs, and which digits they leave. */
function say(shares) {
  [...byId("meters").children].forEach((meter, i) => {
    const percent = shares ? `${(100 * shares[i]).toFixed(1)} %` : "–";
    meter.firstChild.lastChild.textContent = percent;
    meter.lastChild.firstChild.style.width = shares ? `${100 * shares[i]}%` : "0";
    meter.ariaValueNow = shares ? (100 * shares[i]).toFixed(1) : null;
    meter.ariaValueText = percent;
  });
  byId("reading").textContent = shares ? sentence(shares) : "Draw one large digit.";
}

function sentence([odd, five]) {
  const left = [...Array(10).keys()].filter((n) => (n % 2 === 1) === odd > 0.5 && n >= 5 === five > 0.5);
  const last = left.pop();
  const parity = odd > 0.5 ? "Odd" : "Even";
  return `${parity}, and ${five > 0.5 ? "five or more" : "less than five"}: ${left.join(", ")} or ${last}.`;
}

/** Returns a function that runs the task at most once a frame. */
function throttled(task) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      task();
    });
  };
}
