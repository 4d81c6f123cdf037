/** Inference of all proxies over the last hour, a point per second; asked for while someone looks. */

import { Polling } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type { InferenceHistory } from "../api/contract";
import { isDisconnection, messageOf } from "../api/errors";
import { Series } from "./series";

const EVERY_MS = 1_000;
const HOUR_S = 3_600;
/** Seconds that are asked for again: what is under way still changes them. */
const TAIL_S = 60;

/** The columns of `Inference.series`. */
export const COLUMN = {
  inFlight: 0,
  waiting: 1,
  finished: 2,
  firstTokenMs: 3,
  latencyMs: 4,
  tokensOut: 5,
} as const;

export class Inference {
  readonly status = $state({ loading: true, error: null as string | null });
  /** A plain array, for speed; `version` grows whenever it changes. */
  readonly series = new Series(Object.keys(COLUMN).length, HOUR_S);
  version = $state(0);
  readonly polling: Polling;
  readonly #api: Api;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(api: Api, private readonly now: () => number = Date.now) {
    this.#api = api;
    this.polling = new Polling(() => this.#ask(), EVERY_MS);
    api.onConnected(() => {
      this.#askedAt = Number.NEGATIVE_INFINITY;
      this.polling.now();
    });
  }

  /** Of the last `seconds`, those in which there was a figure; null without any. */
  mean(column: number, seconds: number): number | null {
    const values = (this.series.columns[column] ?? [])
      .slice(-seconds)
      .filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  }

  /** The most in the hour; null without a figure. */
  peak(column: number): number | null {
    let most: number | null = null;
    for (const value of this.series.columns[column] ?? []) {
      if (value !== null && (most === null || value > most)) most = value;
    }
    return most;
  }

  async #ask(): Promise<void> {
    const at = this.now();
    const whole = at - this.#askedAt > (TAIL_S / 2) * 1_000;
    try {
      const { inference } = await this.#api.request("metrics:history", {
        seconds: whole ? HOUR_S : TAIL_S,
      });
      if (inference === null) {
        this.status.error = "The process logs, which keeps these figures, does not answer.";
      } else {
        this.#take(inference);
        this.#askedAt = at;
        this.status.error = null;
      }
    } catch (error) {
      if (isDisconnection(error)) return;
      this.status.error = messageOf(error);
    }
    this.status.loading = false;
  }

  #take(history: InferenceHistory): void {
    this.version++;
    const first = history.timesMs[0];
    if (first === undefined) return;
    this.series.dropFrom(first / 1_000);
    history.timesMs.forEach((timeMs, index) => {
      this.series.push(timeMs / 1_000, [
        history.inFlight[index] ?? null,
        history.waiting[index] ?? null,
        history.finished[index] ?? null,
        history.firstTokenMs[index] ?? null,
        history.latencyMs[index] ?? null,
        history.tokensOut[index] ?? null,
      ]);
    });
  }
}
