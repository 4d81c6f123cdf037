// "Connection" and "Response Format".

import assert from "node:assert/strict";
import { WebSocket } from "ws";
import * as blocks from "../blocks.mjs";
import { assertLooksLike, ISO_TIME } from "../likeness.mjs";
import { proves } from "../suite.mjs";

// What the page calls the endpoint is where a Socket.IO client opens its websocket; the protocol
// adds its version and the transport.
proves("websocket-endpoint", async (session) => {
  const endpoint = blocks.text("websocket-endpoint", ".txt").trim();
  const { pathname } = new URL(endpoint);
  for (const path of [pathname, `${pathname}/`]) {
    const url = session.baseUrl.replace("http:", "ws:") + path;
    const socket = new WebSocket(`${url}?EIO=4&transport=websocket`);
    session.afterwards(() => socket.terminate());
    const opening = await new Promise((resolve, reject) => {
      socket.once("message", (message) => resolve(message.toString()));
      socket.once("error", reject);
    });
    assert.match(opening, /^0\{"sid":/); // engine.io's packet "open"
  }
});

proves("connection-example", async (session) => {
  const printed = session.console();
  let socket;
  const io = (...args) => (socket = session.io(...args));
  blocks.run("connection-example", { io, console: printed });
  const [, firstId] = await printed.has((text) => text === "Connected:");
  assert.equal(firstId, socket.id);
  assert.equal(socket.io.engine.transport.name, "websocket");

  socket.io.engine.transport.ws.terminate(); // the network fails
  assert.deepEqual(await printed.has((text) => text === "Disconnected:"), [
    "Disconnected:",
    "transport close",
  ]);
  const [, secondId] = await printed.has((text, id) => text === "Connected:" && id !== firstId);
  assert.equal(secondId, socket.id);
});

proves("response-format", async (session) => {
  const types = ["boolean", "any", "string", "string", "string"];
  assert.deepEqual(blocks.text("response-format").match(/\b(boolean|any|string)\b/g), types);
  const success = await session.ask("models:list", {});
  assert.deepEqual(Object.keys(success).sort(), ["data", "success", "timestamp"]);
  assert.equal(success.success, true);
  const failure = await session.ask("models:info", { id: "no-such-model" });
  assert.deepEqual(Object.keys(failure).sort(), ["error", "success", "timestamp"]);
  assert.equal(failure.success, false);
  assert.equal(typeof failure.error.message, "string");
  assert.equal(typeof failure.error.code, "string");
  for (const { timestamp } of [success, failure]) {
    assert.match(timestamp, ISO_TIME);
    assert.ok(Math.abs(Date.parse(timestamp) - Date.now()) < 60_000, timestamp);
  }
});

proves("success-response-example", async (session) => {
  const answer = await session.ask("models:list", {});
  const { data, ...envelope } = blocks.shown("success-response-example");
  assert.ok(Array.isArray(data.models));
  const { data: given, ...rest } = answer;
  assertLooksLike(rest, envelope);
  assert.ok(Array.isArray(given.models)); // of what, "List Models" says
});

proves("error-response-example", async (session) => {
  const answer = await session.ask("models:info", { id: "no-such-model" });
  const page = blocks.shown("error-response-example");
  assertLooksLike(answer, page, { beyond: { error: ["details"] } });
  assert.equal(answer.success, page.success);
  assert.equal(answer.error.code, page.error.code);
});
