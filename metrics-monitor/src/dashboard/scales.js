// Positions of values and times on an axis, and its ticks.

const timeSteps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Returns round local times, at most `room` of them. */
export function timeTicks(from, to, room) {
  const step = 1_000 * (timeSteps.find((step) => (to - from) / 1_000 / step <= room) ?? timeSteps.at(-1));
  const offset = new Date(to).getTimezoneOffset() * 60_000;
  const ticks = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at <= to; at += step) ticks.push(at);
  return { ticks, withSeconds: step < 60_000 };
}

/** A scale from 0 to at least `highest`, with ticks that are round in this unit. */
export function linearScale(highest, unit) {
  const top = highest / unit;
  const power = 10 ** Math.floor(Math.log10(top / 4));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power * 4 >= top * 0.999);
  const count = Math.max(1, Math.ceil(top / step - 0.001));
  const ticks = Array.from({ length: count + 1 }, (_, i) => i * step * unit);
  const max = ticks.at(-1);
  return { ticks, place: (value) => Math.min(value / max, 1) };
}

/** A logarithmic scale of whole decades from `low` to `high`. */
export function logScale(low, high) {
  let from = Math.floor(Math.log10(low) + 1e-9);
  let to = Math.ceil(Math.log10(high) - 1e-9);
  if (to - from < 2) to = from + 2;
  const ticks = Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i));
  const place = (value) => Math.max(0, Math.min((Math.log10(value) - from) / (to - from), 1));
  return { ticks, place };
}
