// The limits of figures: the thresholds of the alert rules.

import { duration, percent, plain } from "./format.js";
import { say } from "./words.js";

/** The lowest threshold of each metric among the rules for the whole service: in seconds, per cent or calls. */
export const limits = {};

/** The metrics that exceed their limit by reaching it. */
const inclusive = new Set();

/** Sets the limits from the rules. Returns whether a limit changed. */
export function setLimits(rules) {
  const now = {};
  for (const { metric, comparison, threshold, scope } of rules) {
    if (scope !== "service" || !comparison.startsWith(">")) continue;
    now[metric] = Math.min(now[metric] ?? Infinity, threshold);
  }
  const meets = ({ metric, comparison, threshold, scope }) =>
    scope === "service" && comparison === ">=" && threshold === now[metric];
  inclusive.clear();
  rules.filter(meets).forEach(({ metric }) => inclusive.add(metric));
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

/** Whether a metric exceeds its limit. */
export const isOver = (metric, value) =>
  metric in limits && (value > limits[metric] || (inclusive.has(metric) && value === limits[metric]));
