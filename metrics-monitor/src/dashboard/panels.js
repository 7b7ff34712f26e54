// Tiles, tables and lists.

import { sparkline } from "./lines.js";
import { isWanted, nameOf } from "./choice.js";
import { byId, keyed, make, setText } from "./dom.js";
import { bytes, count, duration, percent, plain, rate, time } from "./format.js";
import { formatted, isOver, isProbed, isServiceOver, limits } from "./limits.js";
import { HIDDEN } from "./server.js";
import { say } from "./words.js";

/** Returns what a figure is, if there were calls: without any, a duration or a rate of errors is unknown, not 0. */
const called = (value) => (f) => (f.total_calls > 0 ? value(f) : undefined);

const tiles = [
  { name: "requests_per_second", value: (f) => f.requests_per_second, format: rate,
    note: (f) => (f.point ? say("now", rate(f.point.requests_per_second)) : "") },
  { name: "total_calls", value: (f) => f.total_calls, format: count,
    note: (f) => say("total_errors", count(f.total_errors)) },
  { name: "p50", value: called((f) => f.p50_response_time), format: duration },
  { name: "p95", value: called((f) => f.p95_response_time), format: duration },
  { name: "p99", value: called((f) => f.p99_response_time), format: duration,
    note: (f) => (f.total_calls > 0 ? `${say("maximum")} ${duration(f.max_response_time)}` : "") },
  { name: "average", value: called((f) => f.avg_response_time), format: duration },
  { name: "error_rate", value: called((f) => f.error_rate), format: percent,
    note: (f) => [["4xx", f.client_error_rate], ["5xx", f.server_error_rate]].filter(([, rate]) => rate !== null)
      .map(([statuses, rate]) => `${statuses} ${percent(rate)}`).join(" · ") },
  // Of an endpoint, it is known only with a marker.
  { name: "in_flight", format: count,
    value: (f) => (f.route === undefined || f.in_flight > 0 ? f.in_flight : undefined),
    note: (f) => (f.open_streams === undefined ? "" : say("open_streams", count(f.open_streams))) },
];

/**
 * Shows the most important figures; `null` while they are unknown. `isPart` says that they are of some requests, of
 * which the history may keep less; `whole` is how many requests there are, if the figures are of one instance.
 * `matched` returns a figure of the requests that matched a route, of which alerts are, as far as it is known.
 */
export function showTiles(figures, { isPart = false, whole, matched = () => undefined } = {}) {
  keyed(byId("tiles"), tiles, ({ name }) => name,
    ({ name }) => make("div", { class: "tile panel", "data-tile": name }, make("h3"), make("b"), make("p"),
      make("p", { class: "matched" })),
    (tile, { name, value, format, note }) => {
      const [title, figure, below, alerted] = tile.children;
      setText(title, say(name));
      const known = (figures && figures.total_calls !== undefined ? value(figures) : undefined) ?? undefined;
      setText(figure, known === undefined ? "–" : format(known));
      tile.dataset.value = known ?? "";
      tile.dataset.over = !isPart && isServiceOver(name, known);
      const ofMatched = known === undefined ? undefined : matched(name);
      alerted.hidden = ofMatched === undefined || format(ofMatched) === format(known);
      setText(alerted, alerted.hidden ? "" : say("matched", format(ofMatched)));
      setText(below, belowTile({ name, format, note, known, isPart, whole }, figures) || "\u00a0");
    });
}

/** What a tile says below its figure. */
function belowTile({ name, format, note, known, isPart, whole }, figures) {
  const limit = name in limits ? say("limit", format(limits[name])) : "";
  if (!figures) return limit;
  const hasCalls = figures.total_calls !== 0;
  if (isPart && known === undefined) return hasCalls ? say("not_kept_here") : "";
  if (whole > 0 && name === "total_calls") return say("share", percent((100 * known) / whole));
  return note ? note(figures) : limit;
}

const routeColumns = [
  { name: "route", text: true, value: (r) => r.route },
  { name: "trend", value: null },
  { name: "calls", value: (r) => r.total_calls, format: count },
  { name: "rate", value: (r) => r.requests_per_second, format: plain, wide: true },
  { name: "average", value: (r) => r.avg_response_time, format: duration, wide: true },
  { name: "p50", value: (r) => r.p50_response_time, format: duration, wide: true },
  { name: "p95", value: (r) => r.p95_response_time, format: duration },
  { name: "p99", value: (r) => r.p99_response_time, format: duration, wide: true },
  { name: "maximum", value: (r) => r.max_response_time, format: duration, wide: true },
  { name: "errors", value: (r) => r.error_rate, format: percent },
];

