// What the page shows: what the user chose, and the data.

import { isNarrowed, nameOf, readAddress, windowFor, WINDOWS } from "./choice.js";
import { FLEET_WINDOWS } from "./fleet.js";

export const state = {
  /** Which figures (those of this instance, or of the fleet), the window, what it is narrowed to and compared with. */
  ...(readAddress(location.hash) ?? readAddress("")),
  /** The data of the fleet. */
  fleet: null,
  paused: false,
  /** The state of the connection: connecting, live, stale, paused, locked, busy or unknown_host. */
  connection: "connecting",
  heard: 0,
  endpoints: [],
  figures: null,
  routes: [],
  points: [],
  step: null,
  /** All points as one. */
  total: null,
  /** Whether the history keeps nothing of the choice. */
  unkept: false,
  /** Whether seconds are missing in the charts. */
  gap: false,
  /** The latest data of each table and list, by its event. */
  lists: {},
  /** When the figures were reset, in milliseconds. */
  resets: [],
};

export const ofFleet = () => state.scope === "fleet";

export const isChosen = (route) => state.route !== null && nameOf(route) === nameOf(state.route);

/** Whether the page is narrowed to nothing but an endpoint, which the table of endpoints has figures of. */
export const isWhole = () => !isNarrowed({ ...state, route: null });

/** Whether the charts grow with each event: not if their steps are longer, or do not show everything. */
export const grows = () => state.step === "1s" && !isNarrowed(state) && !ofFleet();

/** Now, by the service's clock. */
export const now = () => (state.figures ? Date.parse(state.figures.time) : Date.now());

/** What the charts show if no span is chosen. */
export function wholeTime() {
  const to = now();
  return { from: to - 1_000 * (WINDOWS[state.window] ?? state.figures?.window_seconds ?? 60), to };
}

/** Whether the chosen span begins before the window. */
export const outOfReach = () => now() - state.span.from > 1_000 * WINDOWS[state.window];

/** Makes the choices fit together: a fleet has fewer windows, and a window reaches back to the chosen span. */
export function fitChoice() {
  if (!ofFleet()) state.instance = null;
  if (ofFleet() && !FLEET_WINDOWS.includes(state.window)) state.window = "1h";
  if (state.span === null || WINDOWS[state.window] === null || !outOfReach()) return;
  const reaches = windowFor(state.span.from, now());
  // The history does not go back so far.
  if (reaches === null || (ofFleet() && !FLEET_WINDOWS.includes(reaches))) state.span = null;
  else state.window = reaches;
}
