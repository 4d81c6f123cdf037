// The two complete examples at the page's end, unchanged.

import assert from "node:assert/strict";
import * as blocks from "../blocks.mjs";
import { proves } from "../suite.mjs";

proves("complete-model-loading-flow", async (session) => {
  const { models } = await session.data("models:list", {});
  const printed = session.console();
  blocks.run("complete-model-loading-flow", { io: session.io, console: printed });
  const [, data] = await printed.has((text) => text === "Model loaded:");
  assert.equal(data.id, models[0].id);
  assert.equal(data.status, "loaded");
  await session.data("models:unload", { id: data.id });
});

proves("real-time-monitoring", async (session) => {
  const elements = { "cpu-usage": { textContent: "" }, "memory-usage": { textContent: "" } };
  const document = { getElementById: (id) => elements[id] };
  const printed = session.console();
  let socket;
  const io = (...args) => (socket = session.io(...args));
  blocks.run("real-time-monitoring", { io, console: printed, document });
  await printed.has((text) => text === "Subscribed to metrics");
  const updates = session.console(); // told after the example's own listener has run
  socket.on("metrics:update", updates.log);
  const [{ system }] = await updates.has(() => true);
  assert.equal(elements["cpu-usage"].textContent, `${system.cpu.usage}%`);
  assert.match(elements["memory-usage"].textContent, /^\d+GB$/);
});
