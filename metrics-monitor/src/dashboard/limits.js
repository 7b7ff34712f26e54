// The limits of figures: the thresholds of the alert rules.

import { duration, percent, plain } from "./format.js";
import { say } from "./words.js";

/** The lowest threshold of each metric among the rules for the whole service: in seconds, per cent or calls. */
export const limits = {};

/** The metrics that exceed their limit by reaching it. */
const inclusive = new Set();

/** The metrics whose limit a rule for the whole service finds exceeded. */
const alerting = new Set();

/** Sets the limits from the rules. Returns whether a limit changed. */
export function setLimits(rules) {
  const now = {};
  const upwards = rules.filter(({ comparison, scope }) =>
    (scope === "service" || scope === "matched") && comparison.startsWith(">"));
  for (const { metric, threshold } of upwards) now[metric] = Math.min(now[metric] ?? Infinity, threshold);
  const lowest = upwards.filter(({ metric, threshold }) => threshold === now[metric]);
  inclusive.clear();
  alerting.clear();
  for (const { metric, comparison } of lowest) if (comparison === ">=") inclusive.add(metric);
  for (const { metric, state } of upwards) if (state === "firing" || state === "pending") alerting.add(metric);
  const changed = JSON.stringify(now) !== JSON.stringify(limits);
  for (const metric of Object.keys(limits)) delete limits[metric];
  Object.assign(limits, now);
  return changed;
}

const named = {
  p50: duration, p95: duration, p99: duration, p999: duration, average: duration,
  error_rate: percent, client_error_rate: percent, server_error_rate: percent, requests_per_second: plain,
};

/** Returns the limits of these metrics for a chart. */
export function limitsOf(...metrics) {
  return metrics.filter((metric) => metric in limits).map((metric) => ({ name: metric, value: limits[metric] }));
}

/** Returns the limits of these metrics as text; empty if there are none. */
export function limitsText(...metrics) {
  const texts = limitsOf(...metrics).map(({ name, value }) => `${say(name)} ${named[name](value)}`);
  return texts.length ? say("limits", texts.join(", ")) : "";
}

/** Formats a value of a metric of a rule. */
export const formatted = (metric, value) => (named[metric] ?? plain)(value);

/** Whether a metric exceeds its limit. */
export const isOver = (metric, value) =>
  metric in limits && (value > limits[metric] || (inclusive.has(metric) && value === limits[metric]));

/** Whether a metric of the whole service exceeds its limit, and an alert says so: a rule may want more calls, or leave
 * out strangers' probes, which the figures on this page have. */
export const isServiceOver = (metric, value) => alerting.has(metric) && isOver(metric, value);
