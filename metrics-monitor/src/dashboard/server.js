// The connection to the service: calls, and the events that it sends once a second.

/** The read token, or `null`. It is stored nowhere else. */
let token = null;

export function setToken(value) {
  token = value;
}

export const hasToken = () => token !== null;

/** The service requires a token, or another one. */
export class Locked extends Error {}

/** Instead of data that the service shows to its own machine only. */
export const HIDDEN = Symbol("hidden");

/** The service does not know the host in the page's address. */
class UnknownHost extends Error {}

/** The service has no room for another viewer. */
class Busy extends Error {
  constructor(seconds) {
    super("busy");
    this.seconds = seconds;
  }
}

/** When the requests of the last minute were sent, in milliseconds. */
let sent = [];

/** Requests a minute above which nothing is requested that can wait: each may be a line in the service's log. */
const SPARE = 16;

/** Whether there is room for a request that can wait. */
export function spare() {
  sent = sent.filter((at) => performance.now() - at < 60_000);
  return sent.length < SPARE;
}

async function call(path, signal) {
  sent.push(performance.now());
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const response = await fetch(path, { headers, signal, cache: "no-store", credentials: "same-origin" });
  if (response.status === 401) throw new Locked();
  if (response.status === 421) throw new UnknownHost();
  if (response.status === 503) throw new Busy(Number(response.headers.get("retry-after")) || 5);
  return response;
}

/** Returns the data of an endpoint; `null` if it or what is asked for does not exist, `HIDDEN` if it is not for this
 * client. */
export async function get(path) {
  const response = await call(path, AbortSignal.timeout(15_000));
  if (response.status === 404 || response.status === 400) return null;
  if (response.status === 403) return HIDDEN;
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return (await response.json()).data;
}

/** Posts to an endpoint, with this token if it is not the one that reads. Returns whether it succeeded. */
export async function post(path, ownToken) {
  const bearer = ownToken ?? token;
  const headers = bearer === null ? {} : { authorization: `Bearer ${bearer}` };
  const how = { method: "POST", headers, cache: "no-store", credentials: "same-origin" };
  const response = await fetch(path, { ...how, signal: AbortSignal.timeout(15_000) });
  return response.ok;
}

/** The maximum length of an event, in characters. */
const MAX_EVENT = 1 << 24;

/** A connection is considered dead after this many milliseconds without an event. */
const SILENCE = 4_000;

/**
 * The milliseconds since a moment, by the wall clock, which continues while the computer sleeps. If the clock was set
 * back, the time is unknown, and a large step back counts as a long silence.
 */
export const silence = (since) => Math.abs(Date.now() - since);

/** The first and the longest pause between two attempts to connect, in milliseconds. */
const PAUSES = [250, 10_000];

/** Receives events until it is stopped, and reconnects whenever the connection ends. */
export class Events {
  #path;
  #on;
  #wanted = false;
  #running = false;
  #connection = null;
  /** When the connection last delivered something. */
  #heard = 0;
  #events = 0;
  #wake = () => {};

  /**
   * Calls `on.event(name, data)`, `on.locked()`, and `on.lost(why)` if there is no connection: `why` is `busy` if there is
   * no room for one, `unknown_host` if the service does not know the page's host, or else `null`.
   */
  constructor(on) {
    this.#on = on;
    // This also detects a connection that died while the computer slept.
    setInterval(() => {
      if (this.#connection && silence(this.#heard) > SILENCE) this.#connection.abort();
    }, 1_000);
    addEventListener("online", () => this.#wake());
  }

  /** Listens to the events of `path` from now on. */
  start(path) {
    this.#path = path;
    this.#wanted = true;
    this.#connection?.abort();
    this.#wake();
    if (!this.#running) this.#run();
  }

  stop() {
    this.#wanted = false;
    this.#connection?.abort();
    this.#wake();
  }

  async #run() {
    this.#running = true;
    let pause = PAUSES[0];
    while (this.#wanted) {
      const path = this.#path;
      const events = this.#events;
      try {
        await this.#listen(path);
        // The server ends each connection after a few seconds; the next one follows at once.
        pause = PAUSES[0];
        if (this.#events > events) continue;
      } catch (error) {
        if (error instanceof Locked) {
          this.#wanted = false;
          this.#on.locked();
          break;
        }
        if (!this.#wanted || this.#path !== path) continue;
        if (this.#events > events) pause = PAUSES[0];
        if (error instanceof Busy) pause = Math.max(pause, error.seconds * 1_000);
        this.#on.lost(error instanceof Busy ? "busy" : error instanceof UnknownHost ? "unknown_host" : null);
      }
      await this.#sleep(pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, PAUSES[1]);
    }
    this.#running = false;
  }

  #sleep(millis) {
    return new Promise((wake) => {
      this.#wake = wake;
      setTimeout(wake, millis);
    });
  }

  async #listen(path) {
    const connection = new AbortController();
    this.#connection = connection;
    this.#heard = Date.now();
    try {
      const response = await call(path, connection.signal);
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let text = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) return;
        text += value;
        if (!value.includes("\n")) continue;
        const events = text.split("\n\n");
        text = events.pop();
        if (text.length > MAX_EVENT) throw new Error("an event is too long");
        for (const event of events) {
          if (connection.signal.aborted) return;
          this.#heard = Date.now();
          this.#events += 1;
          this.#tell(event);
        }
      }
    } finally {
      connection.abort();
      if (this.#connection === connection) this.#connection = null;
    }
  }

  #tell(event) {
    let name = "message";
    let data = "";
    for (const line of event.split("\n")) {
      if (line.startsWith("event: ")) name = line.slice(7);
      if (line.startsWith("data: ")) data += line.slice(6);
    }
    if (data) this.#on.event(name, JSON.parse(data));
  }
}
