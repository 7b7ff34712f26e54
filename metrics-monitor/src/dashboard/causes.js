// What leads from a red number to its cause: groups of errors with examples, the slowest requests, and objectives.

import { sparkline } from "./lines.js";
import { errorsOf, isGroupWanted, isWanted } from "./choice.js";
import { byId, keyed, make, setText } from "./dom.js";
import { count, duration, percent, plain, time } from "./format.js";
import { known } from "./panels.js";
import { get, HIDDEN } from "./server.js";
import { say } from "./words.js";

/** A link to a trace, with `{trace_id}` for its id, or `null`. */
let traceUrl = null;

export function setTraceUrl(url) {
  traceUrl = url;
}

const statusOf = (status) => make("span", { class: "status", "data-class": status === null ? "5" : `${status}`[0] },
  status === null ? say("panicked") : String(status));

const whereOf = ({ method, route }) =>
  make("span", { class: "where" }, make("span", { class: "method" }, method), ` ${route}`);

/** The id of a trace as a link, if the service says where traces are, with a button that copies it. */
function traceOf(id) {
  const shown = traceUrl === null
    ? make("code", {}, id)
    : make("a", { href: traceUrl.replaceAll("{trace_id}", id), target: "_blank", rel: "noopener noreferrer" }, id);
  const copy = make("button", { type: "button", "aria-label": say("copy_trace") }, say("copy"));
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(id);
    setText(copy, say("copied"));
  });
  return make("span", { class: "trace" }, shown, " ", copy);
}

/** What is known of a single request, as a list of names and values. */
function detailsOf({ consumer, path, request_id: id, trace_id: trace, worker }) {
  const fields = { consumer, path, request_id: id, worker: worker === null ? null : String(worker) };
  const rows = Object.entries(fields)
    .filter(([, value]) => value !== null)
    .flatMap(([name, value]) => [make("dt", {}, say(name)), make("dd", {}, value)]);
  if (trace !== null) rows.push(make("dt", {}, say("trace_id")), make("dd", {}, traceOf(trace)));
  return make("dl", {}, ...rows);
}

/** The groups of errors. One opens to its examples. */
export class ErrorGroups {
  #data = null;
  #choice = null;
  #opened = null;
  #examples = [];

  constructor() {
    this.panel = byId("groups");
    this.list = this.panel.querySelector("ol");
  }

  /** The id of the group that is open, or `null`. */
  get opened() {
    return this.#opened;
  }

  /** The group that is open, or `null` if it is unknown. */
  get chosen() {
    return this.#data?.groups?.find(({ id }) => id === this.#opened) ?? null;
  }

  /** The groups that are shown. */
  get shown() {
    return this.#data?.groups?.filter((group) => isGroupWanted(group, this.#choice, this.#steps)) ?? [];
  }

