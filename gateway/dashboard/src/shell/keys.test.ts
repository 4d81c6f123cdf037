import { expect, it } from "vitest";

import { Keys } from "./keys";

it("goes to a page by two keys, soon after each other", () => {
  const keys = new Keys();
  expect(keys.press("g", 0)).toBeNull();
  expect(keys.press("m", 500)).toEqual({ kind: "go", key: "m" });
  expect(keys.press("m", 600)).toBeNull();
  keys.press("g", 1_000);
  expect(keys.press("m", 9_000)).toBeNull();
});

it("knows search and help", () => {
  const keys = new Keys();
  expect(keys.press("/", 0)).toEqual({ kind: "search" });
  expect(keys.press("?", 1)).toEqual({ kind: "help" });
  expect(keys.press("x", 2)).toBeNull();
});
