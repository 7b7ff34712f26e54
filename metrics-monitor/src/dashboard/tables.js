// Shows the tables and lists that the service sends beside the figures of each second.

import { showMarks } from "./axis.js";
import { showObjectives, showSlow } from "./causes.js";
import { isWanted, nameOf } from "./choice.js";
import { byId } from "./dom.js";
import { addDownloads } from "./download.js";
import { showExporters } from "./exporters.js";
import { charts, resources } from "./figures.js";
import { setLimits } from "./limits.js";
import { showAlerts, showConsumers, showErrors } from "./panels.js";
import { ofFleet, state } from "./state.js";
import { spans } from "./trend.js";
import { business, groups, showFigures, showFilter, showLimits, table } from "./view.js";

/** Is called with the consumer that the user clicks. */
let onConsumer = () => {};

export function onChosenConsumer(choose) {
  onConsumer = choose;
}

export function showRoutes(routes) {
  state.routes = routes;
  table.set(routes, state.route && nameOf(state.route));
}

export function showConsumersOf(data, group) {
  showConsumers(data, state.consumer, group, (consumer) => onConsumer(consumer));
}

const showObjectivesOf = (data) => showObjectives(data, state.lists.alerts?.alerts ?? []);

/** Shows alerts, and marks their changes in the charts. */
export function showAlertsOf(data) {
  showAlerts(data);
  showMarks((data.changes ?? []).map(({ since, change, rule }) => ({ at: Date.parse(since), change, rule })));
}

function showResources({ points }) {
  byId("resources").hidden = points.length === 0;
  const known = spans(points);
  for (const chart of Object.values(resources)) {
    chart.loaded = true;
    chart.set(known);
  }
}

/** How the data of each event is shown. */
export const shows = {
  routes({ routes }) {
    showRoutes(routes);
    if (state.route) showFigures();
  },
  groups(data) {
    groups.set(data, state);
    showFilter();
  },
  errors: (data) => showErrors(data, state, groups.chosen),
  slow: (data) => showSlow(data, state, groups.chosen),
  objectives: showObjectivesOf,
  consumers: (data) => showConsumersOf(data, groups.chosen),
  exporters: showExporters,
  alerts(data) {
    showAlertsOf(data);
    if ("objectives" in state.lists) showObjectivesOf(state.lists.objectives);
    if (setLimits(data)) showLimits();
  },
  business: (data) => business.set(data),
  resources: showResources,
  history: ({ metric, points }) => business.setTrend(metric, spans(points)),
  sparkline({ method, route, points }) {
    table.setTrend({ method, route }, points.map(([end, seconds, rate, errors]) =>
      ({ start: end - seconds * 1_000, end, requests_per_second: rate, server_errors: errors })));
  },
};

/** The events whose data is shown again in another language. */
export const LISTS =
  ["routes", "groups", "errors", "slow", "objectives", "consumers", "exporters", "alerts", "business"];

export function showLists() {
  if (ofFleet()) return;
  for (const name of LISTS) if (name in state.lists) shows[name](state.lists[name]);
}

/** Adds the buttons that download what a panel shows. */
export function addAllDownloads() {
  for (const chart of [...Object.values(charts), ...Object.values(resources)]) {
    addDownloads(chart.host.closest(".panel"), chart.host.id, () => chart.rows());
  }
  addDownloads(byId("endpoints"), "endpoints", () => table.shown);
  addDownloads(byId("groups"), "errors-by-cause", () => groups.shown);
  const rows = (name, list) => state.lists[name]?.[list] ?? [];
  const wanted = (name, list) => rows(name, list).filter((row) => isWanted(row, state, groups.chosen));
  addDownloads(byId("recent-errors"), "errors", () => wanted("errors", "recent_errors"));
  addDownloads(byId("slow"), "slow", () => wanted("slow", "requests"));
  addDownloads(byId("consumers"), "consumers", () => rows("consumers", "consumers"));
  addDownloads(byId("business"), "business", () => rows("business", "metrics"));
}
