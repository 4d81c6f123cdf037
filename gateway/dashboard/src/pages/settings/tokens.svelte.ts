/** Access tokens. Nothing tells of those that others make, so they are asked for while someone looks. */

import { Polling } from "../../lib/api/collection";
import type { Api } from "../../lib/api/connection.svelte";
import type { CreatedToken, Role, TokenEntry } from "../../lib/api/contract";
import { isDisconnection, messageOf } from "../../lib/api/errors";

const EVERY_MS = 3_000;

/** What each role may do, each with all that those before it may. */
export const ROLE_TEXTS: Readonly<Record<Role, string>> = {
  inference: "Programs that ask the OpenAI-compatible proxy, and nothing else: it cannot open this page.",
  viewer: "Looks: at models, requests, logs, figures and the configuration, without its secrets.",
  operator: "Also works: loads and unloads models, edits presets and most settings.",
  admin: "Also decides: programs, directories and addresses, restarts, and who has a token.",
};

export class Tokens {
  readonly status = $state({ loading: true, error: null as string | null });
  /** Oldest first. */
  list = $state.raw<readonly TokenEntry[]>([]);
  readonly polling: Polling;
  readonly #api: Api;

  constructor(api: Api) {
    this.#api = api;
    this.polling = new Polling(() => this.#ask(), EVERY_MS);
  }

  /** Keep up with the gateway until what is returned is called. */
  show(): () => void {
    const stopListening = this.#api.onConnected(() => this.polling.now());
    const release = this.polling.hold();
    return () => {
      stopListening();
      release();
    };
  }

  async create(name: string, role: Role): Promise<CreatedToken> {
    const made = await this.#api.request("tokens:create", { name, role });
    const { id, createdAt } = made;
    if (!this.list.some((one) => one.id === id)) this.list = [...this.list, { id, name, role, createdAt }];
    return made;
  }

  async revoke(id: string): Promise<void> {
    await this.#api.request("tokens:revoke", { id });
    this.list = this.list.filter((one) => one.id !== id);
  }

  async #ask(): Promise<void> {
    try {
      this.list = (await this.#api.request("tokens:list", {})).tokens;
      this.status.error = null;
    } catch (error) {
      if (isDisconnection(error)) return;
      this.status.error = messageOf(error);
    }
    this.status.loading = false;
  }
}

const MAX_NAME = 64;

/** Why a new token cannot be called that, by the rule that docs/api.md tells; empty where it can. */
export function nameProblem(name: string, known: readonly TokenEntry[]): string {
  if (name === "") return "A name is needed.";
  if (name.length > MAX_NAME) return `${MAX_NAME} characters at most.`;
  if (!/^[A-Za-z0-9]/.test(name)) return "It begins with a letter or a digit.";
  if (!/^[A-Za-z0-9 ._@-]*$/.test(name)) return "Letters, digits, spaces and . _ @ - only.";
  if (known.some((token) => token.name === name)) return "There is a token of this name already.";
  return "";
}
