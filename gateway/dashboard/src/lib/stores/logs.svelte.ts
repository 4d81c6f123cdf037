/**
 * Log lines as they come, and the last warnings.
 *
 * A client has one subscription at the gateway, and several parts of the page want lines: the feed
 * subscribes to the least level that anybody wants, and each reader takes what is theirs.
 */

import { collect, type Collection } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type { LogEntry, Logs } from "../api/contract";

export type LogLevel = LogEntry["level"];

export const LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export function atLeast(level: LogLevel, least: LogLevel): boolean {
  return LEVELS.indexOf(level) >= LEVELS.indexOf(least);
}

type Reader = (entry: LogEntry) => void;

export class LogFeed {
  /** Lines that we were too slow for, since the page was opened. */
  dropped = $state(0);
  readonly #api: Api;
  readonly #readers = new Map<symbol, { level: LogLevel; read: Reader }>();
  #subscribed: LogLevel | null = null;

  constructor(api: Api) {
    this.#api = api;
    api.on("logs:entry", ({ entry }) => {
      for (const { level, read } of this.#readers.values()) {
        if (atLeast(entry.level, level)) read(entry);
      }
    });
    api.on("logs:dropped", ({ count }) => {
      this.dropped += count;
    });
    api.onConnected(() => {
      this.#subscribed = null;
      this.#subscribe();
    });
  }

  /** `read` is given every line from `level` on, until what is returned is called. */
  follow(level: LogLevel, read: Reader): () => void {
    const key = Symbol("reader");
    this.#readers.set(key, { level, read });
    this.#subscribe();
    return () => {
      this.#readers.delete(key);
      this.#subscribe();
    };
  }

  /** Lines that are stored already, newest last. */
  async latest(level: LogLevel, limit: number): Promise<readonly LogEntry[]> {
    return (await this.#api.request("logs:get", { level, limit })).logs;
  }

  #subscribe(): void {
    // Without a subscription a client gets every line, so there is always one.
    const least = LEVELS.find((level) =>
      [...this.#readers.values()].some((reader) => reader.level === level),
    );
    const level = least ?? "error";
    if (level === this.#subscribed) return;
    this.#subscribed = level;
    this.#api.request("logs:subscribe", { level }).catch(() => {
      // The next connection subscribes again.
      this.#subscribed = null;
    });
  }
}

const MAX_WARNINGS = 100;

export class Warnings {
  readonly status = $state({ loading: true, error: null as string | null });
  /** Newest first. */
  latest = $state.raw<readonly LogEntry[]>([]);
  readonly collection: Collection;

  constructor(api: Api, feed: LogFeed) {
    feed.follow("warn", (entry) => {
      this.latest = merged(this.latest, [entry]);
    });
    this.collection = collect<Logs>(api, {
      status: this.status,
      fetch: () => api.request("logs:get", { level: "warn", limit: MAX_WARNINGS }),
      reset: ({ logs }) => {
        this.latest = merged(this.latest, logs);
      },
      events: {},
    });
  }
}

/** Each line once, newest first, `MAX_WARNINGS` at most. */
export function merged(
  known: readonly LogEntry[],
  more: readonly LogEntry[],
): readonly LogEntry[] {
  const byId = new Map([...known, ...more].map((entry) => [entry.id, entry]));
  return [...byId.values()]
    .sort((a, b) => b.timestamp.localeCompare(a.timestamp) || b.id - a.id)
    .slice(0, MAX_WARNINGS);
}
