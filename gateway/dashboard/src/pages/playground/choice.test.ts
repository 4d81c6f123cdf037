import { describe, expect, it } from "vitest";

import type { ModelInfo } from "../../lib/api/contract";
import type { Model } from "../../lib/stores/models.svelte";
import { choicesOf, firstChoice, whyHeaderIsUnfit } from "./choice";

const model = (id: string, status: Model["status"], reason: string | null = null): Model =>
  ({ id, status, reason, progress: null }) as Model;

const MODELS = [
  model("c", "unloaded"),
  model("b", "loaded"),
  model("e", "error", "its header is broken"),
  model("d", "loaded"),
  model("a", "loading"),
];

describe("the choice of a model", () => {
  it("has the loaded ones first, and says why not of the others", () => {
    const choices = choicesOf(MODELS, new Map([["d", "It makes embeddings"]]));
    expect(choices.loaded.map(({ id }) => id)).toEqual(["b"]);
    expect(choices.onDemand.map(({ id }) => id)).toEqual(["a", "c"]);
    expect(choices.unfit).toEqual([
      { id: "d", why: "It makes embeddings" },
      { id: "e", why: "its header is broken" },
    ]);
  });

  it("begins with the one from before, where it still can", () => {
    const choices = choicesOf(MODELS, new Map());
    expect(firstChoice(choices, "c")).toBe("c");
    expect(firstChoice(choices, "e")).toBe("b");
    expect(firstChoice(choicesOf([], new Map()), "c")).toBe("");
  });

  it.each([
    [{ "attention.causal": false, pooling_type: 1 }, "embeddings"],
    [{ pooling_type: 3 }, "embeddings"],
    [{ "attention.causal": false, pooling_type: 4 }, "ranks"],
    [{ pooling_type: 0 }, null],
    [{}, null],
  ])("reads headers: %o", (header, why) => {
    const found = whyHeaderIsUnfit({ parameters: { Model: header } } as unknown as ModelInfo);
    if (why === null) expect(found).toBeNull();
    else expect(found).toContain(why);
    expect(whyHeaderIsUnfit({ parameters: null } as ModelInfo)).toBeNull();
  });
});
