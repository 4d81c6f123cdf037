/** The configuration, as far as the page needs it to find its way. */

import { collect, type Collection } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type { Configuration } from "../api/contract";

export class Config {
  readonly status = $state({ loading: true, error: null as string | null });
  current = $state.raw<Configuration | null>(null);
  readonly collection: Collection;

  constructor(api: Api) {
    this.collection = collect<Configuration>(api, {
      status: this.status,
      fetch: () => api.request("config:get", {}),
      reset: (configuration) => {
        this.current = configuration;
      },
      events: {},
    });
  }

  get modelsDirectory(): string {
    return String(this.current?.llama["modelsDir"] ?? "models");
  }

  /** Where the OpenAI-compatible proxy answers a page that was opened under `page`. */
  proxyOrigin(page: { protocol: string; hostname: string }): string | null {
    if (this.current === null) return null;
    const { host, port } = this.current.llama;
    return proxyOrigin(page, String(host), Number(port));
  }
}

/** The Content-Security-Policy of gateway/pages.py admits the same. */
export function proxyOrigin(
  page: { protocol: string; hostname: string },
  host: string,
  port: number,
): string {
  const everywhere = ["0.0.0.0", "::"].includes(host);
  const here = host === "localhost" || host === "::1" || host.startsWith("127.");
  const name = everywhere || here ? page.hostname : host.includes(":") ? `[${host}]` : host;
  return `${page.protocol}//${name}:${port}`;
}
