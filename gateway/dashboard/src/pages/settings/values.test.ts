import { describe, expect, it } from "vitest";

import { anyOf, changesOf, equal, HIDDEN, inOne, numberOf, patchOf, rebased, seenAs, shown, textOfAny } from "./values";

it("compares deeply, with absent keys as undefined ones", () => {
  expect(equal({ a: [1, { b: "x" }] }, { a: [1, { b: "x" }] })).toBe(true);
  expect(equal({ a: 1 }, { a: 1, b: undefined })).toBe(true);
  expect(equal([1], [1, 2])).toBe(false);
  expect(equal({}, [])).toBe(false);
});

it("makes a merge patch: null removes, lists are replaced", () => {
  expect(patchOf({ a: "1", b: "2", c: { d: 1 } }, { a: "1", c: { d: 2 }, e: [] })).toEqual({
    b: null,
    c: { d: 2 },
    e: [],
  });
  expect(patchOf([1], [2])).toEqual([2]);
});

describe("two changes of the same", () => {
  it("go together where they touch different keys", () => {
    expect(rebased({ a: 1, b: 1 }, { a: 2, b: 1 }, { a: 1, b: 3 })).toEqual({
      value: { a: 2, b: 3 },
      clash: false,
    });
    expect(rebased({ a: 1 }, {}, { a: 1, b: 2 })).toEqual({ value: { b: 2 }, clash: false });
    expect(rebased({}, { m: { x: 1 } }, { m: { y: 2 } })).toEqual({
      value: { m: { x: 1, y: 2 } },
      clash: false,
    });
  });

  it("clash where both want something else", () => {
    expect(rebased(1, 2, 3)).toEqual({ value: 3, clash: true });
    expect(rebased(1, 2, 2)).toEqual({ value: 2, clash: false });
    expect(rebased({ a: 1 }, { a: 2 }, {})).toEqual({ value: {}, clash: true });
  });
});

it("tells what differs at the deepest key, of lists by name", () => {
  expect(changesOf("models", { x: { ttl: 1 } }, { x: { ttl: 2 }, y: 3 })).toEqual([
    { path: "models.x.ttl", before: 1, after: 2 },
    { path: "models.y", before: undefined, after: 3 },
  ]);
  expect(
    changesOf("runners", [{ name: "a", env: {} }, { name: "b" }], [{ name: "b" }, { name: "a", env: { X: "1" } }]),
  ).toEqual([{ path: "runners.a.env.X", before: undefined, after: "1" }]);
  expect(changesOf("l", ["a"], ["a", "b"])).toEqual([{ path: "l", before: ["a"], after: ["a", "b"] }]);
});

it("puts changes one after another in one, and forgets those that came back", () => {
  const first = [{ path: "a", before: 1, after: 2 }, { path: "b", before: undefined, after: 1 }];
  expect(inOne(first, [{ path: "a", before: 2, after: 3 }])).toEqual([{ path: "a", before: 1, after: 3 }, first[1]]);
  expect(inOne(first, [{ path: "b", before: 1, after: undefined }])).toEqual([first[0]]);
});

it("says values in words", () => {
  expect([null, "", "x", 4, false, [], ["a", "b"], {}, { a: "1", b: "" }].map(shown)).toEqual([
    "not set",
    "empty",
    "x",
    "4",
    "false",
    "none",
    "a, b",
    "none",
    'a = 1, b = ""',
  ]);
});

it("knows a saved secret by what hides it", () => {
  expect(seenAs({ flags: { "hf-token": "abc", n: "1" } }, { flags: { "hf-token": HIDDEN, n: "1" } })).toBe(true);
  expect(seenAs({ n: "1" }, { n: "2" })).toBe(false);
  expect(seenAs([{ env: { K: "x" } }], [{ env: { K: HIDDEN } }])).toBe(true);
});

it("reads what is typed, and leaves what it cannot read to the gateway", () => {
  expect(["4", " 1e3 ", "", "x", "1.", "Infinity"].map(numberOf)).toEqual([4, 1000, "", "x", 1, "Infinity"]);
  for (const value of ["text", "true", true, 0.5, { a: [1] }, "1", "null"]) {
    expect(anyOf(textOfAny(value))).toEqual(value);
  }
});
