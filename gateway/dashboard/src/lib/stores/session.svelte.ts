/** Who we are for the gateway, and what we may do. */

import { collect, type Collection } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import { COMMAND_ROLES, ROLES, type CommandName, type Role } from "../api/contract";

export class Session {
  readonly status = $state({ loading: true, error: null as string | null });
  name = $state("");
  /** null until the gateway has said it: then nothing is offered that may be refused. */
  role = $state<Role | null>(null);
  needsToken = $state(false);
  readonly collection: Collection;

  constructor(api: Api) {
    this.collection = collect(api, {
      status: this.status,
      fetch: () => api.request("tokens:identity", {}),
      reset: (identity) => {
        this.name = identity.name;
        this.role = identity.role;
        this.needsToken = identity.needsToken;
      },
      events: {},
    });
  }

  may(command: CommandName): boolean {
    return this.role !== null && includes(this.role, COMMAND_ROLES[command]);
  }
}

export function includes(role: Role, needed: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
