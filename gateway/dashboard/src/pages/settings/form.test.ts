import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import type { CheckedConfig, ConfigChanges } from "../../lib/api/contract";
import { ApiError, DISCONNECTED } from "../../lib/api/errors";
import { settled, TestApi } from "../../lib/api/test_api";
import { SettingsForm } from "./form.svelte";
import { problemsOf } from "./problems";
import { configuration, SCHEMA } from "./test_schema";
import { HIDDEN } from "./values";

const MAX = "llama.maxModels";

const checked = (more: Partial<CheckedConfig> = {}): CheckedConfig => ({
  valid: true,
  errors: [],
  diff: [{ path: MAX, before: 4, after: 8, restart: [] }],
  restartRequired: false,
  restart: [],
  ...more,
});

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function world(llama: Record<string, unknown> = {}) {
  const now = { configuration: configuration(llama) };
  const api = new TestApi()
    .answer("config:get", () => now.configuration)
    .answer("config:schema", () => SCHEMA)
    .answer("config:validate", () => checked())
    .answer("config:update", () => ({ updated: true, restartRequired: false, restart: [] }));
  const form = new SettingsForm(api);
  const stop = form.show();
  await api.connect();
  const asked = (name: string) => api.asked.filter((one) => one.name === name).map(({ payload }) => payload);
  /** Somebody else changes the configuration, and we hear of it. */
  const elsewhere = async (fresh: Record<string, unknown>) => {
    now.configuration = configuration({ ...llama, ...fresh });
    await form.refresh();
  };
  return { api, form, stop, now, asked, elsewhere };
}

it("shows what holds, by section", async () => {
  const { form } = await world();
  expect(form.status).toEqual({ loading: false, error: null });
  expect(form.sections.map(({ name }) => name)).toContain("llama");
  expect(form.valueOf(MAX)).toBe(4);
  expect(form.changed).toBe(false);
});

describe("a draft", () => {
  it("is only what differs, and checked once its reader pauses", async () => {
    const { form, asked } = await world();
    form.set(MAX, 80);
    form.set(MAX, 8);
    form.set("llama.flags", { "ctx-size": "8192" });
    form.set("server.port", 3000);
    expect(form.paths).toEqual([MAX, "llama.flags"]);
    await vi.advanceTimersByTimeAsync(400);
    expect(asked("config:validate")).toEqual([
      { llama: { maxModels: 8, flags: { "ctx-size": "8192", threads: null } } },
    ]);
    expect(form.ready).toBe(true);
    form.set(MAX, 4);
    form.discard("llama.flags");
    expect(form.changed).toBe(false);
    expect(form.ready).toBe(false);
  });

  it("that is the default takes the key out of the file", async () => {
    const { form, asked } = await world({ maxModels: 9 });
    form.set(MAX, 4);
    await vi.advanceTimersByTimeAsync(400);
    expect(asked("config:validate")).toEqual([{ llama: { maxModels: null } }]);
  });

  it("has its problems at its field, and late answers do not count", async () => {
    const { api, form } = await world();
    const answers: ((check: CheckedConfig) => void)[] = [];
    api.answer("config:validate", () => new Promise((resolve) => answers.push(resolve)));
    form.set(MAX, 0);
    await vi.advanceTimersByTimeAsync(400);
    form.set(MAX, 8);
    await vi.advanceTimersByTimeAsync(400);
    answers[1]?.(checked());
    await settled();
    const problem = { path: MAX, message: "given 0", given: "0", allowed: "1 to 1000" };
    answers[0]?.(checked({ valid: false, errors: [problem] }));
    await settled();
    expect(form.problems).toEqual([]);
    expect(form.ready).toBe(true);
  });

  it("outlives a gateway that is started anew, and is checked again", async () => {
    const { api, form, asked } = await world();
    api.answer("config:validate", () => Promise.reject(new ApiError(DISCONNECTED, "gone")));
    form.set(MAX, 8);
    await vi.advanceTimersByTimeAsync(400);
    expect(form.ready).toBe(false);
    expect(form.problems).toEqual([]);
    api.answer("config:validate", () => checked());
    await api.connect();
    await vi.advanceTimersByTimeAsync(400);
    expect(form.valueOf(MAX)).toBe(8);
    expect(form.ready).toBe(true);
    expect(asked("config:validate")).toHaveLength(2);
  });
});

