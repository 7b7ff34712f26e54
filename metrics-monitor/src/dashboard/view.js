// Shows the state: figures, charts, the connection, words, and what is chosen.

import { redraw, showTime } from "./axis.js";
import { Business } from "./business.js";
import { ErrorGroups } from "./causes.js";
import { choiceText, isNarrowed, showStatuses } from "./choice.js";
import { byId, setText } from "./dom.js";
import { charts, resources, showPoints } from "./figures.js";
import { connectionOfFleet, FLEET_WINDOWS, showFleet } from "./fleet.js";
import { errorRateOfMatched, isProbed, limitsOf, limitsText, valueOfMatched } from "./limits.js";
import { RoutesTable, showCost, showTiles } from "./panels.js";
import { silence } from "./server.js";
import { isChosen, isWhole, now, ofFleet, state, wholeTime } from "./state.js";
import { meaning } from "./trend.js";
import { language, say } from "./words.js";

/** The figures are stale after this many milliseconds without an event. */
export const STALE = 3_000;

export const business = new Business();
export const groups = new ErrorGroups();
export const table = new RoutesTable();

/** Draws the points of the chosen time. */
export function show() {
  const { from, to } = wholeTime();
  const oldest = state.points[0]?.start ?? to;
  if (!state.span) state.points = state.points.filter((point) => point.end > from);
  // While there are few points, they fill the whole chart.
  if (state.span) showTime(state.span.from, state.span.to);
  else showTime(Math.min(Math.max(from, oldest), to - Math.min(to - from, 30_000)), to);
  const points = state.points.map((point) => meaning(point, state));
  const compared = state.compare ? state.compared?.map((point) => meaning(point, state)) ?? [] : null;
  showPoints(points, { compared, comparison: say("comparisons")[state.compare], unkept: state.unkept });
}

/** The figures of an endpoint without calls: all 0. */
const nothing = new Proxy({}, { get: (_, name) => (["point", "open_streams"].includes(name) ? undefined : 0) });

/** What the tiles show: figures, or `null` while they are unknown, or those of which nothing is kept. */
function figuresOfChoice() {
  const { route, routes, total, unkept } = state;
  if (!isWhole()) return unkept ? {} : total && meaning(total, state);
  if (route) return routes.find((row) => isChosen(row)) ?? (routes.length ? nothing : null);
  return ofFleet() ? state.fleet?.summary ?? null : state.figures;
}

export function showFigures() {
  const whole = ofFleet() && state.instance !== null ? state.fleet?.summary.total_calls : undefined;
  showTiles(figuresOfChoice(), { isPart: !isWhole(), whole, matched });
}

/** A figure of the whole service without scanners' probes, as alerts have it; `undefined` if unknown or the same. */
function matched(name) {
  if (state.route || !isWhole()) return undefined;
  if (name === "error_rate") return state.routes.some(isProbed) ? errorRateOfMatched(state.routes) : undefined;
  return ofFleet() ? undefined : valueOfMatched(name, state.window);
}

export function showConnection() {
  const age = silence(state.heard);
  let { connection } = state;
  if (state.paused) connection = "paused";
  else if ((connection === "live" || connection === "connecting") && state.heard && age > STALE) connection = "stale";
  else if (connection === "live" && ofFleet()) connection = connectionOfFleet(state.fleet);
  // In steps of 10 s from 10 s on, since screen readers announce each change.
  const text = say(connection, age < 10_000 ? Math.round(age / 1_000) : 10 * Math.floor(age / 10_000));
  setText(byId("state"), text);
  byId("state").dataset.state = connection === "fleet_is_stale" ? "stale" : connection;
  byId("main").dataset.stale = ["stale", "fleet_is_stale", "busy", "unknown_host"].includes(connection);
  setText(byId("pause"), say(state.paused ? "resume" : "pause"));
  byId("pause").setAttribute("aria-pressed", String(state.paused));
}

export function showWords() {
  document.documentElement.lang = language;
  for (const element of document.querySelectorAll("[data-text]")) setText(element, say(element.dataset.text));
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", say(element.dataset.label));
  }
  byId("search").placeholder = say("search");
  for (const name of ["window", "scope"]) {
    const texts = say(`${name}s`);
    for (const label of byId(`${name}s`).querySelectorAll("label")) {
      setText(label.lastElementChild, texts[label.dataset[name]]);
    }
  }
  for (const option of byId("compare").options) setText(option, say("comparisons")[option.value || "none"]);
  for (const chart of [...Object.values(charts), ...Object.values(resources), business]) chart.translate();
  showConnection();
  showLimits();
  showFilter();
  showScope();
  if (state.figures) showCost(state.figures);
  redraw();
}

/** Draws the limits into the charts and names them. */
export function showLimits() {
  const latency = ["p99", "p95", "p50", "average"];
  const errors = ["error_rate", "client_error_rate", "server_error_rate"];
  charts.latency.limits = limitsOf(...latency);
  charts.errors.limits = limitsOf(...errors);
  const note = (...parts) => parts.filter(Boolean).join("; ");
  setText(byId("latency-note"), note(say("log_scale"), limitsText(...latency)));
  setText(byId("errors-note"), note(say("error_note"), limitsText(...errors)));
  showFigures();
  table.draw();
  redraw();
}

export function showScope() {
  byId("scopes").hidden = !state.endpoints.includes("fleet/summary");
  byId("main").dataset.scope = state.scope;
  byId("fleet").hidden = byId("versions").hidden = !ofFleet();
  for (const radio of byId("scopes").querySelectorAll("input")) radio.checked = radio.value === state.scope;
  for (const radio of byId("windows").querySelectorAll("input")) {
    radio.checked = radio.value === state.window;
    radio.parentElement.hidden = ofFleet() && !FLEET_WINDOWS.includes(radio.value);
  }
  byId("compare").value = state.compare ?? "";
  if (ofFleet()) showFleet(state.fleet, state.instance);
}

export function showFilter() {
  byId("filter").hidden = !isNarrowed(state);
  setText(byId("filtered"), choiceText(state, groups.chosen));
  setText(byId("endpoints-whole"), state.span ? say("whole_window") : "");
  showStatuses(state.status);
}
