import { describe, expect, it } from "vitest";

import type { Model } from "../../lib/stores/models.svelte";
import { endWords, waitingWords } from "./words";

const model = (status: Model["status"], progress: number | null = null) => ({ status, progress }) as Model;
const told = { status: "loading", progress: 0.2, position: 2 };

describe("words", () => {
  it.each([
    [null, undefined, "Waiting for the model to be loaded", null],
    [null, model("loading"), "Loading the model", null],
    [told, undefined, "Loading the model, 20 %, position 2 in the queue", 0.2],
    [told, model("loading", 0.4), "Loading the model, 40 %, position 2 in the queue", 0.4],
    [told, model("loaded"), "Waiting for the first token", null],
  ])("for a wait: %o %o", (waiting, row, text, progress) => {
    expect(waitingWords(waiting, row)).toEqual({ text, progress });
  });

  it.each([
    ["done", "stop", "complete"],
    ["done", "length", "length: the limit of tokens was reached"],
    ["done", "tool_calls", "tool_calls"],
    ["stopped", "", "stopped by you"],
    ["answering", "", ""],
  ] as const)("for an end: %s %s", (status, finish, words) => {
    expect(endWords(status, finish)).toBe(words);
  });
});
