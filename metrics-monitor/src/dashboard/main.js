// The page: what the user chose, the data, and when it is requested.

import { Business } from "./business.js";
import { ErrorGroups, setTraceUrl, showObjectives, showSlow } from "./causes.js";
import { LineChart, onZoom, redraw, showGaps, showMarks, showResets, showTime } from "./charts.js";
import { choiceText, CLASSES, EVERYTHING, figuresOf, isNarrowed, isWanted, nameOf, readAddress, showStatuses, windowFor, WINDOWS, writeAddress } from "./choice.js";
import { byId, make, setText } from "./dom.js";
import { addDownloads } from "./download.js";
import { showExporters } from "./exporters.js";
import { FLEET_WINDOWS, loadFleet, showFleet } from "./fleet.js";
import { bytes, count, duration, percent, plain } from "./format.js";
import { HeatMap } from "./heat.js";
import { limitsOf, limitsText, setLimits } from "./limits.js";
import { RoutesTable, showAlerts, showConsumers, showCost, showErrors, showTiles } from "./panels.js";
import { allowReset } from "./reset.js";
import { Events, get, hasToken, HIDDEN, Locked, setToken, silence, spare } from "./server.js";
import { language, languages, say, setLanguage } from "./words.js";

/** Refresh intervals in milliseconds: of charts that do not grow with each event, of a fleet, and of sparklines that the
 * service does not send by itself. */
const [TRENDS, FLEET, SPARKLINES] = [10_000, 6_000, 60_000];

/** The figures are stale after this many milliseconds without an event. */
const STALE = 3_000;

const state = {
  /** What is shown: which figures (those of this instance, or of the fleet), the window, and what it is narrowed to. */
  ...(readAddress(location.hash) ?? readAddress("")),
  /** The data of the fleet. */
  fleet: null,
  paused: false,
  /** The state of the connection: connecting, live, stale, paused, locked, busy or unknown_host. */
  connection: "connecting",
  heard: 0,
  endpoints: [],
  figures: null,
  routes: [],
  points: [],
  step: null,
  /** Whether seconds are missing in the charts. */
  gap: false,
  /** The latest data of each table and list, by its event. */
  lists: {},
  /** When the figures were reset, in milliseconds. */
  resets: [],
};

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value) / values.length : null);

const withCalls = (value) => (point) => (point.total_calls > 0 ? value(point) : null);

const charts = {
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
    ],
  }),
};

