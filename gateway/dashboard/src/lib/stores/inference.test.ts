import { describe, expect, it } from "vitest";

import type { InferenceHistory } from "../api/contract";
import { settled, TestApi } from "../api/test_api";
import { COLUMN, Inference } from "./inference.svelte";

function history(timesMs: number[], inFlight: number[]): InferenceHistory {
  const none = timesMs.map(() => null);
  const zeros = timesMs.map(() => 0);
  return {
    timesMs,
    inFlight,
    waiting: zeros,
    finished: zeros,
    firstTokenMs: none,
    latencyMs: none,
    tokensOut: zeros,
  };
}

describe("inference", () => {
  it("takes the hour first, then the seconds that may have changed", async () => {
    const answers = [history([1_000, 2_000], [1, 1]), history([2_000, 3_000], [3, 5])];
    const api = new TestApi().answer("metrics:history", () => ({
      hosts: [],
      inference: answers.shift() ?? null,
    }));
    const inference = new Inference(api, () => 0);
    const release = inference.polling.hold();
    await settled();
    inference.polling.now();
    await settled();
    release();
    expect(api.asked.map(({ payload }) => payload)).toEqual([{ seconds: 3_600 }, { seconds: 60 }]);
    expect(inference.series.times).toEqual([1, 2, 3]);
    expect(inference.series.columns[COLUMN.inFlight]).toEqual([1, 3, 5]);
    expect(inference.mean(COLUMN.inFlight, 2)).toBe(4);
    expect(inference.mean(COLUMN.latencyMs, 2)).toBeNull();
    expect(inference.peak(COLUMN.inFlight)).toBe(5);
  });

  it("says so where nobody keeps the figures", async () => {
    const api = new TestApi().answer("metrics:history", () => ({ hosts: [], inference: null }));
    const inference = new Inference(api);
    const release = inference.polling.hold();
    await settled();
    release();
    expect(inference.status.loading).toBe(false);
    expect(inference.status.error).toContain("logs");
  });
});
