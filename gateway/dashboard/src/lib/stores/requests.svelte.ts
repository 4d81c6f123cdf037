/** Inference requests: those under way, and the last ones that have ended. */

import { collect, Polling, type Collection } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type { RequestHistory, RequestInFlight, RequestRecord } from "../api/contract";
import { isDisconnection, messageOf } from "../api/errors";

const MAX_RECENT = 1_000;
const FIRST_PAGE = 200;
const EVERY_MS = 1_000;

export class Requests {
  readonly status = $state({ loading: true, error: null as string | null });
  readonly inFlightStatus = $state({ loading: true, error: null as string | null });
  /** The newest that have ended, newest last. */
  recent = $state.raw<readonly RequestRecord[]>([]);
  /** Oldest first; as of the last second while someone holds `polling`. */
  inFlight = $state.raw<readonly RequestInFlight[]>([]);
  /** Proxies that did not answer: their requests are missing in `inFlight`. */
  silent = $state.raw<readonly string[]>([]);
  readonly polling: Polling;
  readonly collection: Collection;
  readonly #api: Api;
  #refreshing = false;

  constructor(api: Api) {
    this.#api = api;
    this.polling = new Polling(() => this.#ask(), EVERY_MS);
    this.collection = collect<RequestHistory>(api, {
      status: this.status,
      fetch: () => api.request("requests:history", { limit: FIRST_PAGE }),
      reset: (history) => {
        this.recent = history.requests;
        this.polling.now();
      },
      events: {
        "requests:finished": (finished) => {
          this.recent = appended(this.recent, finished.requests);
          if (finished.omitted > 0) this.#refreshSoon();
          const ended = new Set(finished.requests.map((request) => request.id));
          this.inFlight = this.inFlight.filter((request) => !ended.has(request.id));
        },
      },
    });
  }

  cancel(id: string): Promise<unknown> {
    return this.#api.request("requests:cancel", { id });
  }

  /** More have ended at once than are told: the history has them all. */
  #refreshSoon(): void {
    if (this.#refreshing) return;
    this.#refreshing = true;
    setTimeout(() => {
      this.#refreshing = false;
      void this.collection.refresh();
    }, EVERY_MS);
  }

  async #ask(): Promise<void> {
    try {
      const list = await this.#api.request("requests:list", {});
      this.inFlight = list.requests;
      this.silent = list.silent;
      this.inFlightStatus.error = null;
    } catch (error) {
      if (isDisconnection(error)) return;
      this.inFlightStatus.error = messageOf(error);
    }
    this.inFlightStatus.loading = false;
  }
}

/** Each request once, the newest `MAX_RECENT`. */
export function appended(
  recent: readonly RequestRecord[],
  more: readonly RequestRecord[],
): readonly RequestRecord[] {
  const known = new Set(recent.slice(-2 * FIRST_PAGE).map((request) => request.id));
  return [...recent, ...more.filter((request) => !known.has(request.id))].slice(-MAX_RECENT);
}

/** Tokens per second that a model has made of late: the mean of its last requests, null of none. */
export function recentRate(recent: readonly RequestRecord[], model: string, last = 5): number | null {
  const rates: number[] = [];
  for (let index = recent.length - 1; index >= 0 && rates.length < last; index--) {
    const request = recent[index];
    if (request?.model === model && request.tokensPerSecond !== null) {
      rates.push(request.tokensPerSecond);
    }
  }
  return rates.length === 0 ? null : rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
}
