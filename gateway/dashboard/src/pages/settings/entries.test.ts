import { expect, it } from "vitest";

import { entriesOf, withEntry, withoutEntry } from "./entries";

it("lists and tables of tables are alike", () => {
  expect(entriesOf("runners", [{ name: "a" }, {}]).map(({ path, title }) => [path, title])).toEqual([
    ["runners[0]", "a"],
    ["runners[1]", ""],
  ]);
  expect(entriesOf("models", { "team/x": { ttlSeconds: 1 } })).toEqual([
    { key: "team/x", path: "models.team/x", title: "team/x", table: { ttlSeconds: 1 } },
  ]);
  expect(entriesOf("models", undefined)).toEqual([]);
});

it("are changed and removed, one at a time", () => {
  expect(withEntry([{ name: "a" }, { name: "b" }], "1", { name: "c" })).toEqual([{ name: "a" }, { name: "c" }]);
  expect(withEntry({ x: {} }, "y", { n: 1 })).toEqual({ x: {}, y: { n: 1 } });
  expect(withoutEntry([1, 2], "0")).toEqual([2]);
  expect(withoutEntry({ x: {}, y: {} }, "x")).toEqual({ y: {} });
});
