// Charts on canvas: frame, lines and sparklines. All share one time axis.

import { make, setText } from "./dom.js";
import { tick, time } from "./format.js";
import { linearScale, logScale, timeTicks } from "./scales.js";
import { say } from "./words.js";

const EDGE = { left: 54, right: 12, top: 12, bottom: 24 };

/** What all charts share: the time span, the resets, the gaps of restarts, the changes of alerts, the time under the
 * pointer, and the span that is being chosen. */
const shared = { from: 0, to: 1, resets: [], gaps: [], changes: [], at: null, drag: null };

/** The least width of a span that is dragged, in CSS pixels: less is a click. */
const LEAST_DRAG = 6;

/** Is called with the ends of a span, in milliseconds. */
let zoom = () => {};

/** Calls `choose` with each span that is dragged over a chart. */
export function onZoom(choose) {
  zoom = choose;
}

/** Marks when alerts began to fire and were resolved: `{ at, change, rule }`. */
export function showMarks(changes) {
  shared.changes = changes;
  redraw();
}

const drawn = new Set();
let drawing = 0;

/** Shows a time span, in milliseconds. */
export function showTime(from, to) {
  Object.assign(shared, { from, to });
  redraw();
}

/** Marks the resets, in milliseconds. */
export function showResets(resets) {
  shared.resets = resets;
  redraw();
}

/** Marks the times in which no process counted, each with its beginning and its end in milliseconds. */
export function showGaps(gaps) {
  shared.gaps = gaps;
  redraw();
}

export function redraw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    for (const chart of drawn) chart.draw();
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

let tip;

