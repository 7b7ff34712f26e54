// The table of exporters.

import { byId, keyed, make, setText } from "./dom.js";
import { count, time } from "./format.js";
import { say } from "./words.js";

const exporterColumns = [
  { name: "destination" },
  { name: "condition", text: true, value: condition },
  { name: "last_sent", value: ({ last_sent: sent }) => (sent ? time(Date.parse(sent)) : "–") },
  { name: "windows_sent", value: ({ windows }) => count(windows.sent) },
  { name: "waiting_now", value: ({ windows }) => count(windows.waiting), wide: true },
  { name: "windows_dropped", value: ({ windows }) => count(windows.dropped) },
  { name: "lost", value: (exporter) => count(lost(exporter)) },
];

/** The number of errors, captured requests, documents and the like that never arrived. */
function lost({ errors, requests, rejected }) {
  return errors.dropped + errors.missed + requests.dropped + requests.missed + rejected;
}

function condition({ state, reason, failing, last_error: why, last_sent: sent }) {
  if (state === "off") return `${say("off")}: ${reason}`;
  if (failing > 0) return `${say("failing", count(failing))}: ${why}`;
  return why ?? say(sent ? "works" : "nothing_sent");
}

/** Shows the table of exporters, or hides it if there are none. */
export function showExporters({ exporters }) {
  const panel = byId("exporters");
  panel.hidden = exporters.length === 0;
  const [{ tHead: head, tBodies: [body] }] = panel.getElementsByTagName("table");
  const kind = ({ wide, text }, i) =>
    [wide && "wide", (text || i === 0) && "text"].filter(Boolean).join(" ") || undefined;
  if (!head.rows.length) {
    const titles = exporterColumns.map((column, i) => make("th", { scope: "col", class: kind(column, i) }));
    head.append(make("tr", {}, ...titles));
  }
  exporterColumns.forEach(({ name }, i) => setText(head.rows[0].cells[i], say(name)));
  keyed(body, exporters, ({ exporter }) => exporter,
    ({ exporter }) => make("tr", {}, make("th", { scope: "row", class: "text" }, exporter),
      ...exporterColumns.slice(1).map((column) => make("td", { class: kind(column) }))),
    (row, exporter) => {
      exporterColumns.slice(1).forEach(({ value }, i) => setText(row.cells[i + 1], value(exporter)));
      row.cells[1].dataset.over = exporter.failing > 0 || exporter.state === "off";
      row.cells[5].dataset.over = exporter.windows.dropped > 0;
      row.cells[6].dataset.over = lost(exporter) > 0;
    });
}
