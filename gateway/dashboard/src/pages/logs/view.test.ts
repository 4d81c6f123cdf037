import { beforeEach, describe, expect, it } from "vitest";

import { TestApi } from "../../lib/api/test_api";
import type { GetLogs, LogEntry } from "../../lib/api/contract";
import { asText, LogView, matches, MAX_LINES } from "./view.svelte";

const ALL = { level: "debug", source: "", text: "" } as const;

function entry(id: number, part: Partial<LogEntry> = {}): LogEntry {
  const timestamp = "2026-01-15T10:30:00.000Z";
  return { id, timestamp, level: "info", source: "gateway@h", message: `line ${id}`, ...part };
}

/** A log of 1,000 lines, which answers as the gateway does. */
function answer({ limit = 100, before, after, text = "" }: GetLogs): { logs: LogEntry[]; total: number } {
  let stored = Array.from({ length: 1_000 }, (_, index) => entry(index + 1));
  stored = stored.filter(({ message }) => message.includes(text));
  if (typeof before === "number") stored = stored.filter(({ id }) => id < before);
  if (typeof after === "number") stored = stored.filter(({ id }) => id > after).slice(0, limit);
  const logs = stored.slice(-limit);
  return { logs, total: logs.length };
}

describe("a view of the log", () => {
  let view: LogView;
  let api: TestApi;

  beforeEach(async () => {
    api = new TestApi().answer("logs:get", (asked) => answer(asked));
    await api.connect();
    view = new LogView(api);
  });

  const ids = (): [number | undefined, number | undefined, number] => [
    view.lines[0]?.id,
    view.lines.at(-1)?.id,
    view.lines.length,
  ];

  it("shows what came while the past was read, too", async () => {
    await view.latest(ALL);
    const older = view.older();
    view.add([entry(1_001)]);
    await older;
    view.add([entry(1_002)]);
    expect(view.lines.slice(-3).map(({ id }) => id)).toEqual([1_000, 1_001, 1_002]);
  });

  it("takes any number of lines at once while it is looked at elsewhere", async () => {
    await view.latest(ALL);
    view.pause();
    view.add(Array.from({ length: 300_000 }, (_, index) => entry(1_001 + index)));
    await view.follow();
    expect(view.lines.length).toBeLessThanOrEqual(MAX_LINES);
  });

  it("shows the newest and what comes, each line once", async () => {
    const loading = view.latest(ALL);
    view.add([entry(1_000), entry(1_001)]);
    await loading;
    view.add([entry(1_001), entry(1_002)]);
    expect(ids()).toEqual([701, 1_002, 302]);
    expect(view.more).toBe(true);
  });

  it("lets new lines wait while the reader looks back", async () => {
    await view.latest(ALL);
    view.pause();
    view.add([entry(1_001), entry(1_002)]);
    expect(ids()).toEqual([701, 1_000, 300]);
    expect(view.waiting).toBe(2);
    await view.older();
    expect(ids()).toEqual([401, 1_000, 600]);
    await view.follow();
    expect(ids()).toEqual([401, 1_002, 602]);
    expect([view.waiting, view.following]).toEqual([0, true]);
  });

  it("ends at the beginning", async () => {
    await view.latest(ALL);
    for (let page = 0; page < 5; page++) await view.older();
    expect(ids()).toEqual([1, 1_000, 1_000]);
    expect(view.more).toBe(false);
  });

  it("shows a line among its neighbours, and finds the way back to the newest", async () => {
    await view.around(500, ALL);
    expect(ids()).toEqual([200, 799, 600]);
    expect(view.following).toBe(false);
    view.add([entry(1_001)]);
    await view.follow();
    expect(ids()).toEqual([701, 1_000, 300]);
  });

  it("holds a bounded number of lines", async () => {
    await view.latest(ALL);
    const many = Array.from({ length: MAX_LINES + 50 }, (_, index) => entry(2_000 + index));
    view.add(many);
    expect(view.lines).toHaveLength(MAX_LINES);
    expect(view.lines.at(-1)?.id).toBe(2_000 + MAX_LINES + 49);
  });

  it("goes on searching, up to a point, where little is found", async () => {
    let asked = 0;
    api.answer("logs:get", ({ before }) => {
      asked++;
      const searchedTo = (before ?? 900_000) - 50_000;
      return { logs: [], total: 0, searchedTo };
    });
    await view.latest({ ...ALL, text: "needle" });
    expect([asked, view.searchedTo, view.more]).toEqual([4, 700_000, true]);
    await view.older();
    expect([asked, view.searchedTo]).toEqual([8, 500_000]);
  });

  it("says what went wrong", async () => {
    api.answer("logs:get", () => Promise.reject(new Error("no disk")));
    await view.latest(ALL);
    expect(view.status).toEqual({ loading: false, error: "No disk." });
  });
});

it("levels, sources and texts narrow", () => {
  const warning = entry(1, { level: "warn", source: "engine:one", message: "Odd Thing" });
  expect(matches(warning, { level: "warn", source: "engine:", text: "thing" })).toBe(true);
  expect(matches(warning, { level: "error", source: "", text: "" })).toBe(false);
  expect(matches(warning, { level: "debug", source: "gateway", text: "" })).toBe(false);
  expect(matches(warning, { level: "debug", source: "", text: "even" })).toBe(false);
});

it("is text with a line each", () => {
  expect(asText([entry(1), entry(2)])).toBe(
    "2026-01-15T10:30:00.000Z info gateway@h line 1\n2026-01-15T10:30:00.000Z info gateway@h line 2\n",
  );
});