/** The maximum number of endpoints in the table. */
const MAX_ROWS = 100;

/** The table of endpoints, sorted by its headers and filtered by the search field. */
export class RoutesTable {
  #routes = [];
  #column = "calls";
  #descending = true;
  #trends = new Map();
  #chosen = null;

  /** Is called with the endpoint that the user clicks. */
  choose = () => {};

  constructor() {
    this.head = byId("routes").tHead;
    this.body = byId("routes").tBodies[0];
    this.head.append(make("tr", {}, ...routeColumns.map((column) => this.#header(column))));
    byId("search").addEventListener("input", () => this.draw());
  }

  set(routes, chosen) {
    this.#routes = routes;
    this.#chosen = chosen;
    this.draw();
  }

  setTrend(route, points) {
    this.#trends.set(nameOf(route), { points, at: performance.now() });
    const row = this.#rowOf(route);
    if (row) sparkline(row.querySelector("canvas"), points);
  }

  /** Forgets the sparklines, for another window. */
  clearTrends() {
    this.#trends.clear();
    this.draw();
  }

  /** Returns the endpoints on the screen, or up to one screen below, whose sparkline is missing or older than `age`. */
  lacking(age) {
    return this.#shown().filter((route) => {
      const { top, bottom } = this.#rowOf(route)?.getBoundingClientRect() ?? { top: 1, bottom: 0 };
      const trend = this.#trends.get(nameOf(route));
      return bottom > 0 && top < 2 * innerHeight && !(trend && performance.now() - trend.at < age);
    });
  }

  #rowOf(route) {
    return [...this.body.children].find((row) => row.dataset.key === nameOf(route));
  }

