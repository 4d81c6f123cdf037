/**
 * A copy of something that the gateway has: fetched at each connection, kept by events.
 *
 * Events are listened to before the snapshot is asked for, and those that come in between are
 * applied to it again: the last event of a row is then the newest, or a newer one is on its way.
 */

import type { Api } from "./connection.svelte";
import type { EventName, Events } from "./contract";
import { isDisconnection, messageOf } from "./errors";

export interface CollectionParts<Snapshot> {
  /** Where the copy is told of its state. */
  readonly status: CollectionStatus;
  fetch(): Promise<Snapshot>;
  reset(snapshot: Snapshot): void;
  events: { [Name in EventName]?: (payload: Events[Name]) => void };
}

/** `loading` until the first snapshot; `error`: why the last one did not come. */
export interface CollectionStatus {
  loading: boolean;
  error: string | null;
}

export interface Collection {
  refresh(): Promise<void>;
  stop(): void;
}

/** More events than this between a request and its reply: the snapshot is asked for again. */
const MAX_HELD = 1_000;

export function collect<Snapshot>(api: Api, parts: CollectionParts<Snapshot>): Collection {
  let held: (() => void)[] | null = null;
  let overflowed = false;
  let turn = 0;

  const stops = Object.entries(parts.events).map(([name, apply]) =>
    api.on(name as EventName, (payload) => {
      const change = (): void => (apply as (payload: unknown) => void)(payload);
      change();
      if (held === null) return;
      if (held.length < MAX_HELD) held.push(change);
      else overflowed = true;
    }),
  );

  async function refresh(): Promise<void> {
    const mine = ++turn;
    held = [];
    overflowed = false;
    try {
      const snapshot = await parts.fetch();
      if (mine !== turn) return;
      parts.reset(snapshot);
      for (const change of held) change();
      parts.status.error = null;
      parts.status.loading = false;
    } catch (error) {
      if (mine !== turn) return;
      // Of a lost connection the page tells by itself, and the next one asks again.
      if (!isDisconnection(error)) {
        parts.status.error = messageOf(error);
        parts.status.loading = false;
      }
    }
    held = null;
    if (overflowed) await refresh();
  }

  const stopListening = api.onConnected(() => void refresh());
  return {
    refresh,
    stop() {
      turn++;
      stopListening();
      for (const stop of stops) stop();
    },
  };
}

/**
 * For what has no event: ask every `everyMs`, one request at a time, while someone looks.
 *
 * `hold()` says that someone does and returns what ends it; views call it in an `$effect`.
 */
export class Polling {
  #holders = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asking = false;

  constructor(
    private readonly ask: () => Promise<void>,
    private readonly everyMs: number,
  ) {}

  hold(): () => void {
    this.#holders++;
    if (this.#holders === 1) this.now();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders--;
      if (this.#holders === 0) clearTimeout(this.#timer);
    };
  }

  /** Ask at once, where someone looks. */
  now(): void {
    if (this.#holders === 0 || this.#asking) return;
    clearTimeout(this.#timer);
    this.#asking = true;
    void this.ask().finally(() => {
      this.#asking = false;
      if (this.#holders > 0) this.#timer = setTimeout(() => this.now(), this.everyMs);
    });
  }
}