function tooltip() {
  tip ??= document.body.appendChild(make("div", { id: "tip", role: "presentation", hidden: true }));
  return tip;
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Fits a canvas to the screen. Returns its context, and its size in CSS pixels. */
function prepared(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

/** The frame of a chart: axes, pointer line and tooltip. Subclasses draw the content. */
export class Chart {
  points = [];

  constructor(host, title) {
    this.title = title;
    this.canvas = make("canvas", { role: "img", tabindex: "0" });
    this.note = make("p", { class: "empty" });
    this.legend = make("ul", { class: "legend" });
    this.host = host;
    host.append(this.canvas, this.note, this.legend);
    drawn.add(this);
    this.resized = new ResizeObserver(redraw);
    this.resized.observe(this.canvas);
    this.canvas.addEventListener("pointermove", (event) => {
      this.#point(event.offsetX);
      if (this.dragged !== undefined && Math.abs(event.offsetX - this.dragged) >= LEAST_DRAG) {
        shared.drag = [this.#time(this.dragged), shared.at];
      }
    });
    // A tap is a press without a move, and its pointer leaves when the finger does.
    this.canvas.addEventListener("pointerdown", (event) => {
      this.#point(event.offsetX);
      if (event.button !== 0) return;
      this.dragged = event.offsetX;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointerup", () => this.#choose());
    this.canvas.addEventListener("pointercancel", () => this.#cancel());
    this.canvas.addEventListener("pointerleave", ({ pointerType }) => pointerType === "touch" || this.#leave());
    this.elsewhere = ({ target }) => this.pointed && target !== this.canvas && this.#leave();
    document.addEventListener("pointerdown", this.elsewhere);
    this.canvas.addEventListener("blur", () => this.#leave());
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** Stops drawing. The caller removes the elements. */
  remove() {
    drawn.delete(this);
    this.resized.disconnect();
    document.removeEventListener("pointerdown", this.elsewhere);
    if (this.pointed) this.#leave();
  }

  /** Shows these points. Each spans `start` to `end`, in milliseconds. */
  set(points) {
    this.points = points;
    this.host.dataset.points = points.length;
    redraw();
  }

  /** What it shows, as rows of names and values. */
  rows() {
    const shown = this.points.filter((point) => point.end > shared.from && point.start < shared.to);
    return shown.flatMap((point) => this.rowsOf(point));
  }

  #inside(width) {
    return width - EDGE.left - EDGE.right;
  }

  /** The time at a place. */
  #time(x) {
    const part = (x - EDGE.left) / this.#inside(this.canvas.clientWidth);
    return shared.from + Math.max(0, Math.min(part, 1)) * (shared.to - shared.from);
  }

  #point(x) {
    shared.at = this.#time(x);
    this.pointed = true;
    redraw();
  }

  /** Shows nothing but the span that was dragged. */
  #choose() {
    const span = shared.drag?.toSorted((a, b) => a - b);
    this.#cancel();
    if (span) zoom({ from: span[0], to: span[1] });
  }

  #cancel() {
    this.dragged = undefined;
    shared.drag = null;
    redraw();
  }

  #leave() {
    this.pointed = false;
    shared.at = null;
    tooltip().hidden = true;
    redraw();
  }

  /** Moves from point to point with the arrow keys; with Shift, chooses a span, which Enter shows alone. */
  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (event.key === "Enter") this.#choose();
    if (event.key === "Escape") {
      this.#cancel();
      this.#leave();
    }
    if (!step || this.points.length === 0) return;
    event.preventDefault();
    const here = shared.at === null ? this.points.length : this.points.indexOf(this.#nearest());
    const point = this.points[Math.max(0, Math.min(here + step, this.points.length - 1))];
    const begin = shared.drag?.[0] ?? shared.at ?? this.points.at(-1).end;
    shared.at = (point.start + point.end) / 2;
    shared.drag = event.shiftKey ? [begin, shared.at] : null;
    this.pointed = true;
    redraw();
  }

  #nearest() {
    const distance = (point) => Math.abs((point.start + point.end) / 2 - shared.at);
    return this.points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
  }

  draw() {
    const { context, width, height } = prepared(this.canvas);
    if (width < EDGE.left + EDGE.right + 20) return;
    const [right, bottom] = [width - EDGE.right, height - EDGE.bottom];
    const span = shared.to - shared.from;
    const x = (at) => EDGE.left + ((at - shared.from) / span) * this.#inside(width);
    const scale = this.scale();
    const y = (value) => bottom - scale.place(value) * (bottom - EDGE.top);
    const visible = this.points.filter((point) => point.end > shared.from && point.start < shared.to);
    const empty = !visible.some((point) => this.counts(point));
    this.note.hidden = !empty;
    setText(this.note, say(this.loaded ? "no_data" : "waiting"));

    context.font = "11px system-ui, sans-serif";
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    for (const value of scale.ticks) {
      const at = Math.round(y(value)) + 0.5;
      context.strokeStyle = colour("grid");
      context.beginPath();
      context.moveTo(EDGE.left, at);
      context.lineTo(right, at);
      context.stroke();
      context.fillStyle = colour("muted");
      context.fillText(this.format(value), EDGE.left - 8, at);
    }
    context.textAlign = "center";
    const { ticks, withSeconds } = timeTicks(shared.from, shared.to, this.#inside(width) / 84);
    for (const at of ticks) {
      context.strokeStyle = colour("grid");
      context.beginPath();
      context.moveTo(Math.round(x(at)) + 0.5, bottom);
      context.lineTo(Math.round(x(at)) + 0.5, bottom + 4);
      context.stroke();
      const label = tick(at, withSeconds);
      const half = context.measureText(label).width / 2;
      context.fillText(label, Math.max(EDGE.left + half - 8, Math.min(x(at), width - half - 2)), bottom + 14);
    }
    context.save();
    context.beginPath();
    context.rect(EDGE.left, EDGE.top - 4, right - EDGE.left, bottom - EDGE.top + 5);
    context.clip();
    this.paint({ context, x, y, scale, left: EDGE.left, right, top: EDGE.top, bottom }, visible);
    context.restore();
    this.#markGaps(context, x, bottom, right);
    this.#markResets(context, x, bottom);
    this.#markAlerts(context, x, bottom);
    this.#showDrag(context, x, bottom);

    const point = shared.at === null || visible.length === 0 ? null : this.#nearest();
    if (point) {
      const at = Math.round(x((point.start + point.end) / 2)) + 0.5;
      context.strokeStyle = colour("muted");
      context.setLineDash([3, 3]);
      context.beginPath();
      context.moveTo(at, EDGE.top);
      context.lineTo(at, bottom);
      context.stroke();
      context.setLineDash([]);
      if (this.pointed) this.#explain(point, at);
    }
    const latest = this.points.findLast((point) => this.counts(point));
    const lines = latest ? this.lines(latest) : [];
    this.host.dataset.values = lines.map(({ value }) => value).join(" ");
    const values = latest ? lines.map(({ name, text }) => `${name} ${text}`) : [this.note.textContent];
    const label = `${say(this.title) ?? this.title}: ${values.join(", ")}`;
    if (this.canvas.getAttribute("aria-label") !== label) this.canvas.setAttribute("aria-label", label);
  }

  #markGaps(context, x, bottom, right) {
    const gaps = shared.gaps.filter(({ from, until }) => until > shared.from && from <= shared.to);
    this.host.dataset.gaps = gaps.length;
    context.fillStyle = colour("grid");
    for (const { from, until } of gaps) {
      const [begin, end] = [Math.max(x(from), EDGE.left), Math.min(x(until), right)];
      context.fillRect(begin, EDGE.top, Math.max(1, end - begin), bottom - EDGE.top);
    }
    // Only the last one is labelled, since a service can restart often.
    if (gaps.length) {
      const name = say("restart");
      const room = right - context.measureText(name).width;
      context.fillStyle = colour("muted");
      context.textAlign = "left";
      context.fillText(name, Math.min(Math.max(x(gaps.at(-1).from), EDGE.left) + 4, room), EDGE.top + 12);
    }
  }

  #markResets(context, x, bottom) {
    const resets = shared.resets.filter((at) => at > shared.from && at <= shared.to);
    this.host.dataset.resets = resets.length;
    context.strokeStyle = context.fillStyle = colour("accent");
    context.textAlign = "left";
    context.setLineDash([2, 3]);
    for (const reset of resets) {
      const at = Math.round(x(reset)) + 0.5;
      context.beginPath();
      context.moveTo(at, EDGE.top - 4);
      context.lineTo(at, bottom);
      context.stroke();
    }
    context.setLineDash([]);
    // Only the last one is labelled, since resets can be close together.
    if (resets.length) {
      const name = say("reset");
      const at = x(resets.at(-1)) + 4;
      const room = this.canvas.clientWidth - EDGE.right - context.measureText(name).width;
      context.fillText(name, Math.min(at, room), EDGE.top);
    }
  }

  /** A line where an alert began to fire, a dashed one where it was resolved, each with a mark at its foot. */
  #markAlerts(context, x, bottom) {
    const changes = shared.changes.filter(({ at }) => at > shared.from && at <= shared.to);
    this.host.dataset.alerts = changes.length;
    for (const { at, change } of changes) {
      const place = Math.round(x(at)) + 0.5;
      context.strokeStyle = context.fillStyle = colour(change === "firing" ? "server" : "good");
      context.setLineDash(change === "firing" ? [] : [3, 3]);
      context.globalAlpha = 0.55;
      context.beginPath();
      context.moveTo(place, EDGE.top);
      context.lineTo(place, bottom);
      context.stroke();
      context.globalAlpha = 1;
      context.beginPath();
      context.moveTo(place - 4, bottom + (change === "firing" ? 0 : -5));
      context.lineTo(place + 4, bottom + (change === "firing" ? 0 : -5));
      context.lineTo(place, bottom + (change === "firing" ? -5 : 0));
      context.fill();
    }
    context.setLineDash([]);
  }

  #showDrag(context, x, bottom) {
    if (shared.drag === null) return;
    const [from, to] = shared.drag.map(x);
    context.fillStyle = colour("accent");
    context.globalAlpha = 0.18;
    context.fillRect(Math.min(from, to), EDGE.top, Math.abs(to - from), bottom - EDGE.top);
    context.globalAlpha = 1;
  }

  #explain(point, at) {
    const box = tooltip();
    const lines = this.lines(point).map(({ name, text, colour }) => {
      const mark = make("i", { "data-colour": colour });
      return make("li", {}, mark, make("span", {}, name), make("b", {}, text));
    });
    const span = make("p", {}, `${time(point.start)} – ${time(point.end)}`);
    const changed = shared.changes.filter((change) => change.at > point.start && change.at <= point.end);
    const alerts = changed.map(({ rule, change }) => make("p", {}, `${rule} ${say(change)}`));
    box.replaceChildren(span, lines.length ? make("ul", {}, ...lines) : say("no_data"), ...alerts);
    box.hidden = false;
    const { left, top } = this.canvas.getBoundingClientRect();
    const room = document.documentElement.clientWidth - 8;
    const beside = left + at + 14;
    const place = beside + box.offsetWidth > room ? left + at - 14 - box.offsetWidth : beside;
    box.style.left = `${Math.max(8, place) + scrollX}px`;
    box.style.top = `${top + EDGE.top + scrollY}px`;
  }
}

