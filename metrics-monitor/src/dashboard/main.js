// The page: what the user chooses, and when data is requested.

import { onZoom, showResets } from "./axis.js";
import { setTraceUrl, showObjectives } from "./causes.js";
import { CLASSES, COMPARISONS, EVERYTHING, nameOf, readAddress, WINDOWS, writeAddress } from "./choice.js";
import { byId, make, setText } from "./dom.js";
import { setLoaded } from "./figures.js";
import { onChosenInstance } from "./fleet.js";
import { loadCompared, loadFleetView, loadSparklines, loadTrend } from "./load.js";
import { showCost } from "./panels.js";
import { allowReset } from "./reset.js";
import { Events, hasToken, HIDDEN, Locked, setToken, silence, spare } from "./server.js";
import { fitChoice, grows, isChosen, ofFleet, outOfReach, state } from "./state.js";
import { addAllDownloads, LISTS, onChosenConsumer, showAlertsOf, showLists, shows } from "./tables.js";
import { grow } from "./trend.js";
import { business, groups, show, showConnection, showFigures, showFilter, showScope, showWords } from "./view.js";
import { STALE, table } from "./view.js";
import { language, languages, say, setLanguage } from "./words.js";

/** Refresh intervals in milliseconds: of charts that do not grow with each event, and of a fleet. */
const [TRENDS, FLEET] = [10_000, 10_000];

const query = (of) => new URLSearchParams(of).toString();

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

/** Runs a task only while the page shows one instance. */
const alone = (task) => async () => {
  if (!ofFleet()) await task();
};

const refreshFleet = repeat(FLEET, async () => {
  if (ofFleet() && !(await loadFleetView())) choose({ scope: "instance" }, true);
});
const refreshTrend = repeat(TRENDS, async () => {
  if (!grows() || state.gap) await loadTrend();
  else await loadCompared();
});
const refreshSparklines = repeat(TRENDS, alone(() => loadSparklines(active)));

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
  fitChoice();
  const differs = (...names) => names.some((name) => JSON.stringify(before[name]) !== JSON.stringify(state[name]));
  if (differs("group", "window")) openGroup();
  if (differs("window", "scope")) {
    state.fleet = null;
    state.routes = [];
    state.lists = {};
    if (differs("scope")) {
      showAlertsOf({ alerts: [] });
      showObjectives({ objectives: [], apdex: null }, []);
    }
    listen();
  }
  if (differs("window")) {
    state.figures = null;
    business.clear();
    table.clearTrends();
  }
  if (differs("window", "scope", ...Object.keys(EVERYTHING))) {
    Object.assign(state, { points: [], total: null, compared: null, unkept: false });
    setLoaded(false);
    refresh();
  } else if (differs("compare")) {
    state.compared = null;
    refreshTrend();
  }
  showScope();
  showFilter();
  showFigures();
  table.set(state.routes, state.route && nameOf(state.route));
  show();
  showLists();
}

/** Opens the chosen group of errors. */
function openGroup() {
  groups.open(state.group, state.window).catch(() => {});
}

/** Chooses a value, or no longer if it was chosen. */
const toggle = (name, value) => choose({ [name]: state[name] === value ? null : value });

table.choose = (route) => choose({ route: isChosen(route) ? null : route });
groups.choose = (group) => choose({ group });
onChosenConsumer((consumer) => toggle("consumer", consumer));
onChosenInstance((instance) => toggle("instance", instance));
onZoom((span) => choose({ span }));

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

for (const comparison of ["", ...Object.keys(COMPARISONS)]) {
  byId("compare").append(make("option", { value: comparison }));
}

byId("compare").addEventListener("change", ({ target }) => choose({ compare: target.value || null }));

for (const [code, { name }] of Object.entries(languages)) {
  byId("language").append(make("option", { value: code, lang: code }, name));
}

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
  button.addEventListener("click", () => toggle("status", status));
  byId("statuses").append(button);
}

addEventListener("popstate", () => {
  const chosen = readAddress(location.hash);
  if (chosen) apply(chosen);
});

addAllDownloads();

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

/** The first event of a connection says what the service has. */
function greet({ endpoints, trace_url: traceUrl, reset, service }) {
  state.endpoints = endpoints;
  setTraceUrl(traceUrl);
  allowReset(reset);
  if (state.group !== groups.opened) openGroup();
  setText(byId("service"), service);
  document.title = `${service} – ${say("title")}`;
  // The address is from a time when there was a fleet.
  if (ofFleet() && !endpoints.includes("fleet/summary")) choose({ scope: "instance" }, true);
  else showScope();
}

function showSent(name, data) {
  if (ofFleet()) return;
  // Some data is `null` for viewers on other machines.
  const shown = data ?? HIDDEN;
  if (LISTS.includes(name)) state.lists[name] = shown;
  shows[name]?.(shown);
  if (name === "routes" && state.route && state.step === null && !state.unkept) refreshTrend();
}

/** Shows the figures of a second. */
function showSecond(data) {
  if (data.window !== state.window) return;
  const gap = silence(state.heard) > STALE || state.connection !== "live";
  Object.assign(state, { figures: data, heard: Date.now(), connection: "live" });
  // Without a trend, request it again, but not with each event: the server may be busy.
  const due = state.step === null && !ofFleet() && !state.unkept && performance.now() - refreshed > TRENDS;
  if (gap || due) refresh();
  const reset = Date.parse(data.last_reset);
  if (reset > (state.resets.at(-1) ?? 0)) showResets(state.resets = [...state.resets, reset]);
  if (data.point && grows() && grow(state.points, data.point)) state.gap = true;
  if (state.gap && spare()) {
    state.gap = false;
    loadTrend().catch(() => (state.gap = true));
  }
  show();
  showFigures();
  if (state.span && WINDOWS[state.window] !== null && outOfReach()) choose({}, true);
  showCost(data);
  showConnection();
}

const events = new Events({
  event(name, data) {
    if (name === "hello") greet(data);
    else if (name === "message") showSecond(data);
    else showSent(name, data);
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

fitChoice();
setLanguage(new URLSearchParams(location.hash.slice(1)).get("lang") ?? navigator.language.slice(0, 2));
byId("language").value = language;
showWords();
show();
listen();
