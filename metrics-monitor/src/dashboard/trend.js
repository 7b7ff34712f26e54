// Figures over time: what the history is asked for, and what its points mean for what the page is narrowed to.

import { COMPARISONS, WINDOWS } from "./choice.js";

/** The parameters that say what a history is of; `null` if none is kept of it. */
function subjectOf({ scope, route, status, group, consumer, instance }) {
  if (scope === "fleet") return status || group || consumer ? null : { ...route, ...(instance && { instance }) };
  // The endpoint and the status of a group are its own.
  if (group) return consumer ? null : { group };
  if (consumer) return route || status ? null : { consumer };
  return { ...route, ...(status && { status }) };
}

/** The address of the history of a choice; `null` if none is kept. Without a `period`, it is of the chosen window. */
export function historyOf(choice, period) {
  const subject = subjectOf(choice);
  if (subject === null) return null;
  const time = period ? { from: Math.round(period.from), until: Math.round(period.to) } : { window: choice.window };
  return `${choice.scope === "fleet" ? "fleet/" : ""}history?${new URLSearchParams({ ...time, ...subject })}`;
}

/** The period that a choice is compared with, and how much earlier it is in milliseconds. `shown` is what the charts
 * show. */
export function comparedWith({ compare, span, window }, shown) {
  const length = span ? span.to - span.from : 1_000 * (WINDOWS[window] ?? (shown.to - shown.from) / 1_000);
  const { from, to } = span ?? { from: shown.to - length, to: shown.to };
  const earlier = COMPARISONS[compare](length);
  return { from: from - earlier, to: to - earlier, earlier };
}

/** Adds the span of each point, in milliseconds. */
export function spans(points) {
  return points.map((point) => {
    const end = Date.parse(point.time);
    return { ...point, start: end - point.seconds * 1_000, end };
  });
}

const share = (part, all) => (all > 0 ? (100 * part) / all : 0);

/** What the figures of a point, or of all, mean for a choice: errors of one class are a share of all requests, and what
 * is not kept is `null`. */
export function meaning(point, { status, group, consumer }) {
  if (group) return { ...point, error_rate: null };
  if (consumer) return { ...point, any_error_rate: point.error_rate };
  if (!status) return point;
  const [client, server] = status === "4xx" ? [point.client_errors, null] : [null, point.server_errors];
  return {
    ...point,
    error_rate: share(point.total_calls, point.all_calls),
    client_error_rate: client === null ? null : share(client, point.all_calls),
    server_error_rate: server === null ? null : share(server, point.all_calls),
  };
}

/** Adds the newest second to the points. Returns whether seconds before it are missing. */
export function grow(points, point) {
  const [newest] = spans([point]);
  // The server's clock was set back, so only the server knows the order: reload.
  if (points.length && points.at(-1).start >= newest.end) return true;
  // A newer version of the same second replaces it.
  while (points.length && points.at(-1).end > newest.start + newest.seconds * 500) points.pop();
  const missing = points.length > 0 && newest.start - points.at(-1).end > 500;
  points.push(newest);
  return missing;
}
