// "Presets API".

import assert from "node:assert/strict";
import { proves } from "../suite.mjs";

const MINE = { filename: "my-preset" };
const PAGE_CONFIG = { "*": { "ctx-size": "4096", temp: "0.7" } };

// What docs/api.md adds to the page.
const OF_PRESET = ["problem", "appliedTo"];
const SPELLINGS = ["env", "aliases", "negations"];
const OF_FLAG = ["category", "choices", "range", ...SPELLINGS, "reserved", "reason"];

const save = (session) => session.data("presets:save", { ...MINE, config: PAGE_CONFIG });
const named = ({ presets }, filename) => presets.find((preset) => preset.filename === filename);

proves("presets-list.request", async (session) => {
  await session.runRequest("presets-list.request");
});

proves("presets-list.response", async (session) => {
  const data = session.assertAnswered("presets-list", {
    any: ["presets[].models", "presets[].models.*"],
    beyond: { "presets[]": OF_PRESET },
  });
  const preset = named(data, "default");
  assert.ok(preset.name);
  assert.ok(preset.description);
  assert.equal(typeof preset.models["*"]["ctx-size"], "string");
});

proves("presets-read.request", async (session) => {
  await session.runRequest("presets-read.request");
});

proves("presets-read.response", async (session) => {
  const data = session.assertAnswered("presets-read", {
    any: ["models", "models.*"],
    beyond: { "": OF_PRESET },
  });
  assert.equal(data.filename, "default");
  assert.match(data.content, /^\[\*\]$/m);
  assert.match(data.content, /^ctx-size *= *\S+$/m);
  const listed = named(await session.data("presets:list", {}), "default");
  const { content, ...withoutContent } = data;
  assert.ok(content);
  assert.deepEqual(withoutContent, listed);
});

proves("presets-save.request", async (session) => {
  await session.runRequest("presets-save.request");
});

proves("presets-save.response", async (session) => {
  const data = session.assertAnswered("presets-save");
  assert.equal(data.filename, MINE.filename);
  const { models } = await session.data("presets:read", MINE);
  assert.deepEqual(models, PAGE_CONFIG);
});

proves("presets-delete.request", async (session) => {
  await save(session);
  await session.runRequest("presets-delete.request");
});

proves("presets-delete.response", async (session) => {
  const data = session.assertAnswered("presets-delete");
  assert.deepEqual(data, { deleted: true });
  assert.equal(named(await session.data("presets:list", {}), MINE.filename), undefined);
});

proves("presets-get-llama-params.request", async (session) => {
  await session.runRequest("presets-get-llama-params.request");
});

proves("presets-get-llama-params.response", async (session) => {
  const data = session.assertAnswered("presets-get-llama-params", {
    any: ["parameters"],
    beyond: { "": ["engine", "version"], "parameters.*[]": OF_FLAG },
  });
  const page = {
    "Model Settings": { "ctx-size": "int", "n-gpu-layers": "int" },
    Performance: { threads: "int" },
    Sampling: { temp: "float" },
  };
  for (const [category, flags] of Object.entries(page)) {
    for (const [name, type] of Object.entries(flags)) {
      const flag = data.parameters[category]?.find((parameter) => parameter.name === name);
      assert.equal(flag?.type, type, `${category}: ${name}`);
      assert.ok(flag.description);
    }
  }
});

proves("presets-validate-config.request", async (session) => {
  await session.runRequest("presets-validate-config.request");
});

proves("presets-validate-config.response", async (session) => {
  const data = session.assertAnswered("presets-validate-config", {
    beyond: { "": ["findings"] },
  });
  assert.equal(data.valid, true);
  assert.deepEqual(data.errors, []);
  const wrong = await session.data("presets:validate-config", {
    ...MINE,
    config: { "*": { "ctx-size": "many" } },
  });
  assert.equal(wrong.valid, false);
  assert.equal(wrong.errors.length, 1);
});
