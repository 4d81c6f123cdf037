import { describe, expect, it } from "vitest";

import { FIELDS, problemOf, problems, stopsOf, unset, valuesOf, type NumberField } from "./parameters";

const field = (key: string): NumberField => {
  const found = FIELDS.find((one) => one.key === key);
  if (found === undefined) throw new Error(key);
  return found;
};

describe("parameters", () => {
  it("that are not set are not sent", () => {
    expect(valuesOf(unset())).toEqual({});
    expect(problems(unset())).toBe(0);
  });

  it.each([
    ["temperature", "0", null],
    ["temperature", " .7 ", null],
    ["temperature", "1e-1", null],
    ["temperature", "0,7", "point"],
    ["temperature", "warm", "A number"],
    ["temperature", "0x1", "A number"],
    ["temperature", "Infinity", "A number"],
    ["temperature", "-1", "From 0"],
    ["top_p", "1.01", "to 1"],
    ["top_k", "2.5", "whole"],
    ["max_tokens", "0", "From 1"],
    ["seed", "4294967296", "to 4294967295"],
  ])("%s = %s", (key, text, problem) => {
    const found = problemOf(field(key), text);
    if (problem === null) expect(found).toBeNull();
    else expect(found).toContain(problem);
  });

  it("that are set are sent as numbers, those that are wrong not at all", () => {
    const texts = { ...unset(), temperature: "0", top_k: "40", min_p: "much", stop: "END\n\n\\n\\n" };
    expect(valuesOf(texts)).toEqual({ temperature: 0, top_k: 40, stop: ["END", "\n\n"] });
    expect(problems(texts)).toBe(1);
  });

  it("take stop sequences by line, with escapes", () => {
    expect(stopsOf("a b\n\\tc\\\\n")).toEqual(["a b", "\tc\\n"]);
  });
});
