// Formats figures for people.

import { language } from "./words.js";

const made = new Map();

/** Returns a formatter of this kind, cached by language. */
function formatter(kind, options) {
  const key = `${language}${JSON.stringify(options)}`;
  if (!made.has(key)) made.set(key, new kind(language, options));
  return made.get(key);
}

function number(value, options) {
  return formatter(Intl.NumberFormat, options).format(value);
}

/** Three significant digits, or all digits of the integer part if there are more. */
function short(value) {
  return Math.abs(value) >= 100
    ? number(value, { maximumFractionDigits: 0 })
    : number(value, { maximumSignificantDigits: 3 });
}

const durations = [[1, "s"], [1e-3, "ms"], [1e-6, "µs"], [1e-9, "ns"]];

export function duration(seconds) {
  if (!(seconds > 0)) return "0 ms";
  const [unit, name] = durations.find(([unit]) => seconds >= unit * 0.9995) ?? durations.at(-1);
  return `${short(seconds / unit)} ${name}`;
}

export function count(value) {
  return Math.abs(value) < 1e5
    ? number(value, { maximumFractionDigits: 0 })
    : number(value, { notation: "compact", maximumSignificantDigits: 4 });
}

export function rate(perSecond) {
  return `${plain(perSecond)}/s`;
}

export function plain(value) {
  return Math.abs(value) < 1e5 ? short(value) : number(value, { notation: "compact", maximumSignificantDigits: 3 });
}

export function percent(value) {
  return value > 0 && value < 0.01 ? "<0.01%" : `${number(value, { maximumFractionDigits: value < 1 ? 2 : 1 })}%`;
}

const sizes = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"], [1, "B"]];

export function bytes(value) {
  const [unit, name] = sizes.find(([unit]) => value >= unit) ?? sizes.at(-1);
  return `${short(value / unit)} ${name}`;
}

/** The time of day of a moment in milliseconds, with the date if it is not today. */
export function time(millis, withSeconds = true) {
  const today = new Date(millis).toDateString() === new Date().toDateString();
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) parts.second = "2-digit";
  if (!today) Object.assign(parts, { month: "short", day: "numeric" });
  return formatter(Intl.DateTimeFormat, parts).format(millis);
}

/** The time of day for a tick of an axis. */
export function tick(millis, withSeconds) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  if (withSeconds) parts.second = "2-digit";
  return formatter(Intl.DateTimeFormat, parts).format(millis);
}