  #header({ name, value, wide, text }) {
    const kind = [wide && "wide", text && "text"].filter(Boolean).join(" ");
    const header = make("th", { scope: "col", class: kind || undefined, "data-column": name });
    if (!value) return header;
    const button = make("button", { type: "button" });
    button.addEventListener("click", () => {
      this.#descending = this.#column === name ? !this.#descending : !text;
      this.#column = name;
      this.draw();
    });
    header.append(button);
    return header;
  }

  #shown() {
    const wanted = byId("search").value.trim().toLowerCase();
    const found = this.#routes.filter((route) => nameOf(route).toLowerCase().includes(wanted));
    const { value } = routeColumns.find(({ name }) => name === this.#column);
    const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
    const sign = this.#descending ? -1 : 1;
    return found.sort((a, b) => sign * order(value(a), value(b)) || nameOf(a).localeCompare(nameOf(b)));
  }

  /** What it shows. */
  get shown() {
    return this.#shown().slice(0, MAX_ROWS);
  }

  draw() {
    for (const header of this.head.rows[0].cells) {
      const { column } = header.dataset;
      setText(header.firstElementChild ?? header, say(column));
      const sorted = column === this.#column;
      if (sorted) header.setAttribute("aria-sort", this.#descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    const all = this.#shown();
    const shown = all.slice(0, MAX_ROWS);
    setText(byId("endpoints-note"), say("shown", shown.length, this.#routes.length));
    byId("routes").hidden = shown.length === 0;
    byId("endpoints").querySelector(".empty").hidden = shown.length > 0;
    keyed(this.body, shown, nameOf, (route) => this.#row(route), (row, route) => this.#fill(row, route));
  }

  #row(route) {
    const cells = routeColumns.slice(2).map(({ wide }) => make("td", { class: wide ? "wide" : undefined }));
    const button = make("button", { type: "button" }, make("span", { class: "method" }, route.method), ` ${route.route}`);
    button.addEventListener("click", () => this.choose({ method: route.method, route: route.route }));
    const canvas = make("canvas", { class: "spark", "aria-hidden": "true" });
    return make("tr", {}, make("th", { scope: "row", class: "text" }, button), make("td", {}, canvas), ...cells);
  }

  #fill(row, route) {
    const name = nameOf(route);
    const button = row.firstElementChild.firstElementChild;
    const chosen = name === this.#chosen;
    button.title = say("show_route", name);
    button.setAttribute("aria-pressed", String(chosen));
    row.classList.toggle("chosen", chosen);
    routeColumns.slice(2).forEach(({ value, format, name: column }, i) => {
      const cell = row.children[i + 2];
      setText(cell, format(value(route)));
      const metric = column === "errors" ? "error_rate" : column;
      const isOfProbes = column === "errors" && isProbed(route);
      cell.dataset.over = column !== "calls" && !isOfProbes && isOver(metric, value(route));
    });
    sparkline(row.querySelector("canvas"), this.#trends.get(name)?.points ?? []);
  }
}

/** Returns the data of a panel, or `nothing` if it is hidden from this client, which the panel then says. */
export function known(panel, data, nothing, empty) {
  const text = panel.querySelector(".empty");
  text.dataset.text = data === HIDDEN ? "only_local" : empty;
  setText(text, say(text.dataset.text));
  return data === HIDDEN ? nothing : data;
}

/** Shows the latest errors of the choice, newest first. */
export function showErrors(data, choice, group) {
  const panel = byId("recent-errors");
  const nothing = { recent_errors: [], evicted: 0, thinned: 0 };
  const { recent_errors: errors, evicted, thinned } = known(panel, data, nothing, "no_errors");
  const missing = evicted + thinned;
  setText(byId("recent-note"), missing > 0 ? say("evicted", count(missing)) : "");
  const shown = errors.filter((error) => isWanted(error, choice, group));
  panel.querySelector(".empty").hidden = shown.length > 0;
  panel.querySelector(".scroll").hidden = shown.length === 0;
  const seen = new Map();
  const items = shown.slice(0, 50).map((error) => {
    const text = JSON.stringify(error);
    seen.set(text, (seen.get(text) ?? 0) + 1);
    return { ...error, key: `${seen.get(text)} ${text}` };
  });
  keyed(panel.querySelector("ol"), items, ({ key }) => key,
    (error) => make("li", {},
      make("time", {}),
      make("span", { class: "status", "data-class": error.status === null ? "5" : `${error.status}`[0] }),
      make("span", { class: "where" }, make("span", { class: "method" }, error.method), ` ${error.route}`),
      make("span", { class: "took" }), make("p", {}, error.message)),
    (item, error) => {
      const [at, status, , took, message] = item.children;
      at.dateTime = error.time;
      setText(at, time(Date.parse(error.time)));
      setText(status, error.status === null ? say("panicked") : String(error.status));
      setText(took, duration(error.response_time));
      message.hidden = error.message === "";
    });
}

function consumerButton(consumer, choose) {
  const button = make("button", { type: "button", "data-consumer": consumer }, consumer);
  button.addEventListener("click", () => choose(consumer));
  return button;
}

const consumerColumns = [
  { name: "consumer" },
  { name: "calls", value: (c) => count(c.calls) },
  { name: "errors", value: (c) => percent(c.error_rate) },
  { name: "average", value: (c) => duration(c.avg_response_time) },
  { name: "last_seen", value: (c) => time(Date.parse(c.last_seen)), wide: true },
];

/** Shows the consumers with the most calls: all, the chosen one, or those of the chosen group of errors. */
export function showConsumers(data, chosen, group, choose) {
  const panel = byId("consumers");
  const { consumers: all } = known(panel, data, { consumers: [] }, "no_consumers");
  const isOfGroup = ({ consumer }) => !group || group.consumers.some((of) => of.consumer === consumer);
  const consumers = all.filter((row) => (chosen === null ? isOfGroup(row) : row.consumer === chosen));
  panel.hidden = false;
  panel.querySelector(".empty").hidden = consumers.length > 0;
  panel.querySelector(".scroll").hidden = consumers.length === 0;
  const table = panel.querySelector("table");
  const cell = (tag, { wide }, i, attributes = {}) =>
    make(tag, { class: [wide && "wide", i === 0 && "text"].filter(Boolean).join(" ") || undefined, ...attributes });
  if (!table.tHead.rows.length) {
    table.tHead.append(make("tr", {}, ...consumerColumns.map((column, i) => cell("th", column, i, { scope: "col" }))));
  }
  consumerColumns.forEach(({ name }, i) => setText(table.tHead.rows[0].cells[i], say(name)));
  const most = consumers[0]?.calls ?? 1;
  keyed(table.tBodies[0], consumers, ({ consumer }) => consumer,
    ({ consumer }) => make("tr", {},
      make("th", { scope: "row", class: "text" },
        consumerButton(consumer, choose), make("progress", { max: "1", "aria-hidden": "true" })),
      ...consumerColumns.slice(1).map((column) => cell("td", column))),
    (row, consumer) => {
      row.querySelector("progress").value = consumer.calls / most;
      row.querySelector("button").setAttribute("aria-pressed", String(consumer.consumer === chosen));
      consumerColumns.slice(1).forEach(({ value }, i) => setText(row.cells[i + 1], value(consumer)));
    });
}

/** Shows the latest changes of alerts, the newest first. */
export function showChanges({ changes = [] }) {
  const panel = byId("changes");
  panel.hidden = changes.length === 0;
  setText(panel.querySelector("summary"), say("changes", String(changes.length)));
  keyed(panel.querySelector("ol"), changes,
    ({ change, rule, method, route, since }) => JSON.stringify([change, rule, method, route, since]),
    (alert) => make("li", { "data-state": alert.change, "data-severity": alert.severity },
      make("time", { datetime: alert.since }),
      make("span", { class: "status" }), make("strong", {}, alert.rule), make("p")),
    (item, alert) => {
      const [at, status, , summary] = item.children;
      setText(at, time(Date.parse(alert.since)));
      setText(status, say(alert.change));
      setText(summary, say("alert_summary", alert));
    });
}

/** Shows mistakes in how the service uses its monitor, all alerts that are not inactive, and rules whose route or
 * metric was not seen. */
export function showAlerts({ alerts: all, mistakes = [], changes = [], alerts_left_out: leftOut = 0 }) {
  const panel = byId("alerts");
  const told = mistakes.map((mistake) => {
    const summary = say(`mistake_${mistake.mistake}`, mistake) ?? mistake.message;
    return { state: "mistake", rule: mistake.mistake, summary };
  });
  if (leftOut > 0) told.push({ state: "left_out", rule: "left_out", summary: say("left_out", count(leftOut)) });
  const isTold = ({ state }) => state === "mistake" || state === "left_out";
  const alerts = [...told, ...all.filter(({ state, not_seen: notSeen }) => state !== "inactive" || notSeen)];
  byId("alerts-none").hidden = alerts.length > 0;
  panel.hidden = alerts.length === 0 && changes.length === 0;
  showChanges({ changes });
  keyed(panel.querySelector("ul"), alerts,
    ({ rule, severity, method, route }) => JSON.stringify([severity, rule, method, route]),
    () => make("li", {}, make("span", { class: "status" }), make("strong"), make("p"), make("span", { class: "where" })),
    (item, alert) => {
      const [state, rule, summary, value] = item.children;
      item.dataset.state = alert.state;
      item.dataset.severity = alert.severity;
      setText(state, say(alert.state === "left_out" ? "no_room" : alert.state) ?? alert.state);
      setText(rule, isTold(alert) ? "" : alert.rule);
      setText(summary, isTold(alert) ? alert.summary : say("alert_summary", alert));
      const [figure, limit] = [alert.value, alert.threshold].map((value) => formatted(alert.metric, value ?? 0));
      const values = alert.value == null ? [] : [say("alert_value", figure, limit)];
      if (alert.since) values.push(say("since", time(Date.parse(alert.since))));
      setText(value, values.filter(Boolean).join(" · "));
    });
}

/** Shows what the monitor itself costs. */
export function showCost({ monitor, time: read }) {
  const parts = [
    say("cost"),
    monitor.record_seconds === null ? "" : say("record", duration(monitor.record_seconds)),
    say("history", bytes(monitor.history_bytes)),
    say("shards", count(monitor.shards), bytes(monitor.shard_bytes)),
    say("series", count(monitor.series), count(monitor.max_series)),
    say("read_at", time(Date.parse(read))),
  ];
  const shown = parts.map((text, i) => ({ text, i })).filter(({ text }) => text);
  keyed(byId("cost"), shown, ({ i }) => String(i), () => make("span"), (element, { text }) => setText(element, text));
}