const resources = {
  cpu: new LineChart(byId("cpu"), "cpu", {
    format: percent, least: 10, counts: () => true,
    series: [{ name: "cpu", colour: "p95", area: true, value: (p) => p.cpu_percent ?? null }],
  }),
  memory: new LineChart(byId("memory"), "memory", {
    format: bytes, least: 2 ** 20, unit: (top) => 2 ** (10 * Math.floor(Math.log2(top) / 10)), counts: () => true,
    series: [{ name: "memory", colour: "p50", area: true, value: (p) => p.resident_bytes ?? null }],
  }),
  network: new LineChart(byId("network"), "network", {
    format: bytes, least: 2 ** 10, unit: (top) => 2 ** (10 * Math.floor(Math.log2(top) / 10)),
    counts: () => true,
    series: [
      { name: "received", colour: "p95", value: (p) => p.network_received_per_second },
      { name: "sent", colour: "p50", value: (p) => p.network_sent_per_second },
    ],
  }),
  lag: new LineChart(byId("lag"), "lag", {
    format: duration, least: 0.01, counts: () => true,
    series: [{ name: "lag", colour: "p99", area: true, value: (p) => (p.worker_lags.length ? Math.max(...p.worker_lags) : null) }],
  }),
  busy: new LineChart(byId("busy"), "busy_workers", {
    format: percent, least: 10, most: 100, counts: (p) => p.worker_busy_percent.length > 0,
    series: [
      { name: "busiest", colour: "p95", area: true, value: (p) => (p.worker_busy_percent.length ? Math.max(...p.worker_busy_percent) : null) },
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

const business = new Business();
const groups = new ErrorGroups();
groups.choose = (group) => choose({ group });

const table = new RoutesTable((route) => choose({ route: isChosen(route) ? null : route }));

const isChosen = (route) => state.route !== null && nameOf(route) === nameOf(state.route);

// Requests.

const query = (of) => new URLSearchParams(of).toString();

/** Adds the span of each point, in milliseconds. */
function spans(points) {
  return points.map((point) => {
    const end = Date.parse(point.time);
    return { ...point, start: end - point.seconds * 1_000, end };
  });
}

/** Whether the charts grow with each event: not if their steps are longer, or show one endpoint. */
const grows = () => state.step === "1s" && state.route === null;

let asked = 0;

async function loadTrend() {
  const mine = ++asked;
  const of = state.route ? { window: state.window, ...state.route } : { window: state.window };
  // A link may name an endpoint that the service does not have.
  const trend = state.route && !state.routes.some(isChosen) ? null : await get(`history?${query(of)}`);
  // The user chose something else meanwhile.
  if (mine !== asked || (!trend && !state.route)) return;
  // An endpoint that was not called since the service started has no trend.
  const { step, points, resets, gaps } = trend ?? { step: null, points: [], resets: [], gaps: [] };
  [state.step, state.gap] = [step, false];
  state.points = spans(points);
  state.resets = resets.map((time) => Date.parse(time));
  showResets(state.resets);
  showGaps(gaps.map(({ from, until }) => ({ from: Date.parse(from), until: Date.parse(until) })));
  Object.values(charts).forEach((chart) => (chart.loaded = true));
  if (state.figures?.point) grow(state.figures.point);
  show();
}

/** Adds the newest second to the charts. Returns whether seconds before it are missing. */
function grow(point) {
  if (!grows()) return false;
  const [newest] = spans([point]);
  // The server's clock was set back, so only the server knows the order: reload.
  if (state.points.length && state.points.at(-1).start >= newest.end) return true;
  // A newer version of the same second replaces it.
  while (state.points.length && state.points.at(-1).end > newest.start + newest.seconds * 500) state.points.pop();
  const missing = state.points.length > 0 && newest.start - state.points.at(-1).end > 500;
  state.points.push(newest);
  return missing;
}

const ofFleet = () => state.scope === "fleet";

/** Switches to a window that the fleet has, or that reaches back to the chosen span, if necessary. */
function fitWindow() {
  if (ofFleet()) state.span = null;
  if (ofFleet() && !FLEET_WINDOWS.includes(state.window)) state.window = "1h";
  if (state.span === null || WINDOWS[state.window] === null || !outOfReach()) return;
  const reaches = windowFor(state.span.from, now());
  // The history does not go back so far.
  if (reaches === null) state.span = null;
  else state.window = reaches;
}

/** Now, by the service's clock. */
const now = () => (state.figures ? Date.parse(state.figures.time) : Date.now());

/** Whether the chosen span begins before the window. */
const outOfReach = () => now() - state.span.from > 1_000 * WINDOWS[state.window];

/** Runs a task only while the page shows one instance. */
const alone = (task) => async () => {
  if (!ofFleet()) await task();
};

async function loadFleetView() {
  const { window } = state;
  const fleet = await loadFleet(window);
  if (window !== state.window || !ofFleet()) return;
  // The service was restarted without a fleet.
  if (!fleet) return choose({ scope: "instance" }, true);
  state.fleet = fleet;
  state.routes = fleet.routes.routes;
  table.set(state.routes, state.route && nameOf(state.route));
  showErrors({ recent_errors: fleet.errors, evicted: 0, thinned: 0 }, state, null);
  if (state.endpoints.includes("consumers")) showConsumers(fleet.consumers, state.consumer, null, chooseConsumer);
  showFleet(fleet);
  showFigures();
}

function showResources({ points }) {
  byId("resources").hidden = points.length === 0;
  const known = spans(points);
  for (const chart of Object.values(resources)) {
    chart.loaded = true;
    chart.set(known);
  }
}

/** Loads the sparklines on the screen that the service does not send, one after the other. */
async function loadSparklines() {
  for (const { method, route } of table.lacking(SPARKLINES)) {
    const { window } = state;
    if (!spare()) return;
    const trend = await get(`history?${query({ window, method, route })}`);
    if (window !== state.window || !active()) return;
    if (trend) table.setTrend({ method, route }, spans(trend.points));
  }
}

/** Shows what the service sends by itself beside the figures of each second. */
const shows = {
  routes({ routes }) {
    state.routes = routes;
    table.set(routes, state.route && nameOf(state.route));
    if (state.route) showFigures();
    if (state.route && state.step === null) refreshTrend();
  },
  groups(data) {
    groups.set(data, state);
    showFilter();
  },
  errors: (data) => showErrors(data, state, groups.chosen),
  slow: (data) => showSlow(data, state, groups.chosen),
  objectives: showObjectives,
  consumers: (data) => showConsumers(data, state.consumer, groups.chosen, chooseConsumer),
  exporters: showExporters,
  alerts(data) {
    showAlerts(data);
    showMarks((data.changes ?? []).map(({ since, change, rule }) => ({ at: Date.parse(since), change, rule })));
    if (setLimits(data.rules)) showLimits();
  },
  business: (data) => business.set(data),
  resources: showResources,
  history: ({ metric, points }) => business.setTrend(metric, spans(points)),
  sparkline: ({ method, route, points }) => table.setTrend({ method, route }, points.map(([end, seconds, rate, errors]) =>
    ({ start: end - seconds * 1_000, end, requests_per_second: rate, server_errors: errors }))),
};

/** The events whose data is shown again in another language. */
const LISTS = ["routes", "groups", "errors", "slow", "objectives", "consumers", "exporters", "alerts", "business"];

function showLists() {
  if (ofFleet()) return;
  for (const name of LISTS) if (name in state.lists) shows[name](state.lists[name]);
}

const active = () => !state.paused && !document.hidden && state.connection !== "locked";

/** Returns a function that runs a task now, and again every `every` milliseconds while the page is visible. */
function repeat(every, task) {
  let timer;
  let running = false;
  let again = false;
  const run = async () => {
    clearTimeout(timer);
    again = running;
    if (running) return;
    running = true;
    try {
      if (active() && state.connection === "live") await task();
    } catch (error) {
      // Other errors are retried; the connection shows whether the service is reachable.
      if (error instanceof Locked) lock();
    }
    running = false;
    if (again) run();
    else timer = setTimeout(run, every);
  };
  return run;
}

const refreshFleet = repeat(FLEET, async () => {
  if (ofFleet()) await loadFleetView();
});
const refreshTrend = repeat(TRENDS, alone(async () => {
  if (!grows() || state.gap) await loadTrend();
}));
const refreshSparklines = repeat(TRENDS, alone(loadSparklines));

/** When everything was last requested. */
let refreshed = -Infinity;

function refresh() {
  state.step = null;
  // While the page is hidden, nothing is requested.
  refreshed = active() && state.connection === "live" ? performance.now() : -Infinity;
  refreshTrend();
  refreshFleet();
  refreshSparklines();
}

// Display.

function show() {
  const end = now();
  const oldest = state.points[0]?.start ?? end;
  const length = 1_000 * (WINDOWS[state.window] ?? state.figures?.window_seconds ?? 60);
  state.points = state.points.filter((point) => point.end > end - length);
  // While there are few points, they fill the whole chart.
  if (state.span) showTime(state.span.from, state.span.to);
  else showTime(Math.min(Math.max(end - length, oldest), end - Math.min(length, 30_000)), end);
  for (const chart of Object.values(charts)) chart.set(state.points);
}

/** The figures of an endpoint without calls: all 0. */
const nothing = new Proxy({}, { get: (_, name) => (["point", "open_streams"].includes(name) ? undefined : 0) });

function showFigures() {
  const { route, routes, span } = state;
  if (span) return showTiles(state.points.length ? figuresOf(state.points, span) : null);
  const figures = ofFleet() ? state.fleet?.summary ?? null : state.figures;
  showTiles(route ? routes.find((row) => isChosen(row)) ?? (routes.length ? nothing : null) : figures);
}

function showConnection() {
  const age = silence(state.heard);
  let { connection } = state;
  if (state.paused) connection = "paused";
  else if ((connection === "live" || connection === "connecting") && state.heard && age > STALE) connection = "stale";
  // In steps of 10 s from 10 s on, since screen readers announce each change.
  const text = say(connection, age < 10_000 ? Math.round(age / 1_000) : 10 * Math.floor(age / 10_000));
  setText(byId("state"), text);
  byId("state").dataset.state = connection;
  byId("main").dataset.stale = ["stale", "busy", "unknown_host"].includes(connection);
  setText(byId("pause"), say(state.paused ? "resume" : "pause"));
  byId("pause").setAttribute("aria-pressed", String(state.paused));
}

function showWords() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) setText(element, say(element.dataset.text));
  for (const element of document.querySelectorAll("[data-label]")) element.setAttribute("aria-label", say(element.dataset.label));
  byId("search").placeholder = say("search");
  for (const label of byId("windows").querySelectorAll("label")) setText(label.lastElementChild, say("windows")[label.dataset.window]);
  for (const label of byId("scopes").querySelectorAll("label")) setText(label.lastElementChild, say("scopes")[label.dataset.scope]);
  for (const chart of [...Object.values(charts), ...Object.values(resources), business]) chart.translate();
  showConnection();
  showLimits();
  showFilter();
  showScope();
  if (state.figures) showCost(state.figures);
  redraw();
}

/** Draws the limits into the charts and names them. */
function showLimits() {
  charts.latency.limits = limitsOf("p99", "p95", "p50", "average");
  charts.errors.limits = limitsOf("error_rate", "client_error_rate", "server_error_rate");
  const note = (...parts) => parts.filter(Boolean).join("; ");
  setText(byId("latency-note"), note(say("log_scale"), limitsText("p99", "p95", "p50", "average")));
  setText(byId("errors-note"), note(say("error_note"), limitsText("error_rate", "client_error_rate", "server_error_rate")));
  showFigures();
  table.draw();
  redraw();
}

function showScope() {
  byId("scopes").hidden = !state.endpoints.includes("fleet/summary");
  byId("main").dataset.scope = state.scope;
  byId("fleet").hidden = !ofFleet();
  for (const radio of byId("scopes").querySelectorAll("input")) radio.checked = radio.value === state.scope;
  for (const radio of byId("windows").querySelectorAll("input")) {
    radio.checked = radio.value === state.window;
    radio.parentElement.hidden = ofFleet() && !FLEET_WINDOWS.includes(radio.value);
  }
  if (ofFleet()) showFleet(state.fleet);
}

function showFilter() {
  byId("filter").hidden = !isNarrowed(state);
  setText(byId("filtered"), choiceText(state, groups.chosen));
  setText(byId("endpoints-whole"), state.span ? say("whole_window") : "");
  showStatuses(state.status);
}

// Choices.

/** Changes the choice, and stores it in the address, so that the browser's back button takes it back. */
function choose(change, replaces = false) {
  apply(change);
  const lang = new URLSearchParams(location.hash.slice(1)).has("lang") ? language : null;
  const to = writeAddress(state, lang);
  if (to === location.hash) return;
  if (replaces) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
}

/** Changes what is shown. */
function apply(change) {
  const before = { ...state };
  Object.assign(state, change);
  fitWindow();
  const differs = (...names) => names.some((name) => JSON.stringify(before[name]) !== JSON.stringify(state[name]));
  if (differs("group", "window")) openGroup();
  if (differs("window", "scope")) {
    state.fleet = null;
    state.routes = [];
    state.lists = {};
    listen();
  }
  if (differs("window")) {
    state.figures = null;
    business.clear();
    table.clearTrends();
  }
  if (differs("window", "scope", "route")) {
    state.points = [];
    Object.values(charts).forEach((chart) => (chart.loaded = false));
    refresh();
  }
  showScope();
  showFilter();
  showFigures();
  table.set(state.routes, state.route && nameOf(state.route));
  if (!ofFleet()) show();
  showLists();
}

/** Narrows the page to a consumer, or no longer. */
function chooseConsumer(consumer) {
  choose({ consumer: state.consumer === consumer ? null : consumer });
}

/** Opens the chosen group of errors. */
function openGroup() {
  groups.open(state.group, state.window).catch(() => {});
}

for (const scope of ["instance", "fleet"]) {
  const radio = make("input", { type: "radio", name: "scope", value: scope, checked: scope === state.scope });
  radio.addEventListener("change", () => choose({ scope }));
  byId("scopes").append(make("label", { "data-scope": scope }, radio, make("span")));
}

for (const window of Object.keys(WINDOWS)) {
  const radio = make("input", { type: "radio", name: "window", value: window, checked: window === state.window });
  radio.addEventListener("change", () => choose({ window, span: null }));
  byId("windows").append(make("label", { "data-window": window }, radio, make("span")));
}

for (const [code, { name }] of Object.entries(languages)) byId("language").append(make("option", { value: code, lang: code }, name));

byId("language").addEventListener("change", ({ target }) => {
  setLanguage(target.value);
  const now = new URLSearchParams(location.hash.slice(1));
  now.set("lang", language);
  history.replaceState(null, "", `#${now}`);
  showWords();
  showLists();
  refreshFleet();
});

byId("unfilter").addEventListener("click", () => choose(EVERYTHING));

for (const status of CLASSES) {
  const button = make("button", { type: "button", "data-status": status, "aria-pressed": "false" }, status);
  button.addEventListener("click", () => choose({ status: state.status === status ? null : status }));
  byId("statuses").append(button);
}

onZoom((span) => choose({ span }));

addEventListener("popstate", () => {
  const chosen = readAddress(location.hash);
  if (chosen) apply(chosen);
});

for (const chart of [...Object.values(charts), ...Object.values(resources)]) {
  addDownloads(chart.host.closest(".panel"), chart.host.id, () => chart.rows());
}
addDownloads(byId("endpoints"), "endpoints", () => table.shown);
addDownloads(byId("groups"), "errors-by-cause", () => groups.shown);
for (const [id, name, list] of [["recent-errors", "errors", "recent_errors"], ["slow", "slow", "requests"], ["consumers", "consumers", "consumers"], ["business", "business", "metrics"]]) {
  addDownloads(byId(id), name, () => state.lists[name]?.[list]?.filter((row) => id === "business" || id === "consumers" || isWanted(row, state, groups.chosen)) ?? []);
}

byId("pause").addEventListener("click", () => {
  state.paused = !state.paused;
  if (state.paused) events.stop();
  else listen();
  showConnection();
});

document.addEventListener("visibilitychange", () => {
  // The page is hidden: free the connection for another viewer.
  if (document.hidden) events.stop();
  else if (active()) listen();
});

// The token.

function lock() {
  if (state.connection === "locked") return;
  state.connection = "locked";
  events.stop();
  byId("token-wrong").hidden = !hasToken();
  byId("token-value").value = "";
  byId("token").showModal();
  showConnection();
}

byId("token").addEventListener("cancel", (event) => event.preventDefault());

byId("token").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(byId("token-value").value.trim());
  byId("token-value").value = "";
  byId("token").close();
  state.connection = "connecting";
  listen();
});

