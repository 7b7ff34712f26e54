// What the page is narrowed to: an endpoint, a class of statuses, a group of errors, a consumer, an instance, a span of
// time; and what it is compared with. The address holds it.

import { byId } from "./dom.js";
import { time } from "./format.js";
import { say } from "./words.js";

export const WINDOWS = { "1m": 60, "5m": 300, "1h": 3_600, "24h": 86_400, reset: null };

export const nameOf = ({ method, route }) => `${method} ${route}`;

/** Everything that the page can be narrowed to, as it is without a choice. */
export const EVERYTHING = { route: null, status: null, group: null, consumer: null, instance: null, span: null };

/** The classes of statuses that can be chosen. */
export const CLASSES = ["4xx", "5xx"];

/** What the charts can be compared with, and how much earlier that is, where the charts show `length` milliseconds. */
export const COMPARISONS = { before: (length) => length, day: () => 86_400_000 };

/** Reads the choice from an address. Returns `null` if it holds none, such as a link within the page. */
export function readAddress(hash) {
  if (hash.length > 1 && !hash.includes("=")) return null;
  const address = new URLSearchParams(hash.slice(1));
  const [from, to] = ["from", "to"].map((name) => Number(address.get(name)));
  return {
    scope: address.get("scope") === "fleet" ? "fleet" : "instance",
    window: Object.hasOwn(WINDOWS, address.get("window")) ? address.get("window") : "5m",
    route: address.has("route") ? { method: address.get("method") ?? "GET", route: address.get("route") } : null,
    status: CLASSES.includes(address.get("status")) ? address.get("status") : null,
    group: address.get("group"),
    consumer: address.get("consumer"),
    instance: address.get("instance"),
    compare: Object.hasOwn(COMPARISONS, address.get("compare")) ? address.get("compare") : null,
    span: from > 0 && to > from ? { from, to } : null,
  };
}

/** Writes a choice as an address. */
export function writeAddress({ scope, window, route, span, ...others }, lang) {
  const address = new URLSearchParams({ window, ...route });
  for (const name of ["status", "group", "consumer", "instance", "compare"]) {
    if (others[name]) address.set(name, others[name]);
  }
  if (span) for (const end of ["from", "to"]) address.set(end, String(Math.round(span[end])));
  if (scope === "fleet") address.set("scope", scope);
  if (lang) address.set("lang", lang);
  return `#${address}`;
}

/** The class of how a request ended; a panic is a server error. */
function statusClassOf({ status, outcome }) {
  if (status === null) return outcome === "aborted" ? null : "5xx";
  return `${String(status)[0]}xx`;
}

const isOfRoute = (row, route) => route === null || nameOf(row) === nameOf(route);

const isOfGroup = (row, group) =>
  nameOf(row) === nameOf(group) && row.status === group.status && (row.group ?? group.id) === group.id;

/** Whether a single error or request is one of the choice. `group` is the chosen group of errors, if it is known. */
export function isWanted(row, { route, status, consumer, span }, group) {
  const at = Date.parse(row.time);
  return isOfRoute(row, route)
    && (status === null || statusClassOf(row) === status)
    && (consumer === null || row.consumer === consumer)
    && (span === null || (at >= span.from && at <= span.to))
    && (!group || isOfGroup(row, group));
}

/** The errors of a group in the chosen span: all of its window, or those of the steps that overlap it. `steps` says how
 * long a step is and when the last one, which is under way, began. */
export function errorsOf(group, { span }, steps) {
  if (span === null) return group.count;
  return group.trend.reduce((sum, errors, i) => {
    const begin = steps.last - (group.trend.length - 1 - i) * steps.length;
    return begin < span.to && begin + steps.length > span.from ? sum + errors : sum;
  }, 0);
}

/** Whether a group of errors is one of the choice. */
export const isGroupWanted = (group, choice, steps) =>
  isOfRoute(group, choice.route)
  && (choice.status === null || statusClassOf(group) === choice.status)
  && (choice.consumer === null || group.consumers.some(({ consumer }) => consumer === choice.consumer))
  && errorsOf(group, choice, steps) > 0;

/** Whether the page is narrowed to anything. */
export const isNarrowed = (choice) => Object.keys(EVERYTHING).some((name) => choice[name] !== null);

/** Says what the page is narrowed to. */
export function choiceText({ route, status, group, consumer, instance, span }, known) {
  const parts = [
    route && nameOf(route),
    status,
    group && (known?.message || say("error_group")),
    consumer,
    instance,
    span && `${time(span.from)} – ${time(span.to)}`,
  ];
  return parts.filter(Boolean).join(" · ");
}

/** The shortest window that reaches back to a moment; `null` if none does. */
export function windowFor(from, now) {
  const reaches = ([, seconds]) => seconds !== null && now - from <= seconds * 1_000;
  return Object.entries(WINDOWS).find(reaches)?.[0] ?? null;
}

/** Shows which class of statuses is chosen. */
export function showStatuses(status) {
  for (const button of byId("statuses").children) {
    button.setAttribute("aria-pressed", String(button.dataset.status === status));
  }
}
