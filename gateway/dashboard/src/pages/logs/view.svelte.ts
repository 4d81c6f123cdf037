/**
 * The lines that are looked at: the newest ones and what comes, or a part of the past.
 *
 * While the reader follows, new lines are shown as they come. While they look back, these wait, so
 * that nothing moves under their eyes.
 */

import type { Api } from "../../lib/api/connection.svelte";
import type { GetLogs, LogEntry, Logs } from "../../lib/api/contract";
import { isDisconnection, messageOf } from "../../lib/api/errors";
import { atLeast, type LogLevel } from "../../lib/stores/logs.svelte";

export interface Filter {
  readonly level: LogLevel;
  /** How a source begins; empty for all. */
  readonly source: string;
  /** In the message, in any case; empty for all. */
  readonly text: string;
}

const PAGE = 300;
/** Lines that are held at most; of the past and of what waits alike. */
export const MAX_LINES = 5_000;
/** Each search looks at 50,000 lines; so many at once, before the reader is asked. */
const SEARCHES = 4;

export class LogView {
  readonly status = $state({ loading: true, error: null as string | null });
  /** Oldest first. */
  lines = $state.raw<readonly LogEntry[]>([]);
  following = $state(true);
  /** New lines that wait. */
  waiting = $state(0);
  /** Whether there may be older ones. */
  more = $state(false);
  /** Where the last search has ended without finding enough. */
  searchedTo = $state<number | null>(null);
  readonly #api: Api;
  #filter: Filter = { level: "info", source: "", text: "" };
  #pending: LogEntry[] = [];
  /** Whether newer lines than those held were left out. */
  #gap = false;
  #turn = 0;

  constructor(api: Api) {
    this.#api = api;
  }

  /** The newest that match. */
  async latest(filter: Filter): Promise<void> {
    this.#begin(filter);
    this.following = true;
    this.lines = [];
    await this.#load(null, (found) => {
      const newest = found.at(-1)?.id ?? 0;
      this.lines = [...found, ...this.#pending.filter(({ id }) => id > newest)];
      this.#pending = [];
    });
  }

  /** A line with what was said before and after it. */
  async around(id: number, filter: Filter): Promise<void> {
    this.#begin(filter);
    this.following = false;
    this.lines = [];
    const mine = this.#turn;
    await this.#load(id, (found) => {
      this.lines = found;
    });
    if (mine !== this.#turn) return;
    await this.#ask(mine, async () => {
      const after = this.lines.at(-1)?.id ?? Math.max(0, id - 1);
      const page = await this.#get({ after, limit: PAGE });
      if (mine !== this.#turn) return;
      this.lines = [...this.lines, ...page.logs];
      this.#gap = page.logs.length === PAGE;
    });
  }

  /** What was said before the first line that is held. */
  async older(): Promise<void> {
    const first = this.searchedTo ?? this.lines[0]?.id;
    if (first === undefined || this.status.loading) return;
    this.#turn++;
    await this.#load(first, (found) => {
      const all = [...found, ...this.lines];
      if (all.length > MAX_LINES) {
        this.#gap = true;
        this.following = false;
      }
      this.lines = all.slice(0, MAX_LINES);
      if (!this.following) return;
      // They came while the past was read.
      this.#show(this.#pending);
      this.#pending = [];
    });
  }

  pause(): void {
    this.following = false;
  }

  /** To the newest lines, and on with them. */
  async follow(): Promise<void> {
    if (this.#gap) return this.latest(this.#filter);
    this.following = true;
    this.#show(this.#pending);
    this.#pending = [];
    this.waiting = 0;
  }

  /** Lines that have just been stored. */
  add(entries: readonly LogEntry[]): void {
    const fresh = entries.filter((entry) => matches(entry, this.#filter));
    if (fresh.length === 0) return;
    if (this.following && !this.status.loading) {
      this.#show(fresh);
      return;
    }
    this.#pending = this.#pending.concat(fresh);
    if (!this.following) this.waiting += fresh.length;
    if (this.#pending.length > MAX_LINES) {
      this.#pending.splice(0, this.#pending.length - MAX_LINES);
      this.#gap = true;
    }
  }

  #show(fresh: readonly LogEntry[]): void {
    const newest = this.lines.at(-1)?.id ?? 0;
    const all = [...this.lines, ...fresh.filter(({ id }) => id > newest)];
    if (all.length > MAX_LINES) this.more = true;
    this.lines = all.slice(-MAX_LINES);
  }

  #begin(filter: Filter): void {
    this.#filter = filter;
    this.#turn++;
    this.#pending = [];
    this.#gap = false;
    this.waiting = 0;
    this.searchedTo = null;
    this.status.loading = true;
  }

  /** A page of what is older than `before`, or of the newest. */
  #load(before: number | null, take: (found: readonly LogEntry[]) => void): Promise<void> {
    const mine = this.#turn;
    return this.#ask(mine, async () => {
      let found: readonly LogEntry[] = [];
      let from = before;
      let page: Logs;
      let searches = 0;
      do {
        const limit = PAGE - found.length;
        page = await this.#get({ limit, ...(from === null ? {} : { before: from }) });
        if (mine !== this.#turn) return;
        found = [...page.logs, ...found];
        from = page.searchedTo ?? null;
        searches++;
      } while (from !== null && searches < SEARCHES);
      this.searchedTo = from;
      this.more = from !== null || found.length >= PAGE;
      take(found);
    });
  }

  #get(part: GetLogs): Promise<Logs> {
    const { level, source, text } = this.#filter;
    return this.#api.request("logs:get", {
      level,
      ...(source === "" ? {} : { sources: [source] }),
      ...(text === "" ? {} : { text }),
      ...part,
    });
  }

  async #ask(mine: number, act: () => Promise<void>): Promise<void> {
    this.status.loading = true;
    try {
      await act();
      if (mine === this.#turn) this.status.error = null;
    } catch (error) {
      if (mine !== this.#turn || isDisconnection(error)) return;
      this.status.error = messageOf(error);
    }
    if (mine === this.#turn) this.status.loading = false;
  }
}

export function matches(entry: LogEntry, { level, source, text }: Filter): boolean {
  return (
    atLeast(entry.level, level) &&
    entry.source.startsWith(source) &&
    (text === "" || entry.message.toLowerCase().includes(text.toLowerCase()))
  );
}

/** As plain text: a line each. */
export function asText(lines: readonly LogEntry[]): string {
  return lines
    .map(({ timestamp, level, source, message }) => `${timestamp} ${level} ${source} ${message}\n`)
    .join("");
}
