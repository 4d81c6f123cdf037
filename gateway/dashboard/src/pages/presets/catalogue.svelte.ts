/** The flags of the engine in use, asked for at each connection: another engine has others. */

import { collect, type Collection } from "../../lib/api/collection";
import type { Api } from "../../lib/api/connection.svelte";
import type { LlamaParams } from "../../lib/api/contract";
import { Flags } from "./flags";

export class FlagCatalogue {
  readonly status = $state({ loading: true, error: null as string | null });
  flags = $state.raw<Flags | null>(null);
  /** What the engine calls itself. */
  version = $state("");
  /** `shipped`: no engine could be asked. */
  engine = $state<LlamaParams["engine"] | null>(null);
  readonly collection: Collection;

  constructor(api: Api) {
    this.collection = collect<LlamaParams>(api, {
      status: this.status,
      fetch: () => api.request("presets:get-llama-params", {}),
      reset: ({ parameters, engine, version }) => {
        this.flags = new Flags(parameters);
        this.engine = engine;
        this.version = version;
      },
      events: {},
    });
  }
}