describe("what others change meanwhile", () => {
  it("is told once, from what it was to what it is", async () => {
    const { form, elsewhere } = await world();
    await elsewhere({ maxModels: 5 });
    await elsewhere({ maxModels: 6 });
    expect(form.elsewhere).toEqual([{ path: MAX, before: 4, after: 6 }]);
    await elsewhere({ maxModels: 4 });
    expect(form.elsewhere).toEqual([]);
  });

  it("is kept beside a draft of something else", async () => {
    const { form, elsewhere, asked } = await world();
    form.set("llama.flags", { threads: "1", mlock: "" });
    await elsewhere({ flags: { threads: "2" } });
    expect(form.clashes).toEqual([]);
    expect(form.valueOf("llama.flags")).toEqual({ threads: "2", mlock: "" });
    await vi.advanceTimersByTimeAsync(400);
    expect(asked("config:validate").at(-1)).toEqual({ llama: { flags: { mlock: "" } } });
  });

  it("clashes with a draft of the same, and nothing is saved before one of them is chosen", async () => {
    const { form, elsewhere, now, asked } = await world();
    form.set(MAX, 8);
    await vi.advanceTimersByTimeAsync(400);
    now.configuration = configuration({ maxModels: 6 });
    expect(await form.save()).toBe(false);
    expect(asked("config:update")).toEqual([]);
    expect(form.clashes).toEqual([MAX]);
    expect(form.drafts.get(MAX)?.clash).toEqual({ theirs: 6 });
    form.keep(MAX);
    expect(form.clashes).toEqual([]);
    expect(form.valueOf(MAX)).toBe(8);
    await elsewhere({ maxModels: 8 });
    expect(form.changed).toBe(false);
  });
});

describe("a save", () => {
  it("does not forget what an earlier one needs restarts for, until they are done", async () => {
    const { api, form } = await world();
    let restart = ["gateway@h", "proxy@h"];
    api.answer("config:update", () => ({ updated: true, restartRequired: true, restart }));
    form.set("server.port", 3001);
    await form.save();
    form.restarted(["proxy@h"]);
    restart = [];
    form.set(MAX, 8);
    await form.save();
    expect(form.outcome?.restart).toEqual(["gateway@h"]);
    expect(form.outcome?.changes.map(({ path }) => path)).toEqual(["server.port", MAX]);
  });

  it("sends the changes, tells them, and waits for the gateway's copy to follow", async () => {
    const { api, form, now, asked } = await world();
    let sent: ConfigChanges = {};
    api.answer("config:update", (changes) => {
      sent = changes;
      return { updated: true, restartRequired: true, restart: ["gateway@h"] };
    });
    form.set("llama.flags", { threads: "1", "hf-token": "secret" });
    expect(await form.save()).toBe(true);
    expect(sent).toEqual({ llama: { flags: { "hf-token": "secret" } } });
    expect(form.outcome?.restart).toEqual(["gateway@h"]);
    expect(form.outcome?.changes.map(({ path }) => path)).toEqual(["llama.flags.hf-token"]);
    // Its copy is still the old one: neither a step back nor somebody else's change.
    await vi.advanceTimersByTimeAsync(1_000);
    expect(form.valueOf("llama.flags")).toHaveProperty("hf-token");
    now.configuration = configuration({ flags: { threads: "1", "hf-token": HIDDEN } });
    await vi.advanceTimersByTimeAsync(2_500);
    expect(form.valueOf("llama.flags")).toEqual({ threads: "1", "hf-token": HIDDEN });
    expect(form.elsewhere).toEqual([]);
    expect(form.changed).toBe(false);
    expect(asked("config:update")).toHaveLength(1);
  });

  it("that is refused leaves the draft, with what is wrong at its field", async () => {
    const { api, form } = await world();
    const problem = { path: MAX, message: "given 0; allowed is 1", given: "0", allowed: "1" };
    const refusal = new ApiError("CONFIG_INVALID", "no", { problems: [problem] });
    api.answer("config:update", () => Promise.reject(refusal));
    form.set(MAX, 0);
    await expect(form.save()).rejects.toBe(refusal);
    expect(form.problems).toEqual([problem]);
    expect(form.valueOf(MAX)).toBe(0);
    expect(form.saving).toBe(false);
  });
});

it("reads refusals: by their parts, by the paths that are for admins, or whole", () => {
  expect(problemsOf(new ApiError("PERMISSION_DENIED", "only an admin", { paths: ["a.b"] }))).toEqual([
    { path: "a.b", message: "Only an admin.", given: "", allowed: "" },
  ]);
  expect(problemsOf(new Error("odd")).map(({ path, message }) => [path, message])).toEqual([["", "Odd."]]);
});
