import { expect, it } from "vitest";

import { windowOf } from "./window";

it("is what is seen and a bit around it, and as high as all of it", () => {
  for (const top of [0, 5, 1_000, 21_000, 99_999]) {
    const { first, end, before, behind } = windowOf(1_000, 22, top, 400);
    expect(before + (end - first) * 22 + behind).toBe(22_000);
    expect(end - first).toBeLessThan(80);
  }
  expect(windowOf(1_000, 22, 11_000, 440)).toMatchObject({ first: 480, end: 540 });
  expect(windowOf(0, 22, 500, 400)).toEqual({ first: 0, end: 0, before: 0, behind: 0 });
});