/**
 * Lines over time. `series` are `{ name, colour, value, area, dashed }`, `limits` are `{ name, value }`. A linear axis
 * ends between `least` and `most`, with values that are round in `unit`; `log` selects a logarithmic axis. A null value
 * is a gap.
 */
export class LineChart extends Chart {
  constructor(host, title, { series, format, limits = [], least = 1, most = Infinity, unit = () => 1, log = false, counts = (point) => point.total_calls > 0 }) {
    super(host, title);
    // Charts of one kind share what their series are, but not which of them are hidden.
    const own = series.map((one) => ({ ...one, hidden: false }));
    Object.assign(this, { series: own, format, limits, least, most, unit, log, counts });
    this.translate();
  }

  /** The series that the legend shows and the user has not hidden. */
  get visible() {
    return this.series.filter(({ hidden }) => !hidden);
  }

  translate() {
    this.legend.replaceChildren(...this.series.map((series) => make("li", {}, this.#switch(series))));
  }

  /** A button that hides a series, or shows it again. */
  #switch(series) {
    const { name, colour, dashed } = series;
    const button = make("button", { type: "button", "aria-pressed": String(!series.hidden) },
      make("i", { "data-colour": colour, "data-dashed": dashed }), say(name) ?? name);
    button.addEventListener("click", () => {
      series.hidden = !series.hidden;
      button.setAttribute("aria-pressed", String(!series.hidden));
      redraw();
    });
    return button;
  }

  scale() {
    const values = this.points.flatMap((point) => this.visible.map(({ value }) => value(point)));
    const known = values.filter((value) => value !== null && (!this.log || value > 0));
    const top = known.length ? Math.max(...known) : this.log ? this.least : 0;
    if (!this.log) {
      const wanted = Math.min(Math.max(top * 1.05, this.least), this.most);
      return linearScale(wanted, this.unit(wanted));
    }
    const low = known.length ? Math.min(...known) : this.least / 1_000;
    // A limit extends the axis if it is not far above the values.
    const near = this.limits.map(({ value }) => value).filter((value) => value <= top * 20);
    return logScale(Math.max(low, top / 1e6), Math.max(top, ...near));
  }

  paint({ context, x, y, scale, right, top, bottom }, points) {
    for (const { colour: key, value, area, dashed } of this.visible) {
      context.strokeStyle = colour(key);
      context.lineWidth = dashed ? 1.25 : 1.75;
      context.lineJoin = "round";
      context.setLineDash(dashed ? [4, 3] : []);
      for (const run of runs(points, value)) {
        context.beginPath();
        // A single point becomes a dash with a dot, which can be seen however short the step is.
        if (run.length === 1) context.moveTo(Math.min(x(run[0].start), x(run[0].end) - 3), y(value(run[0])));
        run.forEach((point) => context.lineTo(x(point.end), y(value(point))));
        context.stroke();
        if (run.length === 1) {
          context.beginPath();
          context.arc((x(run[0].start) + x(run[0].end)) / 2, y(value(run[0])), 2.5, 0, 2 * Math.PI);
          context.fillStyle = colour(key);
          context.fill();
          context.beginPath();
          context.moveTo(x(run[0].start), y(value(run[0])));
          context.lineTo(x(run[0].end), y(value(run[0])));
        }
        if (!area) continue;
        context.lineTo(x(run.at(-1).end), bottom);
        context.lineTo(x(run.length === 1 ? run[0].start : run[0].end), bottom);
        context.closePath();
        context.globalAlpha = 0.12;
        context.fillStyle = colour(key);
        context.fill();
        context.globalAlpha = 1;
      }
    }
    context.setLineDash([6, 4]);
    context.lineWidth = 1;
    this.limits.forEach(({ name, value }, i) => {
      const max = scale.ticks.at(-1);
      if (value > max) return;
      const at = Math.round(y(value)) + 0.5;
      context.strokeStyle = context.fillStyle = colour("limit");
      context.beginPath();
      context.moveTo(0, at);
      context.lineTo(right, at);
      context.stroke();
      context.textAlign = "right";
      const above = i === 0 && at - 8 > top;
      context.fillText(`${say("limit_of", say(name))} ${this.format(value)}`, right - 4, above ? at - 8 : at + 9);
    });
    context.setLineDash([]);
  }

  rowsOf({ end, seconds, ...point }) {
    const values = this.visible.map(({ name, value }) => [name, value({ end, seconds, ...point })]);
    return [{ time: new Date(end).toISOString(), seconds, ...Object.fromEntries(values) }];
  }

  lines(point) {
    return this.visible
      .filter(({ value }) => value(point) !== null)
      .map(({ name, colour, value }) => ({ name: say(name) ?? name, colour, value: value(point), text: this.format(value(point)) }));
  }
}

/** Splits points into runs without a gap. */
function runs(points, value) {
  const found = [];
  let last = null;
  for (const point of points) {
    if (value(point) === null) {
      last = null;
      continue;
    }
    const step = point.end - point.start;
    if (last && point.start - last.end < step / 2 + 500) found.at(-1).push(point);
    else found.push([point]);
    last = point;
  }
  return found;
}

/** Draws a small chart of requests per second, with marks for server errors. */
export function sparkline(canvas, points) {
  const { context, width, height } = prepared(canvas);
  if (points.length === 0 || width === 0) return;
  const [from, to] = [points[0].start, points.at(-1).end];
  const top = Math.max(...points.map((point) => point.requests_per_second), 1e-9);
  const x = (at) => ((at - from) / Math.max(to - from, 1)) * width;
  const y = (value) => height - 2 - (value / top) * (height - 4);
  context.strokeStyle = context.fillStyle = colour("p95");
  context.lineWidth = 1.25;
  context.lineJoin = "round";
  context.beginPath();
  context.moveTo(0, y(points[0].requests_per_second));
  for (const point of points) context.lineTo(x(point.end), y(point.requests_per_second));
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(0, height);
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
  context.fillStyle = colour("server");
  for (const point of points) {
    if (point.server_errors > 0) context.fillRect(x(point.end) - 2, height - 2, 2, 2);
  }
}
