// What every scenario script shares: a connected stock client that records all it receives,
// and one JSON result on stdout.
//
// A script is `scenario(async (baseUrl, ...args) => result)`; Python runs it through
// tests/support/node.py. Whatever is waited for has a deadline, so a script always ends.

import { setTimeout as delay } from "node:timers/promises";
import { inspect } from "node:util";
import { io } from "socket.io-client";

const DEADLINE_MS = 10_000;
const CLOSE_MS = 1_000;
const NAMESPACE = "/llamaproxws";

// The ways in which a user may name the endpoint; all reach the same API.
const ENDPOINTS = {
  namespace: (baseUrl) => [baseUrl + NAMESPACE, {}],
  path: (baseUrl) => [baseUrl, { path: NAMESPACE }],
  both: (baseUrl) => [baseUrl + NAMESPACE, { path: NAMESPACE }],
};
export const FORMS = Object.keys(ENDPOINTS);

const connected = new Set();

// One connection. `received` holds every event since the very first packet, oldest first, as
// `{event, payload}`: a wait may begin after the event came and still finds it.
class Client {
  constructor(socket) {
    this.socket = socket;
    this.received = [];
    this.waiters = new Set();
    socket.onAny((event, payload) => {
      this.received.push({ event, payload });
      for (const check of this.waiters) check();
    });
  }

  // How often each event came: `{"models:status": 2, …}`.
  counts() {
    const counts = {};
    for (const { event } of this.received) counts[event] = (counts[event] ?? 0) + 1;
    return counts;
  }
}

// Connects by one of FORMS; `options` are the stock client's own (`transports`, `extraHeaders` …).
export async function connect(baseUrl, form = "namespace", options = {}) {
  const [url, endpoint] = ENDPOINTS[form](baseUrl);
  const socket = io(url, {
    ...endpoint,
    forceNew: true,
    reconnection: false,
    autoConnect: false, // the recorder is in place before the first packet
    ...options,
  });
  const client = new Client(socket);
  connected.add(client);
  const answered = new Promise((resolve, reject) => {
    socket.once("connect", resolve);
    socket.once("connect_error", reject);
  });
  socket.connect();
  await withDeadline(answered, DEADLINE_MS, `connection to ${url}`);
  return client;
}

// Emits with an acknowledgement and resolves to it, whether it reports success or an error.
// `payload` is one value or, left out, none at all.
export function request(client, event, payload, timeoutMs = DEADLINE_MS) {
  const args = payload === undefined ? [] : [payload];
  const answered = new Promise((resolve) => client.socket.emit(event, ...args, resolve));
  return withDeadline(answered, timeoutMs, `acknowledgement of ${event}`);
}

// The payload of the first `event` that `matches`, among what came already (from index `after` of
// `client.received`) and what is still to come.
export function waitFor(client, event, matches = () => true, { timeoutMs = DEADLINE_MS, after = 0 } = {}) {
  let check;
  const found = new Promise((resolve) => {
    check = () => {
      const hit = client.received.slice(after).find((r) => r.event === event && matches(r.payload));
      if (hit) resolve(hit.payload);
    };
  });
  client.waiters.add(check);
  check();
  return withDeadline(found, timeoutMs, `event ${event}`).finally(() => client.waiters.delete(check));
}

// Leaves, and resolves once the server was told so; a server that does not listen is left anyway.
export async function close(client) {
  connected.delete(client);
  const { engine } = client.socket.io;
  const closed = new Promise((resolve) => engine.once("close", resolve));
  client.socket.disconnect();
  if (engine.readyState !== "closed") await Promise.race([closed, delay(CLOSE_MS)]);
}

// Runs a script's body on the command line's `<base url> [args…]`, prints what it returns as JSON
// and closes what it left open. A body that throws ends the script with 1 and its stack on stderr.
export async function scenario(body) {
  let exitCode = 0;
  try {
    const result = await body(...process.argv.slice(2));
    await write(process.stdout, JSON.stringify(result));
  } catch (error) {
    await write(process.stderr, inspect(error));
    exitCode = 1;
  }
  await Promise.all([...connected].map(close));
  // A server may leave the last poll of a closed connection unanswered, and Node would wait for it.
  process.exit(exitCode);
}

function write(stream, text) {
  return new Promise((resolve) => stream.write(`${text}\n`, resolve));
}

function withDeadline(promise, timeoutMs, what) {
  const cancel = new AbortController();
  const expired = delay(timeoutMs, null, { signal: cancel.signal }).then(() => {
    throw new Error(`no ${what} within ${timeoutMs} ms`);
  });
  return Promise.race([promise, expired]).finally(() => cancel.abort());
}
