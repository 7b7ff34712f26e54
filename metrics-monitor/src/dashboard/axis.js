// What all charts share: one time axis with its marks, a tooltip, colours, and when they are drawn.

import { make } from "./dom.js";

export const EDGE = { left: 54, right: 12, top: 12, bottom: 24 };

/** What all charts share: the time span, the resets, the gaps of restarts, the changes of alerts, the time under the
 * pointer, and the span that is being chosen. */
export const shared = { from: 0, to: 1, resets: [], gaps: [], changes: [], at: null, drag: null };

/** The least width of a span that is dragged, in CSS pixels: less is a click. */
export const LEAST_DRAG = 6;

/** Is called with the ends of a span, in milliseconds. */
let chooseSpan = () => {};

/** Calls `choose` with each span that is dragged over a chart. */
export function onZoom(choose) {
  chooseSpan = choose;
}

/** Narrows the page to a span. */
export const zoom = (span) => chooseSpan(span);

/** Marks when alerts began to fire and were resolved: `{ at, change, rule }`. */
export function showMarks(changes) {
  shared.changes = changes;
  redraw();
}

export const drawn = new Set();
let drawing = 0;

/** Shows a time span, in milliseconds. */
export function showTime(from, to) {
  Object.assign(shared, { from, to });
  redraw();
}

/** Marks the resets, in milliseconds. */
export function showResets(resets) {
  shared.resets = resets;
  redraw();
}

/** Marks the times in which no process counted, each with its beginning and its end in milliseconds. */
export function showGaps(gaps) {
  shared.gaps = gaps;
  redraw();
}

export function redraw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    for (const chart of drawn) chart.draw();
  });
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);

let tip;

export function tooltip() {
  tip ??= document.body.appendChild(make("div", { id: "tip", role: "presentation", hidden: true }));
  return tip;
}

export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Fits a canvas to the screen. Returns its context, and its size in CSS pixels. */
export function prepared(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const ratio = devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
