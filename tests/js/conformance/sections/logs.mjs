// "Logs API".

import assert from "node:assert/strict";
import { proves } from "../suite.mjs";

const SINCE = "2024-01-15T00:00:00.000Z";
const LEVELS = ["debug", "info", "warn", "error"];

proves("logs-get.request", async (session) => {
  await session.runRequest("logs-get.request");
});

export const BEYOND = { beyond: { "logs[]": ["id"] } };

proves("logs-get.response", async (session) => {
  const data = session.assertAnswered("logs-get", BEYOND);
  assert.ok(data.logs.length > 0 && data.logs.length <= 100);
  assert.ok(data.total >= data.logs.length);
  for (const entry of data.logs) {
    assert.ok(["info", "warn", "error"].includes(entry.level), entry.level);
    assert.ok(entry.source);
    assert.ok(entry.timestamp > SINCE);
  }

  // The parameters, one by one.
  for (const level of LEVELS) {
    const { logs } = await session.data("logs:get", { level, limit: 20 });
    for (const entry of logs) assert.ok(LEVELS.indexOf(entry.level) >= LEVELS.indexOf(level));
  }
  const { logs, total } = await session.data("logs:get", { limit: 2 });
  assert.equal(logs.length, 2);
  assert.ok(total > 2);
  const later = await session.data("logs:get", { since: "2999-01-01T00:00:00.000Z" });
  assert.deepEqual(later, { logs: [], total: 0 });
});
