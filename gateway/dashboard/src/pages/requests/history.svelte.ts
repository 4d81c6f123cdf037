/** Finished requests that match a filter: pages of the past, and what ends while one looks. */

import type { GetRequests, RequestRecord } from "../../lib/api/contract";
import type { Api } from "../../lib/api/connection.svelte";
import { isDisconnection, messageOf } from "../../lib/api/errors";

export interface Filter {
  readonly model: string;
  readonly caller: string;
  readonly end: RequestRecord["end"] | "";
}

const PAGE = 100;
const MAX_HELD = 2_000;
export const MAX_EXPORTED = 50_000;
const EXPORT_PAGE = 1_000;
const REFRESH_AFTER_MS = 1_000;

export class RequestLog {
  readonly status = $state({ loading: true, error: null as string | null });
  /** Newest first. */
  records = $state.raw<readonly RequestRecord[]>([]);
  more = $state(false);
  readonly #api: Api;
  #filter: Filter = { model: "", caller: "", end: "" };
  #turn = 0;
  #later: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api) {
    this.#api = api;
  }

  /** Show what matches, and from now on what ends; returns what stops that. */
  show(filter: Filter): () => void {
    this.#filter = filter;
    this.records = [];
    this.more = false;
    const stops = [
      this.#api.on("requests:finished", ({ requests, omitted }) => {
        this.#add(requests);
        if (omitted > 0) this.#refreshSoon();
      }),
      this.#api.onConnected(() => void this.refresh()),
    ];
    return () => {
      this.#turn++;
      clearTimeout(this.#later);
      this.#later = undefined;
      for (const stop of stops) stop();
    };
  }

  async refresh(): Promise<void> {
    this.status.loading = this.records.length === 0;
    await this.#ask({}, (requests) => {
      this.records = newestFirst(requests);
    });
  }

  async older(): Promise<void> {
    const last = this.records.at(-1);
    if (last === undefined) return;
    await this.#ask({ before: last.id }, (requests) => {
      // One that began long ago and ended while the reader looked is here already.
      const known = new Set(this.records.map(({ id }) => id));
      const fresh = newestFirst(requests).filter(({ id }) => !known.has(id));
      this.records = [...this.records, ...fresh].slice(0, MAX_HELD);
    });
  }

  /** All that match, newest first, up to a bound; `progress` is told how many there are. */
  async all(progress: (count: number) => void): Promise<readonly RequestRecord[]> {
    const found: RequestRecord[] = [];
    const query = asked(this.#filter);
    for (let more = true; more && found.length < MAX_EXPORTED; ) {
      const before = found.at(-1)?.id;
      const page = await this.#api.request("requests:history", {
        ...query,
        limit: EXPORT_PAGE,
        ...(before === undefined ? {} : { before }),
      });
      found.push(...newestFirst(page.requests));
      progress(found.length);
      more = page.more;
    }
    return found;
  }

  async #ask(
    extra: GetRequests,
    take: (requests: readonly RequestRecord[]) => void,
  ): Promise<void> {
    const mine = ++this.#turn;
    try {
      const query = { ...asked(this.#filter), limit: PAGE, ...extra };
      const page = await this.#api.request("requests:history", query);
      if (mine !== this.#turn) return;
      take(page.requests);
      this.more = page.more && this.records.length < MAX_HELD;
      this.status.error = null;
    } catch (error) {
      if (mine !== this.#turn || isDisconnection(error)) return;
      this.status.error = messageOf(error);
    }
    this.status.loading = false;
  }

  /** More have ended at once than are told: the history has them all. */
  #refreshSoon(): void {
    this.#later ??= setTimeout(() => {
      this.#later = undefined;
      // Added to those that are held: the reader may have gone far back.
      void this.#ask({}, (requests) => this.#add(requests));
    }, REFRESH_AFTER_MS);
  }

  #add(finished: readonly RequestRecord[]): void {
    const known = new Set(this.records.map(({ id }) => id));
    const fresh = finished.filter((one) => matches(one, this.#filter) && !known.has(one.id));
    if (fresh.length === 0) return;
    this.records = [...newestFirst(fresh), ...this.records].slice(0, MAX_HELD);
  }
}

export function matches(record: RequestRecord, { model, caller, end }: Filter): boolean {
  return (
    (model === "" || record.model === model) &&
    (caller === "" || record.caller === caller) &&
    (end === "" || record.end === end)
  );
}

function asked({ model, caller, end }: Filter): GetRequests {
  return {
    ...(model === "" ? {} : { model }),
    ...(caller === "" ? {} : { caller }),
    ...(end === "" ? {} : { end }),
  };
}

function newestFirst(records: readonly RequestRecord[]): RequestRecord[] {
  return [...records].reverse();
}
