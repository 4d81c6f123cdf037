import { expect, it } from "vitest";

import { Answer } from "./answer.svelte";
import { settled } from "./api/test_api";

it("stays while the same is asked for again", async () => {
  const answer = new Answer<{ id: string }>();
  answer.ask(() => Promise.resolve({ id: "a" }));
  await settled();
  answer.ask(() => Promise.resolve({ id: "a" }), ({ id }) => id === "a");
  expect(answer.value).toEqual({ id: "a" });
  answer.ask(() => Promise.resolve({ id: "b" }), ({ id }) => id === "b");
  expect(answer.value).toBeNull();
  await settled();
  expect(answer.value).toEqual({ id: "b" });
});

it("of an earlier question is dropped, and so is its failure", async () => {
  const answer = new Answer<string>();
  let late: (value: string) => void = () => undefined;
  let fail: (error: Error) => void = () => undefined;
  answer.ask(() => new Promise((resolve) => (late = resolve)));
  answer.ask(() => new Promise((_resolve, reject) => (fail = reject)));
  const leave = answer.ask(() => Promise.resolve("newest"));
  late("late");
  fail(new Error("late"));
  await settled();
  expect([answer.value, answer.problem]).toEqual(["newest", ""]);
  leave();
});
