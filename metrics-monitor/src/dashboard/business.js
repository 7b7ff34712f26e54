// The service's own metrics: the figures of each, and its trend.

import { LineChart } from "./lines.js";
import { byId, keyed, make, setText } from "./dom.js";
import { count, duration, percent, plain } from "./format.js";
import { say } from "./words.js";

/** The maximum number of metrics with a chart, as many as the service sends; the others show their figures only. */
const MAX_CHARTS = 24;

const always = () => true;

/** How each kind is shown: its main figure, the others, and its chart. */
const kinds = {
  counter: {
    figures: ({ value, per_second }) => [count(value), say("per_minute", plain(per_second * 60))],
    chart: {
      format: plain, counts: always,
      series: [{ name: "a_minute", colour: "p95", area: true, value: (p) => p.per_second * 60 }],
    },
  },
  gauge: {
    figures: ({ value }) => [plain(value)],
    chart: {
      format: plain, counts: always,
      series: [{ name: "value", colour: "p50", value: (p) => p.value }],
    },
  },
  timer: {
    figures: ({ calls, avg_time, p95_time, p99_time, max_time }) => [
      duration(avg_time), `${count(calls)}×`, `P95 ${duration(p95_time)}`, `P99 ${duration(p99_time)}`,
      `${say("maximum")} ${duration(max_time)}`,
    ],
    chart: {
      format: duration, least: 1e-6, counts: (p) => p.calls > 0,
      unit: (top) => [1, 1e-3, 1e-6].find((unit) => top >= unit) ?? 1e-6,
      series: [
        { name: "p99", colour: "p99", value: (p) => (p.calls ? p.p99_time : null) },
        { name: "p95", colour: "p95", value: (p) => (p.calls ? p.p95_time : null) },
        { name: "p50", colour: "p50", value: (p) => (p.calls ? p.p50_time : null) },
        { name: "average", colour: "muted", dashed: true, value: (p) => (p.calls ? p.avg_time : null) },
      ],
    },
  },
  hit_ratio: {
    figures: ({ hit_rate, hits, misses }) => [
      percent(hit_rate), say("hits", count(hits)), say("misses", count(misses)),
    ],
    chart: {
      format: percent, least: 100, most: 100, counts: (p) => p.hits + p.misses > 0,
      series: [{ name: "hit_rate", colour: "p50", area: true, value: (p) => (p.hits + p.misses ? p.hit_rate : null) }],
    },
  },
  unique_count: {
    figures: ({ today, yesterday }) => [count(today), say("yesterday", count(yesterday))],
    chart: {
      format: count, least: 4, counts: always,
      series: [{ name: "today", colour: "p95", area: true, value: (p) => p.today }],
    },
  },
};

const kindOf = ({ kind }) => kinds[kind] ?? kinds.gauge;

/** The name of a metric's series, as `history?metric=` takes it: jobs, jobs{queue="mail"}. */
function seriesOf({ name, labels }) {
  if (!labels) return name;
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${value.replace(/[\\"]/g, "\\$&")}"`);
  return `${name}{${pairs.join(",")}}`;
}

const keyOf = (metric) => `${metric.kind} ${seriesOf(metric)}`;

/** What a card is called: the words of the name, and the labels. */
const titleOf = ({ name, labels }) =>
  [name.replaceAll("_", " "), ...Object.entries(labels ?? {}).map(([label, value]) => `${label}: ${value}`)].join(" · ");

export class Business {
  /** Charts by the name of the series. */
  #charts = new Map();
  #panel = byId("business");
  #grid = byId("business").querySelector(".grid");

  /** Shows the figures of a window. */
  set({ metrics }) {
    this.#panel.hidden = metrics.length === 0;
    const known = new Set(metrics.map(keyOf));
    for (const [name, { chart, key }] of this.#charts) {
      if (known.has(key)) continue;
      chart.remove();
      this.#charts.delete(name);
    }
    keyed(this.#grid, metrics, keyOf, (metric) => this.#card(metric), (card, metric) => {
      const [title, first, others] = card.children;
      setText(title, titleOf(metric));
      const [main, ...rest] = kindOf(metric).figures(metric);
      setText(first, main);
      setText(others, rest.join(" · ") || "\u00a0");
      card.dataset.value = metric.value;
    });
  }

  /** Shows the trend of a series. */
  setTrend(name, points) {
    const known = this.#charts.get(name);
    if (!known) return;
    known.chart.loaded = true;
    known.chart.set(points);
  }

  /** Clears the trends, for another window. */
  clear() {
    for (const { chart } of this.#charts.values()) {
      chart.loaded = false;
      chart.set([]);
    }
  }

  translate() {
    for (const { chart } of this.#charts.values()) chart.translate();
  }

  #card(metric) {
    const host = make("div", { class: "chart small" });
    const card = make("div", { class: "card" }, make("h3"), make("b"), make("p"), host);
    if (this.#charts.size < MAX_CHARTS) {
      const chart = new LineChart(host, titleOf(metric), kindOf(metric).chart);
      this.#charts.set(seriesOf(metric), { chart, key: keyOf(metric) });
    }
    return card;
  }
}
