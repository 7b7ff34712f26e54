// The fleet: all instances of the service together.

import { byId, keyed, make, setText } from "./dom.js";
import { count, duration, percent, time } from "./format.js";
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
 * Loads the fleet's `summary`, `routes`, `versions` and `instances` in a window, its `alerts`, and its latest `errors`
 * and its `consumers` since the reset. Returns `null` if there is no fleet.
 */
export async function loadFleet(window) {
  const all = await get(`fleet/all?window=${window}`);
  if (!all) return null;
  const names = ["summary", "routes", "instances", "since_reset", "consumers", "versions"];
  const [summary, routes, instances, sinceReset, consumers, versions] = names.map((name) => all[name]?.data ?? HIDDEN);
  const errors = sinceReset.recent_errors;
  const alerts = all.alerts?.data.fleet ?? { alerts: [], changes: [], objectives: [] };
  return { summary, routes, instances, errors, consumers, versions, alerts, loaded: performance.now() };
}

/** The fleet's figures are stale if none came for this many milliseconds. */
const OLD = 30_000;

const isStale = ({ summary, routes, instances }) => [summary, routes, instances].some((answer) => answer.stale);

/** The state of the connection while the page shows a fleet: it is not live while its figures are missing or stale. */
export function connectionOfFleet(fleet) {
  if (fleet === null) return "connecting";
  return isStale(fleet) || performance.now() - fleet.loaded > OLD ? "fleet_is_stale" : "live";
}

/** Is called with the name of the instance that the user clicks. */
let chooseInstance = () => {};

export function onChosenInstance(choose) {
  chooseInstance = choose;
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
  if (differing.length) {
    parts.push(say("fleet_differs", count(differing.length), `${differing[0].name} ${differing[0].notes[0]}`));
  }
  return parts.join(" · ");
}

const classOf = ({ text, wide }) => [wide && "wide", text && "text"].filter(Boolean).join(" ") || undefined;

/** Adds the header of a table if it has none, and says what its columns are. */
function showHead(table, columns) {
  const head = table.tHead;
  if (!head.rows.length) {
    head.append(make("tr", {}, ...columns.map((column) => make("th", { scope: "col", class: classOf(column) }))));
  }
  columns.forEach(({ name }, i) => setText(head.rows[0].cells[i], say(name)));
}

function instanceCell(column, instance) {
  if (!column.text) return make("td", { class: classOf(column) });
  const button = make("button", { type: "button", class: "where" });
  button.addEventListener("click", () => chooseInstance(instance.name));
  return make("th", { scope: "row", class: "text" }, button);
}

/** Shows which instances the figures cover, and the instances: the last known ones while the fleet is stale. */
export function showFleet(fleet, chosen) {
  const panel = byId("fleet");
  panel.dataset.stale = fleet !== null && isStale(fleet);
  setText(byId("fleet-note"), fleet ? note(fleet) : say("waiting"));
  const table = byId("instances");
  showHead(table, instanceColumns);
  if (!fleet?.instances.stale) {
    const instances = fleet?.instances.instances ?? [];
    keyed(table.tBodies[0], instances.slice(0, MAX_INSTANCES), ({ name, started }) => `${name} ${started}`,
      (instance) => make("tr", {}, ...instanceColumns.map((column) => instanceCell(column, instance))),
      (row, instance) => {
        instanceColumns.forEach(({ value }, i) => {
          if (value) setText(row.cells[i].firstElementChild ?? row.cells[i], value(instance));
        });
        row.title = instance.notes.join("\n");
        row.dataset.chosen = instance.name === chosen;
        row.querySelector("button").setAttribute("aria-pressed", String(instance.name === chosen));
        const { state } = instance;
        const cell = row.cells[1];
        if (!cell.firstElementChild) cell.append(make("span", { class: "status" }));
        cell.firstElementChild.dataset.presence = state;
        setText(cell.firstElementChild, say("presences")[state] ?? state);
      });
    setText(byId("instances-note"), say("shown", Math.min(instances.length, MAX_INSTANCES), instances.length));
  }
  table.hidden = table.tBodies[0].rows.length === 0;
  showVersions(fleet);
}

const versionColumns = [
  { name: "version", text: true, value: (v) => v.version || "–" },
  { name: "instances", value: (v) => say("fleet_up", count(v.up), count(v.instances)) },
  { name: "calls", value: (v) => count(v.total_calls) },
  { name: "errors", value: (v) => percent(v.error_rate) },
  { name: "p50", value: (v) => duration(v.p50_response_time), wide: true },
  { name: "p95", value: (v) => duration(v.p95_response_time) },
  { name: "p99", value: (v) => duration(v.p99_response_time), wide: true },
];

/** Shows the versions of the service side by side, the newest first. */
function showVersions(fleet) {
  const table = byId("versions").querySelector("table");
  showHead(table, versionColumns);
  const versions = fleet?.versions.versions ?? [];
  keyed(table.tBodies[0], versions, ({ version }) => version,
    () => make("tr", {}, ...versionColumns.map((column) =>
      make(column.text ? "th" : "td", { scope: column.text && "row", class: classOf(column) }))),
    (row, version) => versionColumns.forEach(({ value }, i) => setText(row.cells[i], value(version))));
}
