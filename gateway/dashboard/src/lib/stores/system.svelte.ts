/** The processes. Nothing tells of their changes, so they are asked for while someone looks. */

import { Polling } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type { ProcessStatus } from "../api/contract";
import { isDisconnection, messageOf } from "../api/errors";

const EVERY_MS = 1_000;

export class System {
  readonly status = $state({ loading: true, error: null as string | null });
  processes = $state.raw<readonly ProcessStatus[]>([]);
  readonly polling: Polling;
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
    this.polling = new Polling(() => this.#ask(), EVERY_MS);
    api.onConnected(() => this.polling.now());
  }

  restart(process: string): Promise<unknown> {
    return this.#api.request("system:restart", { process });
  }

  async #ask(): Promise<void> {
    try {
      this.processes = (await this.#api.request("system:status", {})).processes;
      this.status.error = null;
    } catch (error) {
      if (isDisconnection(error)) return;
      this.status.error = messageOf(error);
    }
    this.status.loading = false;
  }
}
