/** What the models' files say against chatting; the list of models does not tell it. */

import { SvelteMap } from "svelte/reactivity";

import type { Api } from "../../lib/api/connection.svelte";
import { connection } from "../../lib/stores";
import { whyHeaderIsUnfit } from "./choice";

const AT_ONCE = 4;
/** Of more, the engine itself has to say it. */
const MAX_ASKED = 300;

export class Headers {
  readonly unfit = new SvelteMap<string, string>();
  /** Whether all of the last `read` are known, as far as anybody knows them. */
  complete = $state(false);
  readonly #known = new Set<string>();
  #turn = 0;

  constructor(private readonly api: Api) {}

  /** Ask for those that are not known yet. */
  async read(ids: readonly string[]): Promise<void> {
    const mine = ++this.#turn;
    const left = ids.filter((id) => !this.#known.has(id)).slice(0, MAX_ASKED - this.#known.size);
    this.complete = left.length === 0;
    const worker = async (): Promise<void> => {
      for (let id = left.shift(); id !== undefined && mine === this.#turn; id = left.shift()) {
        await this.#ask(id);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    if (mine === this.#turn) this.complete = true;
  }

  async #ask(id: string): Promise<void> {
    try {
      const why = whyHeaderIsUnfit(await this.api.request("models:info", { id }));
      if (why !== null) this.unfit.set(id, why);
      this.#known.add(id);
    } catch {
      // It has just gone, or the connection has: it may be chosen, and its engine says what is wrong.
    }
  }
}

/** The page's one. */
export const headers = new Headers(connection);
