// The fleet: all instances of the service together.

import { byId, keyed, make, setText } from "./dom.js";
import { count, duration, time } from "./format.js";
import { get, HIDDEN } from "./server.js";
import { say } from "./words.js";

/** The windows that a fleet has. */
export const FLEET_WINDOWS = ["1m", "5m", "1h", "reset"];

/** The maximum number of instances in the table: those with the latest reports. */
const MAX_INSTANCES = 200;

const instanceColumns = [
  { name: "instance", text: true, value: (i) => i.name },
  { name: "presence" },
  { name: "version", value: (i) => i.version || "–" },
  { name: "last_written", value: (i) => time(Date.parse(i.last_seen)) },
  { name: "calls", value: (i) => count(i.total_calls) },
  { name: "total_errors_of", value: (i) => count(i.total_errors), wide: true },
  { name: "p95", value: (i) => duration(i.p95_response_time) },
];

/**
 * Loads the fleet's `summary`, `routes` and `instances` in a window, and its latest `errors` and its `consumers` since
 * the reset. Returns `null` if there is no fleet.
 */
export async function loadFleet(window) {
  const all = await get(`fleet/all?window=${window}`);
  if (!all) return null;
  const [summary, routes, instances, sinceReset, consumers] =
    ["summary", "routes", "instances", "since_reset", "consumers"].map((name) => all[name]?.data ?? HIDDEN);
  return { summary, routes, instances, errors: sinceReset.recent_errors, consumers };
}

/** Says which instances the figures cover. If an answer is stale, it gives the reason of the first one. */
function note({ summary, routes, instances }) {
  const stale = [summary, routes, instances].find((answer) => answer.stale);
  if (stale) return say("fleet_stale", time(Date.parse(stale.stale_since)), stale.stale_reason);
  const parts = [say("fleet_up", count(instances.up), count(instances.instances.length)),
    say("read_at", time(Date.parse(summary.read)))];
  const [first] = summary.skipped_first;
  if (first) parts.push(say("fleet_skipped", count(summary.skipped), `${first.source}: ${first.reason}`));
  const differing = instances.instances.filter(({ notes }) => notes.length > 0);
  if (differing.length) parts.push(say("fleet_differs", count(differing.length), `${differing[0].name} ${differing[0].notes[0]}`));
  return parts.join(" · ");
}

const classOf = ({ text, wide }) => [wide && "wide", text && "text"].filter(Boolean).join(" ") || undefined;

/** Shows which instances the figures cover, and the instances: the last known ones while the fleet is stale. */
export function showFleet(fleet) {
  const panel = byId("fleet");
  const text = fleet ? note(fleet) : say("waiting");
  const stale = fleet !== null && [fleet.summary, fleet.routes, fleet.instances].some((answer) => answer.stale);
  panel.dataset.stale = stale;
  setText(byId("fleet-note"), text);
  const table = byId("instances");
  const head = table.tHead;
  if (!head.rows.length) {
    head.append(make("tr", {}, ...instanceColumns.map((column) => make("th", { scope: "col", class: classOf(column) }))));
  }
  instanceColumns.forEach(({ name }, i) => setText(head.rows[0].cells[i], say(name)));
  if (!fleet?.instances.stale) {
    const instances = fleet?.instances.instances ?? [];
    keyed(table.tBodies[0], instances.slice(0, MAX_INSTANCES), ({ name, started }) => `${name} ${started}`,
      () => make("tr", {}, ...instanceColumns.map((column) =>
        column.text ? make("th", { scope: "row", class: "text" }, make("span", { class: "where" }))
          : make("td", { class: classOf(column) }))),
      (row, instance) => {
        instanceColumns.forEach(({ value }, i) => value && setText(row.cells[i].firstElementChild ?? row.cells[i], value(instance)));
        row.title = instance.notes.join("\n");
        const { state } = instance;
        const cell = row.cells[1];
        if (!cell.firstElementChild) cell.append(make("span", { class: "status" }));
        cell.firstElementChild.dataset.presence = state;
        setText(cell.firstElementChild, say("presences")[state] ?? state);
      });
    setText(byId("instances-note"), say("shown", Math.min(instances.length, MAX_INSTANCES), instances.length));
  }
  table.hidden = table.tBodies[0].rows.length === 0;
}
