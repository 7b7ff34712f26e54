// The frame of a chart: axes, pointer, the span that is chosen, marks and tooltip.

import { colour, drawn, EDGE, LEAST_DRAG, prepared, redraw, shared, tooltip, zoom } from "./axis.js";
import { make, setText } from "./dom.js";
import { tick, time } from "./format.js";
import { timeTicks } from "./scales.js";
import { say } from "./words.js";

/** The frame of a chart: axes, pointer line and tooltip. Subclasses draw the content. */
export class Chart {
  points = [];
  /** The points of what the chart is compared with, moved to the times of its own; `null` without a comparison. */
  compared = null;
  /** What the comparison is called. */
  comparison = null;
  /** Whether nothing is kept of what the page is narrowed to. */
  unkept = false;

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
    this.host.dataset.compared = this.compared?.length ?? "";
    redraw();
  }

  /** Whether a point has calls of which the history keeps nothing that this chart shows. */
  #lacks(point) {
    return point.total_calls > 0 && !this.knows(point);
  }

  /** What the chart says if it shows nothing. */
  #absence(visible) {
    if (this.unkept || visible.some((point) => this.#lacks(point))) return say("not_kept");
    return say(this.loaded ? "no_data" : "waiting");
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

  #nearest(points = this.points) {
    const distance = (point) => Math.abs((point.start + point.end) / 2 - shared.at);
    return points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
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
    const empty = !visible.some((point) => this.counts(point) && !this.#lacks(point));
    this.note.hidden = !empty;
    setText(this.note, this.#absence(visible));

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
    const latest = this.points.findLast((point) => this.counts(point) && !this.#lacks(point));
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
    const earlier = this.compared?.length ? this.lines(this.#nearest(this.compared)) : [];
    const lines = this.lines(point).map(({ name, text, colour }) => {
      const before = earlier.find((line) => line.name === name);
      const mark = make("i", { "data-colour": colour });
      const faint = before ? make("s", {}, before.text) : "";
      return make("li", {}, mark, make("span", {}, name), make("b", {}, text), faint);
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
