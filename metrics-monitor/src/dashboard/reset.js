// The button that begins a new window, where the service allows it. It asks first.

import { byId } from "./dom.js";
import { post } from "./server.js";

/** Shows the button if there may be resets: `open` for everybody, `token` with one. */
export function allowReset(how) {
  byId("reset").hidden = how === null;
  byId("reset-with").hidden = how !== "token";
  byId("reset-token").required = how === "token";
}

byId("reset").addEventListener("click", () => {
  byId("reset-token").value = "";
  byId("reset-failed").hidden = true;
  byId("reset-dialog").showModal();
});

byId("reset-cancel").addEventListener("click", () => byId("reset-dialog").close());

byId("reset-dialog").querySelector("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = byId("reset-token").value.trim();
  const done = await post("reset", token || null).catch(() => false);
  byId("reset-failed").hidden = done;
  if (done) byId("reset-dialog").close();
});
