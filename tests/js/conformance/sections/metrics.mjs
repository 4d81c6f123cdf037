// "Metrics API".

import assert from "node:assert/strict";
import { proves } from "../suite.mjs";

proves("metrics-get.request", async (session) => {
  await session.runRequest("metrics-get.request");
});

export const BEYOND = {
  beyond: { "": ["hosts"], "gpu[]": ["host", "uuid", "temperature", "power", "powerLimit"] },
};

proves("metrics-get.response", async (session) => {
  const data = session.assertAnswered("metrics-get", BEYOND);
  const { cpu, memory, disk } = data.system;
  assert.ok(cpu.usage >= 0 && cpu.usage <= 100);
  assert.ok(cpu.cores >= 1);
  for (const space of [memory, disk]) {
    assert.ok(space.used > 0 && space.used <= space.total);
    assert.ok(space.total > 2 ** 26); // bytes, not something larger
  }
});
