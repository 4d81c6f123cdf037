import { expect, test } from "vitest";

import type { ModelDetails } from "../../lib/api/contract";
import type { Model } from "../../lib/stores/models.svelte";
import { select, stateFilterOf } from "./select";

function model(id: string, status: Model["status"] = "unloaded"): Model {
  const name = `${id.split("/").at(-1)}.gguf`;
  return { id, name, path: `/m/${id}.gguf`, size: 1, status, parameters: null, reason: null, progress: null };
}

const ALL = [model("team/Qwen-7b", "loaded"), model("team/atlas"), model("birch", "error")];

const DETAILS = new Map([
  ["birch", { architecture: "phi3", quantization: "Q8_0", runner: null } as ModelDetails],
]);

function ids(search: string, state = "all"): string[] {
  return select(ALL, search, stateFilterOf(state), DETAILS).map(({ id }) => id);
}

test("every word has to be there, in any case and order", () => {
  expect(ids("")).toEqual(["team/Qwen-7b", "team/atlas", "birch"]);
  expect(ids("7B team")).toEqual(["team/Qwen-7b"]);
  expect(ids("team oak")).toEqual([]);
});

test("what a file's header says is found, too", () => {
  expect(ids("phi q8_0")).toEqual(["birch"]);
});

test("states narrow further, and unknown ones do not", () => {
  expect(ids("", "running")).toEqual(["team/Qwen-7b"]);
  expect(ids("", "error")).toEqual(["birch"]);
  expect(ids("team", "unloaded")).toEqual(["team/atlas"]);
  expect(ids("team", "nonsense")).toEqual(["team/Qwen-7b", "team/atlas"]);
});
