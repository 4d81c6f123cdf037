import { expect, it, vi } from "vitest";

import { collect, Polling } from "./collection";
import type { Logs } from "./contract";
import { ApiError } from "./errors";
import { settled, TestApi } from "./test_api";

function copy(api: TestApi) {
  const status = { loading: true, error: null as string | null };
  const lines: string[] = [];
  const collection = collect<Logs>(api, {
    status,
    fetch: () => api.request("logs:get", {}),
    reset: ({ logs }) => lines.splice(0, lines.length, ...logs.map((entry) => entry.message)),
    events: { "logs:entry": ({ entry }) => void lines.push(entry.message) },
  });
  return { status, lines, collection };
}

const entry = (message: string) => ({ id: 0, timestamp: "", level: "info", source: "", message }) as const;

it("has the snapshot, and what came while it was on its way", async () => {
  let give: (logs: Logs) => void = () => undefined;
  const api = new TestApi().answer("logs:get", () => new Promise((resolve) => (give = resolve)));
  const { lines, status } = copy(api);
  await api.connect();
  api.tell("logs:entry", { entry: entry("between") });
  expect(status.loading).toBe(true);
  give({ logs: [entry("before")], total: 1 });
  await settled();
  expect(lines).toEqual(["before", "between"]);
  expect(status).toEqual({ loading: false, error: null });
  api.tell("logs:entry", { entry: entry("after") });
  expect(lines).toEqual(["before", "between", "after"]);
});

it("is fetched anew at each connection, and keeps what it has while that fails", async () => {
  const api = new TestApi().answer("logs:get", () => ({ logs: [entry("one")], total: 1 }));
  const { lines, status, collection } = copy(api);
  await api.connect();
  api.answer("logs:get", () => Promise.reject(new Error("busy now")));
  await api.connect();
  expect(lines).toEqual(["one"]);
  expect(status.error).toBe("Busy now.");
  api.answer("logs:get", () => ({ logs: [entry("two")], total: 1 }));
  await api.connect();
  expect(lines).toEqual(["two"]);
  expect(status.error).toBeNull();
  collection.stop();
  api.tell("logs:entry", { entry: entry("unheard") });
  await api.connect();
  expect(lines).toEqual(["two"]);
});

it("goes on waiting where only the connection was lost", async () => {
  const api = new TestApi().answer("logs:get", () =>
    Promise.reject(new ApiError("DISCONNECTED", "gone")),
  );
  const { status } = copy(api);
  await api.connect();
  expect(status).toEqual({ loading: true, error: null });
});

it("asks again and again while someone looks, one at a time", async () => {
  vi.useFakeTimers();
  const ask = vi.fn(() => Promise.resolve());
  const polling = new Polling(ask, 1_000);
  polling.now();
  expect(ask).not.toHaveBeenCalled();
  const first = polling.hold();
  const second = polling.hold();
  await vi.advanceTimersByTimeAsync(3_500);
  expect(ask).toHaveBeenCalledTimes(4);
  first();
  first();
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ask).toHaveBeenCalledTimes(5);
  second();
  await vi.advanceTimersByTimeAsync(10_000);
  expect(ask).toHaveBeenCalledTimes(5);
});
