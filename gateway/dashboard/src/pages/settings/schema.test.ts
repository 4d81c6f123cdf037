import { expect, it } from "vitest";

import { asTables, lockOf, matching, problemsAt, sectionsOf, valueAt } from "./schema";
import { SCHEMA, setting } from "./test_schema";

it("is sections of fields, with the keys of entries at their list or table", () => {
  const sections = sectionsOf(SCHEMA);
  expect(sections.map(({ name }) => name)).toEqual(["server", "llama", "runners", "models"]);
  expect(sections[1]?.fields.map(({ setting }) => setting.path)).toEqual([
    "llama.maxModels",
    "llama.modelsDir",
    "llama.flags",
  ]);
  expect(sections[2]?.fields[0]?.each.map(({ name }) => name)).toEqual(["name", "env"]);
  expect(sections[3]?.fields[0]?.each.map(({ name }) => name)).toEqual(["ttlSeconds"]);
});

it("finds values by path and puts them back", () => {
  const tables = { llama: { maxModels: 4 }, runners: [] };
  expect(valueAt(tables, "llama.maxModels")).toBe(4);
  expect(valueAt(tables, "runners")).toEqual([]);
  expect(asTables([["llama.maxModels", 8], ["llama.flags", null], ["runners", null]])).toEqual({
    llama: { maxModels: 8, flags: null },
    runners: null,
  });
});

it("is searched by every word, within entries too", () => {
  const fields = sectionsOf(SCHEMA).flatMap(({ fields }) => fields);
  const found = (search: string) => fields.filter((one) => matching(one, search)).map(({ setting }) => setting.path);
  expect(found("MODELS max")).toEqual(["llama.maxModels"]);
  expect(found("ttl")).toEqual(["models"]);
  expect(found("nothing like it")).toEqual([]);
});

it("gives each problem to its field", () => {
  const problems = ["llama.flags.x", "llama.flagsX", "runners[0].name", ""].map((path) => ({
    path,
    message: "",
    given: "",
    allowed: "",
  }));
  const at = (path: string) => problemsAt(problems, path).map((one) => one.path);
  expect(at("llama.flags")).toEqual(["llama.flags.x"]);
  expect(at("runners")).toEqual(["runners[0].name"]);
  expect(at("runners[0].name")).toEqual(["runners[0].name"]);
});

it("is locked for who may not, by a variable, and for all where it guards others", () => {
  expect(lockOf(setting("a.b"), "operator")).toBeNull();
  expect(lockOf(setting("a.b"), "viewer")).toBe("Needs the role operator.");
  expect(lockOf(setting("a.b", { role: "admin" }), "operator")).toBe("Needs the role admin.");
  expect(lockOf(setting("a.b", { fixed: true }), "admin")).toContain("edit the file");
  expect(lockOf(setting("a.b", { overridden: true, variable: "V" }), "admin")).toContain("variable V");
  expect(lockOf(setting("a.b"), null)).not.toBeNull();
});
