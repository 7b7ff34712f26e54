// Downloads of what a panel shows, as CSV or JSON.

import { make } from "./dom.js";
import { say } from "./words.js";

/** Text for a cell: quoted, and with a mark before what a spreadsheet would take for a formula. */
function cell(value) {
  const known = value ?? "";
  const text = typeof known === "object" ? JSON.stringify(known) : String(known);
  const safe = typeof value === "string" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/** Rows as CSV, with a column for each field of any row. */
export function csv(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const lines = [names, ...rows.map((row) => names.map((name) => row[name]))];
  return lines.map((line) => line.map(cell).join(",")).join("\r\n");
}

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Adds buttons to the head of a panel, which save what `rows` returns. */
export function addDownloads(panel, name, rows) {
  const button = (kind, type, text) => {
    const named = { type: "button", class: "save", "data-save": kind, "data-label": `save_${kind}` };
    const saves = make("button", named, kind.toUpperCase());
    saves.addEventListener("click", () => save(`${name}.${kind}`, type, text(rows())));
    return saves;
  };
  panel.querySelector(".head").append(make("span", { class: "saves" },
    button("csv", "text/csv", csv), button("json", "application/json", (shown) => JSON.stringify(shown, null, 2))));
}
