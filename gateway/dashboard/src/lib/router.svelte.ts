/** Where the reader is. */

import { parseRoute, routeTo, type PageName, type Route } from "./route";

/** Whether the reader may go there. Who says no may go there itself, later. */
export type MayLeave = (to: Route) => boolean;

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));
  #mayLeave: MayLeave | null = null;

  constructor() {
    addEventListener("hashchange", () => {
      const to = parseRoute(location.hash);
      if (this.#mayLeave?.(to) === false) {
        const { page, rest, query } = this.route;
        history.replaceState(null, "", routeTo(page, rest, query));
        return;
      }
      this.route = to;
    });
  }

  /** Ask before the reader goes elsewhere, until what is returned is called. */
  guard(mayLeave: MayLeave): () => void {
    this.#mayLeave = mayLeave;
    return () => {
      if (this.#mayLeave === mayLeave) this.#mayLeave = null;
    };
  }

  go(
    page: PageName,
    rest: readonly string[] = [],
    query: Readonly<Record<string, string | undefined>> = {},
  ): void {
    location.hash = routeTo(page, rest, query);
  }

  /** Another address of the same page, without a step for the back button: filters, for example. */
  replace(
    page: PageName,
    rest: readonly string[] = [],
    query: Readonly<Record<string, string | undefined>> = {},
  ): void {
    history.replaceState(null, "", routeTo(page, rest, query));
    this.route = parseRoute(location.hash);
  }
}

export const router = new Router();
