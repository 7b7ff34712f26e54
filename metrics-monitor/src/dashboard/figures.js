// The charts of requests and of what the process uses.

import { byId } from "./dom.js";
import { bytes, count, duration, percent, plain } from "./format.js";
import { HeatMap } from "./heat.js";
import { LineChart } from "./lines.js";

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value) / values.length : null);

const withCalls = (value) => (point) => (point.total_calls > 0 ? value(point) : null);

const binary = (top) => 2 ** (10 * Math.floor(Math.log2(top) / 10));

const worst = (values) => (values.length ? Math.max(...values) : null);

/** The charts of requests. */
export const charts = {
  latency: new LineChart(byId("latency"), "latency", {
    log: true,
    least: 1,
    format: duration,
    series: [
      { name: "p99", colour: "p99", value: withCalls((p) => p.p99_response_time) },
      { name: "p95", colour: "p95", value: withCalls((p) => p.p95_response_time) },
      { name: "p50", colour: "p50", value: withCalls((p) => p.p50_response_time) },
      { name: "average", colour: "muted", dashed: true, value: withCalls((p) => p.avg_response_time) },
    ],
  }),
  heat: new HeatMap(byId("heat"), "heat"),
  throughput: new LineChart(byId("throughput"), "throughput", {
    format: plain,
    least: 1,
    series: [{ name: "throughput", colour: "p95", area: true, value: (p) => p.requests_per_second }],
  }),
  errors: new LineChart(byId("error-rate"), "error_rate", {
    format: percent,
    least: 6,
    most: 100,
    series: [
      { name: "client_errors", colour: "client", area: true, value: (p) => p.client_error_rate },
      { name: "server_errors", colour: "server", area: true, value: (p) => p.server_error_rate },
      // Of a consumer, the history does not tell classes apart.
      { name: "any_errors", colour: "server", area: true, rare: true, value: (p) => p.any_error_rate ?? null },
    ],
  }),
};

/** The charts of what the process uses. */
export const resources = {
  cpu: new LineChart(byId("cpu"), "cpu", {
    format: percent, least: 10, counts: () => true,
    series: [{ name: "cpu", colour: "p95", area: true, value: (p) => p.cpu_percent ?? null }],
  }),
  memory: new LineChart(byId("memory"), "memory", {
    format: bytes, least: 2 ** 20, unit: binary, counts: () => true,
    series: [{ name: "memory", colour: "p50", area: true, value: (p) => p.resident_bytes ?? null }],
  }),
  network: new LineChart(byId("network"), "network", {
    format: bytes, least: 2 ** 10, unit: binary,
    counts: () => true,
    series: [
      { name: "received", colour: "p95", value: (p) => p.network_received_per_second },
      { name: "sent", colour: "p50", value: (p) => p.network_sent_per_second },
    ],
  }),
  lag: new LineChart(byId("lag"), "lag", {
    format: duration, least: 0.01, counts: () => true,
    series: [{ name: "lag", colour: "p99", area: true, value: (p) => worst(p.worker_lags) }],
  }),
  busy: new LineChart(byId("busy"), "busy_workers", {
    format: percent, least: 10, most: 100, counts: (p) => p.worker_busy_percent.length > 0,
    series: [
      { name: "busiest", colour: "p95", area: true, value: (p) => worst(p.worker_busy_percent) },
      { name: "average", colour: "muted", dashed: true, value: (p) => mean(p.worker_busy_percent) },
    ],
  }),
  files: new LineChart(byId("files"), "files", {
    format: count, least: 10, counts: (p) => p.open_files !== null || p.threads !== null,
    series: [
      { name: "open_files", colour: "p95", value: (p) => p.open_files ?? null },
      { name: "threads", colour: "p50", value: (p) => p.threads ?? null },
    ],
  }),
};

/**
 * Shows the points of the charts of requests, and beside them those that they are compared with, `null` if with none;
 * `comparison` is what these are called.
 */
export function showPoints(points, { compared, comparison, unkept }) {
  for (const chart of Object.values(charts)) {
    Object.assign(chart, { compared, comparison, unkept });
    chart.set(points);
  }
}

/** Says whether the charts of requests have what was requested for them. */
export function setLoaded(loaded) {
  for (const chart of Object.values(charts)) chart.loaded = loaded;
}
