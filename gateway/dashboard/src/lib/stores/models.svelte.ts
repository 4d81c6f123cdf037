/** All models with their state, what is known of their files and engines, and their last use. */

import { SvelteMap } from "svelte/reactivity";

import { collect, type Collection } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type {
  LastUse,
  ModelDetails,
  ModelList,
  ModelRow,
  ModelStatusChange,
  RequestRecord,
} from "../api/contract";

export type ModelStatus = ModelRow["status"];

export interface Model extends Omit<ModelRow, "reason"> {
  /** Why it is in `error`, or why its last load did not succeed. */
  readonly reason: string | null;
  /** 0 to 1 while it loads, null where its engine does not tell. */
  readonly progress: number | null;
}

/** One engine's worth of models is a handful; this bounds what a hostile directory could do. */
const MAX_MODELS = 10_000;
const RELIST_AFTER_MS = 300;

export class Models {
  readonly status = $state({ loading: true, error: null as string | null });
  readonly byId = new SvelteMap<string, Model>();
  readonly details = new SvelteMap<string, ModelDetails>();
  /** When the newest finished request for a model began; of those that have had one. */
  readonly lastUse = new SvelteMap<string, string>();
  readonly collection: Collection;

  readonly all = $derived([...this.byId.values()]);
  readonly running = $derived(this.all.filter((model) => isRunning(model.status)));

  readonly #api: Api;
  #relist: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api) {
    this.#api = api;
    this.collection = collect<ModelList>(api, {
      status: this.status,
      fetch: () => api.request("models:list", {}),
      reset: (list) => this.#reset(list.models),
      events: {
        "models:status": (change) => this.#changed(change),
        "requests:finished": ({ requests }) => {
          requests.forEach((request) => this.#used(request));
          void this.describeRunning();
        },
      },
    });
  }

  /** Ask again for what events do not tell: memory, idle time. */
  async describeRunning(): Promise<void> {
    if (this.running.length > 0) await this.#describe(this.running.map(({ id }) => id));
  }

  #reset(rows: readonly ModelRow[]): void {
    const listed = new Set(rows.map((row) => row.id));
    for (const id of [...this.byId.keys()]) if (!listed.has(id)) this.#forget(id);
    for (const row of rows.slice(0, MAX_MODELS)) {
      // A list does not tell progress: what events have told stays.
      const known = this.byId.get(row.id);
      const progress = row.status === "loading" ? (known?.progress ?? null) : null;
      this.byId.set(row.id, { ...row, reason: row.reason ?? null, progress });
    }
    void this.#describe(null);
    void this.#askLastUse();
  }

  #changed(change: ModelStatusChange): void {
    const known = this.byId.get(change.id);
    if (known === undefined && this.byId.size >= MAX_MODELS) return;
    this.byId.set(change.id, { ...change, progress: change.progress ?? null });
    if (change.status === "error") this.#relistSoon();
    if (known?.status !== change.status) void this.#describe([change.id]);
  }

  /** `error` may be a model's last word, of which no list knows any more. */
  #relistSoon(): void {
    clearTimeout(this.#relist);
    this.#relist = setTimeout(() => void this.collection.refresh(), RELIST_AFTER_MS);
  }

  /** These, or all. */
  async #describe(ids: readonly string[] | null): Promise<void> {
    try {
      const told = await this.#api.request("models:details", ids === null ? {} : { ids: [...ids] });
      for (const one of told.models) if (this.byId.has(one.id)) this.details.set(one.id, one);
    } catch {
      // The connection has gone: what is shown stays until the next snapshot.
    }
  }

  async #askLastUse(): Promise<void> {
    let told: LastUse;
    try {
      told = await this.#api.request("requests:last-use", {});
    } catch {
      return; // the log process is away; what ends from now on is heard all the same
    }
    for (const [model, startedAt] of Object.entries(told.models)) this.#used({ model, startedAt });
  }

  #used({ model, startedAt }: Pick<RequestRecord, "model" | "startedAt">): void {
    if ((this.lastUse.get(model) ?? "") < startedAt) this.lastUse.set(model, startedAt);
  }

  #forget(id: string): void {
    this.byId.delete(id);
    this.details.delete(id);
  }
}

export function isRunning(status: ModelStatus): boolean {
  return status === "loaded" || status === "loading" || status === "unloading";
}
