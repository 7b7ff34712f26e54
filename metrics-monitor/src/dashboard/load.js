// Requests what the service does not send by itself: trends, what they are compared with, and the figures of a fleet.

import { showGaps, showResets } from "./axis.js";
import { showObjectives } from "./causes.js";
import { setLoaded } from "./figures.js";
import { loadFleet, showFleet } from "./fleet.js";
import { showErrors } from "./panels.js";
import { get, HIDDEN, spare } from "./server.js";
import { grows, isChosen, ofFleet, state, wholeTime } from "./state.js";
import { showAlertsOf, showConsumersOf, showRoutes } from "./tables.js";
import { comparedWith, grow, historyOf, spans } from "./trend.js";
import { show, showConnection, showFigures, table } from "./view.js";

/** How old sparklines that the service does not send become, in milliseconds. */
const SPARKLINES = 60_000;

/** The comparison is requested again after this many milliseconds. */
const COMPARED = 30_000;

let asked = 0;

/** Whether an endpoint is chosen that was not called since the service started, and so has no trend. */
const isUnknown = () => state.route !== null && !state.routes.some(isChosen);

export async function loadTrend() {
  const mine = ++asked;
  const address = historyOf(state, state.span);
  const found = address === null || (isUnknown() && !ofFleet()) ? null : await get(address);
  // The user chose something else meanwhile.
  if (mine !== asked) return;
  const trend = found === HIDDEN ? null : found;
  if (!trend && !state.route && address !== null && !state.group && !state.consumer) return;
  const { step, points, total, resets, gaps } = trend ?? { step: null, points: [], total: null };
  Object.assign(state, { step, total, gap: false, unkept: address === null || found === HIDDEN });
  state.points = spans(points);
  if (resets) {
    state.resets = resets.map((time) => Date.parse(time));
    showResets(state.resets);
    showGaps(gaps.map(({ from, until }) => ({ from: Date.parse(from), until: Date.parse(until) })));
  }
  setLoaded(true);
  if (state.figures?.point && grows()) grow(state.points, state.figures.point);
  await loadCompared();
  show();
  showFigures();
}

/** When the comparison was requested, and of what. */
let compared = { at: -Infinity, address: null };

/** Loads what the charts are compared with, if it is due. */
export async function loadCompared() {
  if (!state.compare) return;
  const period = comparedWith(state, wholeTime());
  const address = historyOf(state, period);
  const of = JSON.stringify([historyOf(state, state.span), state.compare]);
  const fresh = compared.of === of && performance.now() - compared.at < COMPARED;
  if (fresh || (compared.of === of && !spare())) return;
  compared = { at: performance.now(), of };
  const trend = address === null || isUnknown() ? null : await get(address);
  // The user chose something else meanwhile.
  if (compared.of !== of) return;
  const moved = (point) => ({ ...point, start: point.start + period.earlier, end: point.end + period.earlier });
  state.compared = trend && trend !== HIDDEN ? spans(trend.points).map(moved) : [];
  show();
}

export async function loadFleetView() {
  const { window } = state;
  const fleet = await loadFleet(window);
  if (window !== state.window || !ofFleet()) return true;
  // The service was restarted without a fleet.
  if (!fleet) return false;
  state.fleet = fleet;
  showRoutes(fleet.routes.routes);
  showErrors({ recent_errors: fleet.errors, evicted: 0, thinned: 0 }, state, null);
  if (state.endpoints.includes("consumers")) showConsumersOf(fleet.consumers, null);
  showAlertsOf(fleet.alerts);
  showObjectives({ objectives: fleet.alerts.objectives, apdex: null }, fleet.alerts.alerts);
  showFleet(fleet, state.instance);
  showFigures();
  showConnection();
  return true;
}

/** Loads the sparklines on the screen that the service does not send, one after the other. */
export async function loadSparklines(isActive) {
  for (const { method, route } of table.lacking(SPARKLINES)) {
    const { window } = state;
    if (!spare()) return;
    const trend = await get(historyOf({ window, route: { method, route } }));
    if (window !== state.window || !isActive()) return;
    if (trend) table.setTrend({ method, route }, spans(trend.points));
  }
}
