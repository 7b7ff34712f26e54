// A heat map: the distribution of durations over time.

import { colour } from "./axis.js";
import { Chart } from "./chart.js";
import { make } from "./dom.js";
import { duration } from "./format.js";
import { logScale } from "./scales.js";
import { say } from "./words.js";

/** The number of requests by duration, over time. */
export class HeatMap extends Chart {
  constructor(host, title) {
    super(host, title);
    this.translate();
  }

  translate() {
    this.legend.replaceChildren(make("li", {}, say("few")), make("li", { class: "ramp" }), make("li", {}, say("many")));
  }

  counts(point) {
    return point.total_calls > 0;
  }

  knows(point) {
    return point.latencies !== null;
  }

  format(value) {
    return duration(value);
  }

  scale() {
    const ends = this.points.flatMap((point) => (point.latencies ?? []).map(([end]) => end));
    const [low, high] = ends.length ? [Math.min(...ends) / 2, Math.max(...ends)] : [1e-4, 1];
    return logScale(low, high);
  }

  paint({ context, x, y }, shown) {
    const points = shown.filter((point) => this.knows(point));
    const stops = [0, 1, 2, 3, 4].map((stop) => channels(colour(`heat-${stop}`)));
    const density = (point, count) => count / Math.max((point.end - point.start) / 1_000, 0.001);
    let most = 0;
    for (const point of points) for (const [, count] of point.latencies) most = Math.max(most, density(point, count));
    for (const point of points) {
      const left = Math.round(x(point.start));
      const wide = Math.max(1, Math.round(x(point.end)) - left);
      for (const [end, count] of point.latencies) {
        // Logarithmic, since counts differ by powers of ten and a single slow request must be visible.
        const part = 0.15 + 0.85 * (Math.log1p(density(point, count)) / Math.log1p(most));
        const top = Math.round(y(end));
        context.fillStyle = mixed(stops, part);
        context.fillRect(left, top, wide, Math.max(1, Math.round(y(end / 2)) - top));
      }
    }
  }

  rowsOf({ end, latencies }) {
    return (latencies ?? []).map(([upTo, requests]) => ({ time: new Date(end).toISOString(), up_to_seconds: upTo, requests }));
  }

  lines(point) {
    return (point.latencies ?? []).toReversed().map(([end, count]) => {
      const name = `${duration(end / 2)} – ${duration(end)}`;
      return { name, value: count, text: say("requests", String(count)), colour: "p95" };
    });
  }
}

function channels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

function mixed(stops, part) {
  const at = Math.min(part, 0.9999) * (stops.length - 1);
  const [low, high] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
  return `rgb(${low.map((channel, i) => Math.round(channel + (high[i] - channel) * (at % 1))).join(" ")})`;
}
