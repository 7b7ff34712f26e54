// Charts of lines, and sparklines.

import { colour, prepared, redraw } from "./axis.js";
import { Chart } from "./chart.js";
import { make, setText } from "./dom.js";
import { linearScale, logScale } from "./scales.js";
import { say } from "./words.js";

/**
 * Lines over time. `series` are `{ name, colour, value, area, dashed, rare }`; a rare one is in the legend only if it
 * has values. `limits` are `{ name, value }`. A linear axis ends between `least` and `most`, with values that are round in
 * `unit`; `log` selects a logarithmic axis. A null value is a gap.
 */
export class LineChart extends Chart {
  constructor(host, title, options) {
    super(host, title);
    const called = (point) => point.total_calls > 0;
    const usual = { limits: [], least: 1, most: Infinity, unit: () => 1, log: false, counts: called };
    // Charts of one kind share what their series are, but not which of them are hidden.
    const series = options.series.map((one) => ({ ...one, hidden: false }));
    Object.assign(this, usual, options, { series });
    this.translate();
  }

  /** Whether any series has a value of a point. */
  knows(point) {
    return this.series.some(({ value }) => value(point) !== null);
  }

  set(points) {
    super.set(points);
    this.series.forEach(({ rare, value }, i) => {
      if (rare) this.legend.children[i + 1].hidden = !points.some((point) => value(point) !== null);
    });
    const faint = this.legend.firstElementChild;
    faint.hidden = this.compared === null;
    setText(faint.lastElementChild, this.compared?.length === 0 ? say("compared_nothing") : this.comparison ?? "");
  }

  /** The series that the legend shows and the user has not hidden. */
  get visible() {
    return this.series.filter(({ hidden }) => !hidden);
  }

  translate() {
    const faint = make("li", { class: "faint" }, make("i", { "data-colour": "muted" }), make("span"));
    this.legend.replaceChildren(faint, ...this.series.map((series) => make("li", {}, this.#switch(series))));
    this.set(this.points);
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
    const points = this.points.concat(this.compared ?? []);
    const values = points.flatMap((point) => this.visible.map(({ value }) => value(point)));
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

  paint(place, points) {
    const { context, y, scale, right, top } = place;
    context.globalAlpha = 0.55;
    for (const series of this.visible) this.#line(place, { ...series, area: false }, this.compared ?? [], 1.25);
    context.globalAlpha = 1;
    for (const series of this.visible) this.#line(place, series, points, series.dashed ? 1.25 : 1.75);
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

  /** The line of a series. */
  #line({ context, x, y, bottom }, { colour: key, value, area, dashed }, points, width) {
    context.strokeStyle = colour(key);
    context.lineWidth = width;
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
    context.setLineDash([]);
  }

  rowsOf({ end, seconds, ...point }) {
    const values = this.visible.map(({ name, value }) => [name, value({ end, seconds, ...point })]);
    return [{ time: new Date(end).toISOString(), seconds, ...Object.fromEntries(values) }];
  }

  lines(point) {
    return this.visible
      .filter(({ value }) => value(point) !== null)
      .map(({ name, colour, value }) => {
        const known = value(point);
        return { name: say(name) ?? name, colour, value: known, text: this.format(known) };
      });
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
