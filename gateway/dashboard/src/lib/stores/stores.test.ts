import { describe, expect, it, vi } from "vitest";

import type {
  HostHistory,
  LogEntry,
  Metrics as Figures,
  ModelDetails,
  ModelStatusChange,
  RequestRecord,
} from "../api/contract";
import { settled, TestApi } from "../api/test_api";
import { proxyOrigin } from "./config.svelte";
import { LogFeed, merged, Warnings } from "./logs.svelte";
import { Metrics } from "./metrics.svelte";
import { Models } from "./models.svelte";
import { appended, recentRate } from "./requests.svelte";
import { Series } from "./series";
import { Session } from "./session.svelte";

const row = (id: string, status: ModelStatusChange["status"]) =>
  ({ id, name: `${id}.gguf`, path: `/${id}.gguf`, size: 1, status, parameters: null }) as const;

const details = (id: string, memoryUsage: number | null): ModelDetails => ({
  id,
  architecture: "llama",
  quantization: "Q4_K_M",
  parameterCount: 7e9,
  contextLength: 4096,
  runner: null,
  preset: null,
  memoryUsage,
  loadedAt: null,
  expiresAt: null,
});

describe("models", () => {
  function world() {
    const api = new TestApi()
      .answer("models:list", () => ({ models: [row("a", "loaded"), row("b", "unloaded")], total: 2 }))
      .answer("models:details", ({ ids }) => ({
        models: (ids ?? ["a", "b"]).map((id) => details(id, ids === undefined ? 5 : 6)),
      }))
      .answer("requests:last-use", () => ({ models: { a: "2026-01-15T10:30:00.000Z" } }));
    return { api, models: new Models(api) };
  }

  it("are listed and described", async () => {
    const { api, models } = world();
    await api.connect();
    expect(models.all.map((model) => model.id)).toEqual(["a", "b"]);
    expect(models.running.map((model) => model.id)).toEqual(["a"]);
    expect(models.details.get("a")?.memoryUsage).toBe(5);
    expect(models.details.get("b")?.quantization).toBe("Q4_K_M");
    expect([...models.lastUse.keys()]).toEqual(["a"]);
    const ended = { model: "b", startedAt: "2026-01-15T11:00:00.000Z" } as RequestRecord;
    api.tell("requests:finished", { requests: [ended], omitted: 0 });
    expect(models.lastUse.get("b")).toBe(ended.startedAt);
  });

  it("follow their events, progress included", async () => {
    const { api, models } = world();
    await api.connect();
    api.tell("models:status", { ...row("b", "loading"), reason: null, progress: 0.4 });
    expect(models.byId.get("b")).toMatchObject({ status: "loading", progress: 0.4 });
    api.tell("models:status", { ...row("b", "loaded"), reason: null });
    await settled();
    expect(models.byId.get("b")?.progress).toBeNull();
    expect(models.details.get("b")?.memoryUsage).toBe(6);
    api.tell("models:status", { ...row("b", "unloaded"), reason: null });
  });

  it("that are gone are forgotten", async () => {
    vi.useFakeTimers();
    const { api, models } = world();
    await api.connect();
    api.answer("models:list", () => ({ models: [row("a", "loaded")], total: 1 }));
    api.tell("models:status", { ...row("b", "error"), reason: "its file is gone" });
    expect(models.byId.has("b")).toBe(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(models.byId.has("b")).toBe(false);
    vi.useRealTimers();
  });
});

describe("metrics", () => {
  const system = (usage: number) => ({
    cpu: { usage, cores: 2 },
    memory: { used: 10, total: 100 },
    disk: { used: 1, total: 2 },
  });
  const history = (timesMs: number[]): HostHistory => ({
    host: "h",
    timesMs,
    cpuUsage: timesMs.map(() => 1),
    memoryUsed: timesMs.map(() => 10),
    diskUsed: timesMs.map(() => 1),
    cores: 2,
    memoryTotal: 100,
    diskTotal: 2,
    gpu: [],
  });
  const figures = (timeMs: number, gpu: Figures["gpu"] = []): Figures => {
    const timestamp = new Date(timeMs).toISOString();
    return {
      system: system(50),
      llama: { activeConnections: 0, requestsProcessed: 0, averageResponseTime: 0 },
      gpu,
      timestamp,
      hosts: [{ host: "h", system: system(50), timestamp }],
    };
  };

  it("go on where history ends, each second once", async () => {
    const api = new TestApi()
      .answer("metrics:subscribe", ({ intervalMs = 0 }) => ({ intervalMs }))
      .answer("metrics:history", () => ({ hosts: [history([1_000, 2_000])], inference: null }));
    const metrics = new Metrics(api);
    await api.connect();
    api.tell("metrics:update", figures(2_000));
    api.tell("metrics:update", figures(3_000));
    expect(metrics.tracks[0]?.series.times).toEqual([1, 2, 3]);
    expect(metrics.tracks[0]?.series.columns[0]).toEqual([1, 1, 50]);
    expect(metrics.newest?.system.cpu.usage).toBe(50);
  });

  it("notice a GPU that comes later", async () => {
    const api = new TestApi()
      .answer("metrics:subscribe", ({ intervalMs = 0 }) => ({ intervalMs }))
      .answer("metrics:history", () => ({ hosts: [], inference: null }));
    const metrics = new Metrics(api);
    await api.connect();
    const gpu = { name: "G", usage: 7, memoryUsed: 3, memoryTotal: 9, uuid: "GPU-1", host: "h", temperature: 41, power: 118, powerLimit: 700 };
    api.tell("metrics:update", figures(1_000, [gpu as Figures["gpu"][number]]));
    expect(metrics.tracks[0]?.gpus[0]?.series.columns).toEqual([[7], [3], [41], [118]]);
    expect(metrics.gpusOf("h")).toHaveLength(1);
  });
});

it("a series keeps its last seconds", () => {
  const series = new Series(1, 10);
  for (let time = 0; time < 100; time++) series.push(time, [time]);
  expect(series.times).toHaveLength(11);
  expect(series.columns[0]?.[0]).toBe(89);
  series.clear();
  expect(series.times).toEqual([]);
});

describe("logs", () => {
  const line = (level: LogEntry["level"], message: string, second = 0): LogEntry => ({
    id: second,
    timestamp: `2026-01-15T10:30:${String(second).padStart(2, "0")}.000Z`,
    level,
    source: "gateway@h",
    message,
  });

  it("are subscribed to from the least level that anybody wants", async () => {
    const api = new TestApi().answer("logs:subscribe", ({ level = "debug" }) => ({
      level,
      sources: [],
    }));
    const feed = new LogFeed(api);
    const warnings: string[] = [];
    const all: string[] = [];
    feed.follow("warn", (entry) => void warnings.push(entry.message));
    await api.connect();
    const stop = feed.follow("debug", (entry) => void all.push(entry.message));
    api.tell("logs:entry", { entry: line("info", "hello") });
    api.tell("logs:entry", { entry: line("error", "ouch") });
    stop();
    api.tell("logs:dropped", { count: 3 });
    expect(warnings).toEqual(["ouch"]);
    expect(all).toEqual(["hello", "ouch"]);
    expect(feed.dropped).toBe(3);
    const levels = api.asked.filter(({ name }) => name === "logs:subscribe");
    expect(levels.at(-1)?.payload).toEqual({ level: "warn" });
    expect(levels.at(-2)?.payload).toEqual({ level: "debug" });
  });

  it("show each warning once, the newest first, a hundred at most", async () => {
    const api = new TestApi()
      .answer("logs:subscribe", () => ({ level: "warn", sources: [] }))
      .answer("logs:get", () => ({ logs: [line("warn", "one", 1), line("warn", "two", 2)], total: 2 }));
    const warnings = new Warnings(api, new LogFeed(api));
    await api.connect();
    api.tell("logs:entry", { entry: line("warn", "two", 2) });
    api.tell("logs:entry", { entry: line("error", "three", 3) });
    expect(warnings.latest.map((entry) => entry.message)).toEqual(["three", "two", "one"]);
    const many = Array.from({ length: 500 }, (_, id) => ({ ...line("warn", "more"), id }));
    expect(merged([], many)).toHaveLength(100);
  });
});

describe("requests", () => {
  const record = (id: string, model: string, tokensPerSecond: number | null) =>
    ({ id, model, tokensPerSecond }) as RequestRecord;

  it("are kept once, a thousand at most", () => {
    const first = Array.from({ length: 1_000 }, (_, index) => record(`${index}`, "m", null));
    const all = appended(first, [record("999", "m", null), record("new", "m", null)]);
    expect(all).toHaveLength(1_000);
    expect(all.at(-1)?.id).toBe("new");
    expect(all[0]?.id).toBe("1");
  });

  it("say how fast a model was of late", () => {
    const recent = [record("1", "a", 1_000), record("2", "b", 7), record("3", "a", null)];
    expect(recentRate(recent, "a", 1)).toBe(1_000);
    expect(recentRate([...recent, record("4", "a", 500)], "a")).toBe(750);
    expect(recentRate(recent, "c")).toBeNull();
  });
});

it("a session may what its role includes, and nothing before that is known", async () => {
  const api = new TestApi().answer("tokens:identity", () => ({
    name: "alice",
    role: "operator",
    needsToken: true,
  }));
  const session = new Session(api);
  expect(session.may("models:list")).toBe(false);
  await api.connect();
  expect(session.may("models:load")).toBe(true);
  expect(session.may("system:restart")).toBe(false);
});

it.each([
  ["localhost", "127.0.0.1", "http://localhost:8080"],
  ["10.0.0.1", "0.0.0.0", "http://10.0.0.1:8080"],
  ["localhost", "10.0.0.2", "http://10.0.0.2:8080"],
  ["localhost", "fd00::1", "http://[fd00::1]:8080"],
])("a page at %s with a proxy on %s asks %s", (hostname, host, origin) => {
  expect(proxyOrigin({ protocol: "http:", hostname }, host, 8080)).toBe(origin);
});