// The connection.

const events = new Events({
  event(name, data) {
    if (name === "hello") {
      state.endpoints = data.endpoints;
      setTraceUrl(data.trace_url);
      allowReset(data.reset);
      if (state.group !== groups.opened) openGroup();
      setText(byId("service"), data.service);
      document.title = `${data.service} – ${say("title")}`;
      // The address is from a time when there was a fleet.
      if (ofFleet() && !state.endpoints.includes("fleet/summary")) choose({ scope: "instance" }, true);
      else showScope();
      return;
    }
    if (name !== "message") {
      if (ofFleet()) return;
      // Some data is `null` for viewers on other machines.
      const shown = data ?? HIDDEN;
      if (LISTS.includes(name)) state.lists[name] = shown;
      shows[name]?.(shown);
      return;
    }
    if (data.window !== state.window) return;
    const gap = silence(state.heard) > STALE || state.connection !== "live";
    Object.assign(state, { figures: data, heard: Date.now(), connection: "live" });
    // Without a trend, request it again, but not with each event: the server may be busy.
    const due = state.step === null && !ofFleet() && performance.now() - refreshed > TRENDS;
    if (gap || due) refresh();
    const reset = Date.parse(data.last_reset);
    if (reset > (state.resets.at(-1) ?? 0)) showResets(state.resets = [...state.resets, reset]);
    if (data.point && !ofFleet() && grow(data.point)) state.gap = true;
    if (state.gap && spare()) {
      state.gap = false;
      loadTrend().catch(() => (state.gap = true));
    }
    if (!ofFleet()) show();
    if (!state.route || state.span) showFigures();
    if (state.span && WINDOWS[state.window] !== null && outOfReach()) choose({}, true);
    showCost(data);
    showConnection();
  },
  lost(why) {
    state.connection = why ?? (state.heard ? "stale" : "connecting");
    showConnection();
  },
  locked: lock,
});

function listen() {
  if (active()) events.start(`events?${query({ window: state.window, page: !ofFleet() })}`);
}

// Endpoints came into view that have no sparklines yet.
addEventListener("scrollend", refreshSparklines);

setInterval(showConnection, 1_000);

fitWindow();
setLanguage(new URLSearchParams(location.hash.slice(1)).get("lang") ?? navigator.language.slice(0, 2));
byId("language").value = language;
showWords();
show();
listen();
