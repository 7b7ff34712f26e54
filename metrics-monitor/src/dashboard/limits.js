// The limits of figures: the thresholds of the alert rules.

import { duration, percent, plain } from "./format.js";
import { say } from "./words.js";

/** The lowest threshold of each metric among the rules for the whole service: in seconds, per cent or calls. */
export const limits = {};

/** The metrics that exceed their limit by reaching it. */
const inclusive = new Set();

/** The metrics whose limit a rule for the whole service finds exceeded. */
const alerting = new Set();

/** The last values of alerts about matched requests, by metric and window. */
const ofMatched = new Map();

/** Sets the limits from the rules, and what their alerts saw. Returns whether a limit changed. */
export function setLimits({ rules, alerts }) {
  const now = {};
  const upwards = rules.filter(({ comparison, scope }) =>
    (scope === "service" || scope === "matched") && comparison.startsWith(">"));
  for (const { metric, threshold } of upwards) now[metric] = Math.min(now[metric] ?? Infinity, threshold);
  const lowest = upwards.filter(({ metric, threshold }) => threshold === now[metric]);
  inclusive.clear();
  alerting.clear();
  for (const { metric, comparison } of lowest) if (comparison === ">=") inclusive.add(metric);
  for (const { metric, state } of upwards) if (state === "firing" || state === "pending") alerting.add(metric);
  ofMatched.clear();
  const matched = new Set(rules.filter(({ scope }) => scope === "matched").map(({ rule }) => rule));
  for (const { rule, state, metric, window, value } of alerts) {
    if (matched.has(rule) && state !== "inactive" && value != null) ofMatched.set(`${metric} ${window}`, value);
  }
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

/** Whether an endpoint takes every path. Its 4xx are scanners' probes, which rules for matched requests leave out. */
const catchesAll = ({ route }) => route === "_unmatched" || /\}\*$|:\.[*+]\??\}$/.test(route);

/** Whether a rule for matched requests leaves out some of an endpoint's errors. */
export const isProbed = (route) => catchesAll(route) && route.client_errors > 0;

/** The rate of errors among matched requests, from the figures of all endpoints. */
export function errorRateOfMatched(routes) {
  const sum = (of, value) => of.reduce((total, route) => total + value(route), 0);
  const probes = sum(routes.filter(isProbed), (route) => route.client_errors);
  const calls = sum(routes, (route) => route.total_calls) - probes;
  const errors = sum(routes, (route) => route.total_errors) - probes;
  return calls > 0 ? (100 * errors) / calls : undefined;
}

/** What an alert about matched requests last saw of a metric in a window; `undefined` if none is active. */
export const valueOfMatched = (metric, window) => ofMatched.get(`${metric} ${window}`);
