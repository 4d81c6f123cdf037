import { expect, it } from "vitest";

import { parseRoute, routeTo } from "./route";

it.each(["", "#", "#/", "#/nonsense", "#overview", "#/%E0%A4%A"])("%s is the overview", (hash) => {
  expect(parseRoute(hash).page).toBe("overview");
});

it("comes back as it went", () => {
  const hash = routeTo("models", ["some dir/qwen 7b?"], { tab: "log", empty: "", none: undefined });
  expect(hash).toBe("#/models/some%20dir%2Fqwen%207b%3F?tab=log");
  expect(parseRoute(hash)).toEqual({
    page: "models",
    rest: ["some dir/qwen 7b?"],
    query: { tab: "log" },
  });
});
