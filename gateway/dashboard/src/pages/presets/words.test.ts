import { expect, test } from "vitest";

import { inGroup, sectionLabel, usedBy, usersOf } from "./words";

test("who uses a preset", () => {
  expect(usedBy([])).toBe("");
  expect(usedBy(["*"])).toBe("Used by all models without another");
  expect(usedBy(["a", "b"])).toBe("Used by a and b");
  expect(usedBy(["a", "b", "c"])).toBe("Used by 3 models");
});

test("all others use the default, unless they were given another", () => {
  const preset = (filename: string, appliedTo?: string[]) => ({
    filename, name: filename, description: "", models: {}, ...(appliedTo ? { appliedTo } : {}),
  });
  expect(usersOf("default", [preset("default", ["a"])])).toEqual(["*", "a"]);
  expect(usersOf("default", [preset("default"), preset("b", ["*"])])).toEqual([]);
  expect(usersOf("b", [preset("default"), preset("b", ["*"])])).toEqual(["*"]);
});

test.each([
  ["qwen*", "qwen", true],
  ["qwen*", "qwen/7b", true],
  ["*-7b", "deep/qwen-7b", true],
  ["qwen-?b", "qwen-7b", true],
  ["qwen-?b", "qwen-70b", false],
  ["qwen*", "Qwen", false],
  ["a.*", "axb", false],
  ["*a*b", "xaab", true],
  ["*a".repeat(60) + "b", "a".repeat(400), false],
])("the group %s and the model %s", (group, id, inside) => {
  expect(inGroup(id, group)).toBe(inside);
  expect(sectionLabel(group)).toBe(`Group ${group}`);
});
