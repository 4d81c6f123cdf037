// "Events": each block's listeners, on a client that has them before anything happens.

import assert from "node:assert/strict";
import { close } from "../../client.mjs";
import * as blocks from "../blocks.mjs";
import { assertLooksLike } from "../likeness.mjs";
import { proves } from "../suite.mjs";
import { BEYOND } from "./metrics.mjs";

const ID = "qwen-7b";

async function listening(session, name) {
  const { socket } = await session.connect();
  const printed = session.console();
  blocks.run(name, { socket, console: printed });
  return printed;
}

proves("connection-events", async (session) => {
  const printed = await listening(session, "connection-events");
  const visitor = await session.connect();
  const { id } = visitor.socket;
  await printed.has((text, clientId) => text === "New client:" && clientId === id);
  await close(visitor);
  await printed.has((text, clientId) => text === "Client disconnected:" && clientId === id);
});

proves("model-events", async (session) => {
  await session.data("models:unload", { id: ID });
  const printed = await listening(session, "model-events");
  await session.data("models:load", { id: ID });
  await printed.has((text, modelId) => text === "Model loaded:" && modelId === ID);
  await session.data("models:unload", { id: ID });
  await printed.has((text, modelId) => text === "Model unloaded:" && modelId === ID);

  const [row] = blocks.shown("models-list.response").data.models;
  const changes = printed.lines.filter(([text]) => text === "Model status changed:");
  for (const [, change] of changes) {
    const { reason, ...asListed } = change;
    assertLooksLike(asListed, row, { beyond: { "": ["progress"] } });
    assert.equal(reason, null);
    assert.equal(change.id, ID);
  }
  const statuses = changes.map(([, change]) => change.status);
  assert.deepEqual(
    statuses.filter((status, i) => status !== statuses[i - 1]),
    ["loading", "loaded", "unloading", "unloaded"],
  );
});

// Every 10 s as long as clients are connected; the watcher is since the beginning.
proves("metrics-events", async (session) => {
  const printed = await listening(session, "metrics-events");
  const [, metrics] = await printed.has((text) => text === "New metrics:");
  assertLooksLike(metrics, blocks.shown("metrics-get.response").data, BEYOND);
  const heard = session.watcher.received.filter(({ event }) => event === "metrics:update");
  const seconds = heard.map(({ payload }) => Date.parse(payload.timestamp) / 1000);
  for (const [i, second] of seconds.slice(1).entries()) {
    assert.ok(Math.abs(second - seconds[i] - 10) <= 3, `${second - seconds[i]} s`);
  }
});

proves("log-events", async (session) => {
  const printed = await listening(session, "log-events");
  const answer = await session.ask("models:no-such-verb", {});
  assert.equal(answer.success, false); // which the gateway logs
  const [, entry] = await printed.has(
    (text, { message }) => text === "New log:" && message.includes("models:no-such-verb"),
  );
  assertLooksLike(entry, blocks.shown("logs-get.response").data.logs[0], {
    beyond: { "": ["id"] },
  });
});
