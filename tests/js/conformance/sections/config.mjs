// "Configuration API".

import assert from "node:assert/strict";
import { proves } from "../suite.mjs";

proves("config-get.request", async (session) => {
  await session.runRequest("config-get.request");
});

proves("config-get.response", async (session) => {
  const { port } = new URL(session.baseUrl);
  const answer = session.answers.get("config-get.request");
  // Sections and keys of ours stand beside those of the page, which are all there.
  const data = session.assertAnswered("config-get", {
    beyond: Object.fromEntries(
      ["", "server", "llama", "logging"].map((at) => [
        at,
        Object.keys(at ? answer.data[at] : answer.data),
      ]),
    ),
  });
  assert.equal(data.server.port, Number(port));
  assert.ok(["debug", "info", "warn", "error"].includes(data.logging.level));
});

proves("config-update.request", async (session) => {
  const { server, llama } = await session.data("config:get", {});
  session.afterwards(() =>
    session.data("config:update", {
      server: { port: server.port },
      llama: { maxModels: llama.maxModels },
    }),
  );
  await session.runRequest("config-update.request");
  const changed = await session.data("config:get", {});
  assert.equal(changed.llama.maxModels, 8);
});

proves("config-update.response", async (session) => {
  const data = session.assertAnswered("config-update", { beyond: { "": ["restart"] } });
  assert.equal(data.updated, true);
  assert.equal(data.restartRequired, true);
  assert.ok(data.restart.some((process) => process.startsWith("gateway")), data.restart);
});
