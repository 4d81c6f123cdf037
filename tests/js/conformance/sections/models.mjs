// "Models API".

import assert from "node:assert/strict";
import { proves } from "../suite.mjs";

const ID = "qwen-7b";
const STATUSES = ["unloaded", "loading", "loaded", "unloading", "error"];

proves("models-list.request", async (session) => {
  await session.data("models:unload", { id: ID });
  await session.runRequest("models-list.request");
});

proves("models-list.response", async (session) => {
  const data = session.assertAnswered("models-list", { beyond: { "models[]": ["reason"] } });
  assert.equal(data.total, data.models.length);
  const model = data.models.find(({ id }) => id === ID);
  assert.equal(model.name, `${ID}.gguf`);
  assert.ok(model.path.startsWith("/") && model.path.endsWith(`/models/${ID}.gguf`), model.path);
  assert.ok(model.size > 100_000);
  assert.equal(model.status, "unloaded");
  for (const row of data.models) {
    assert.ok(STATUSES.includes(row.status));
    assert.equal("reason" in row, row.status === "error");
  }
});

proves("models-load.request", async (session) => {
  await session.runRequest("models-load.request");
});

proves("models-load.response", async (session) => {
  const data = session.assertAnswered("models-load");
  assert.equal(data.id, ID);
  assert.equal(data.status, "loaded");
  assert.ok(data.memoryUsage > 1_000_000); // bytes
  const { models } = await session.data("models:list", {});
  assert.equal(models.find(({ id }) => id === ID).status, "loaded");
});

proves("models-unload.request", async (session) => {
  await session.data("models:load", { id: ID });
  await session.runRequest("models-unload.request");
});

proves("models-unload.response", async (session) => {
  const data = session.assertAnswered("models-unload");
  assert.equal(data.id, ID);
  assert.equal(data.status, "unloaded");
  const { models } = await session.data("models:list", {});
  assert.equal(models.find(({ id }) => id === ID).status, "unloaded");
});

proves("models-info.request", async (session) => {
  await session.data("models:load", { id: ID });
  await session.runRequest("models-info.request");
});

proves("models-info.response", async (session) => {
  const data = session.assertAnswered("models-info", {
    beyond: { "": ["preset"] },
    any: ["parameters.General", "parameters.Model", "parameters.Tokenizer"],
  });
  assert.equal(data.id, ID);
  assert.equal(data.name, `${ID}.gguf`);
  assert.equal(data.status, "loaded");
  for (const group of Object.values(data.parameters)) {
    assert.ok(Object.keys(group).length > 0);
  }
  const loaded = await session.data("models:load", { id: ID }); // it is already
  assert.equal(loaded.loadedAt, data.loadedAt);
  assert.equal(loaded.memoryUsage, data.memoryUsage);
  const unloaded = await session.data("models:unload", { id: ID });
  const later = await session.data("models:info", { id: ID });
  assert.deepEqual(
    [unloaded.status, later.status, later.memoryUsage, later.loadedAt],
    ["unloaded", "unloaded", null, null],
  );
});