  get #steps() {
    const { since, window_seconds: window, step_seconds: step } = this.#data;
    const length = step * 1_000;
    return { length, last: Date.parse(since) + Math.floor(window / step) * length };
  }

  set(data, choice) {
    [this.#data, this.#choice] = [data, choice];
    this.draw();
  }

  /** Opens a group, or closes it if `id` is `null`. */
  async open(id, window) {
    this.#opened = id;
    this.#examples = [];
    this.draw();
    if (id === null) return;
    const answer = await get(`errors?${new URLSearchParams({ group: id, window })}`);
    if (this.#opened !== id || !answer || answer === HIDDEN) return;
    this.#examples = answer.recent_errors.slice(0, 10);
    this.draw();
  }

  draw() {
    if (this.#data === null) return;
    const nothing = { groups: [], more: 0, ungrouped: 0, unmatched_paths: [], step_seconds: 10 };
    const data = known(this.panel, this.#data, nothing, "no_errors");
    const { more, ungrouped, unmatched_paths: paths, step_seconds: step } = data;
    // The service's own errors come before those of scanners, however many these are.
    const rank = ({ status, route }) => (status === null || status >= 500 ? 0 : route === "_unmatched" ? 2 : 1);
    const shown = this.shown.sort((a, b) => rank(a) - rank(b));
    const notes = [more > 0 && say("more_groups", count(more)), ungrouped > 0 && say("ungrouped", count(ungrouped))];
    setText(byId("groups-note"), notes.filter(Boolean).join(" · "));
    this.panel.querySelector(".empty").hidden = shown.length > 0;
    this.panel.querySelector(".scroll").hidden = shown.length === 0;
    keyed(this.list, shown, ({ id }) => id, (group) => this.#item(group),
      (item, group) => this.#fill(item, group, step));
    const unmatched = byId("unmatched");
    const { route, span, status } = this.#choice;
    const isOther = (route !== null && route.route !== "_unmatched") || span !== null || status === "5xx";
    unmatched.hidden = paths.length === 0 || isOther;
    const counted = paths.slice(0, 8).map(({ path, at_most: most }) => `${path} (${count(most)})`);
    setText(unmatched, `${say("unmatched_paths")} ${counted.join(", ")}`);
  }

  #item(group) {
    const button = make("button", { type: "button", "data-group": group.id }, statusOf(group.status), whereOf(group),
      make("span", { class: "message" }, group.message || say("no_message")));
    button.addEventListener("click", () => this.choose(this.#opened === group.id ? null : group.id));
    const trend = make("canvas", { class: "spark", "aria-hidden": "true" });
    return make("li", {}, button, trend, make("b"), make("p"), make("ul"));
  }

  #fill(item, group, step) {
    const [button, canvas, total, note, examples] = item.children;
    const isOpen = group.id === this.#opened;
    button.setAttribute("aria-expanded", String(isOpen));
    setText(total, count(errorsOf(group, this.#choice, this.#steps)));
    const whose = group.consumers.slice(0, 3).map(({ consumer, errors }) => `${consumer} (${count(errors)})`);
    const seen = say("seen", time(Date.parse(group.first_seen)), time(Date.parse(group.last_seen)));
    setText(note, [seen, whose.join(", ")].filter(Boolean).join(" · "));
    sparkline(canvas, group.trend.map((errors, i) =>
      ({ start: i * step, end: (i + 1) * step, requests_per_second: errors, server_errors: 0 })));
    examples.hidden = !isOpen;
    keyed(examples, isOpen ? this.#examples : [], (error) => JSON.stringify(error),
      (error) => make("li", {}, make("time", { datetime: error.time }, time(Date.parse(error.time))), " ",
        make("span", { class: "took" }, duration(error.response_time)), make("p", {}, error.message), detailsOf(error)),
      () => {});
  }
}

/** Shows the slowest requests of the choice, the slowest first. */
export function showSlow(data, choice, group) {
  const panel = byId("slow");
  const { requests } = known(panel, data, { requests: [] }, "no_calls");
  const shown = requests.filter((request) => isWanted(request, choice, group)).slice(0, 10);
  panel.querySelector(".empty").hidden = shown.length > 0;
  panel.querySelector(".scroll").hidden = shown.length === 0;
  keyed(panel.querySelector("ol"), shown, (request) => JSON.stringify(request),
    (request) => make("li", {}, make("b", {}, duration(request.response_time)), statusOf(request.status), whereOf(request),
      make("time", { datetime: request.time }, time(Date.parse(request.time))), detailsOf(request)),
    () => {});
}

/** The windows of the budgets that are shown, in seconds. */
const BUDGETS = [3_600, 21_600, 86_400];

/** Shows how satisfied users are with response times. */
function showApdex(apdex) {
  const line = byId("apdex");
  line.hidden = apdex === null;
  if (apdex === null) return;
  const scores = apdex.scores.filter(({ window_seconds: seconds }) => BUDGETS.includes(seconds));
  const shown = scores.map(({ window_seconds: seconds, score }) =>
    say("apdex_score", seconds / 3_600, score === null ? "–" : score.toFixed(2)));
  setText(line, `${say("apdex", duration(apdex.target))} ${shown.join(" · ")}`);
}

/** The state of the most severe alert of an objective that is pending or firing. */
function alertOf(name, alerts) {
  const open = alerts.filter(({ rule, state }) =>
    rule.startsWith(`${name}_burn_`) && (state === "firing" || state === "pending"));
  const rank = ({ state, severity }) => 2 * (state === "firing") + (severity === "critical");
  return open.sort((a, b) => rank(b) - rank(a))[0];
}

/** Shows what is left of the objectives' budgets, how fast they are spent, and whether one of `alerts` says so. */
export function showObjectives({ objectives, apdex }, alerts) {
  byId("objectives").hidden = objectives.length === 0 && apdex === null;
  showApdex(apdex);
  keyed(byId("objectives").querySelector(".grid"), objectives, ({ name }) => name,
    ({ name }) =>
      make("div", { class: "card", "data-objective": name },
        make("h3", {}, name, " ", make("span", { class: "status" })), make("p"), make("ul"), make("p")),
    (card, { name, kind, target, threshold, routes = [], budgets, exhausted_in: ends }) => {
      const [{ lastElementChild: badge }, goal, list, note] = card.children;
      const alert = alertOf(name, alerts);
      badge.hidden = !alert;
      setText(badge, alert ? say(alert.state) : "");
      Object.assign(card.dataset, { state: alert?.state ?? "", severity: alert?.severity ?? "" });
      const isLatency = kind === "latency";
      const aim = say(isLatency ? "in_time" : "available", percent(target), isLatency && duration(threshold));
      const where = routes.slice(0, 3).join(", ") + (routes.length > 3 ? ", …" : "");
      setText(goal, [aim, where].filter(Boolean).join(" · "));
      const shown = budgets.filter(({ window_seconds: seconds }) => BUDGETS.includes(seconds));
      keyed(list, shown, ({ window_seconds: seconds }) => String(seconds),
        () =>
          make("li", {}, make("span"), make("meter", { min: "0", max: "100", low: "25", high: "50", optimum: "100" })),
        (row, { window_seconds: seconds, left, burn_rate: burn }) => {
          setText(row.firstElementChild, say("budget", seconds / 3_600, percent(Math.max(left, 0)), plain(burn)));
          row.lastElementChild.value = Math.max(left, 0);
          row.dataset.left = left;
        });
      setText(note, ends === null ? "" : say("budget_ends", ends > 0 ? duration(ends) : ""));
    });
}
