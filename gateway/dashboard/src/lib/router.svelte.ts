/** Where the reader is. */

import { parseRoute, routeTo, type PageName, type Route } from "./route";

/** Whether the page may be left for this address. Who says no may go there itself, later. */
export type MayLeave = (there: string) => boolean;

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));
  #mayLeave: MayLeave | null = null;

  constructor() {
    addEventListener("hashchange", () => {
      const there = parseRoute(location.hash);
      if (there.page !== this.route.page && this.#mayLeave?.(location.hash) === false) {
        const { page, rest, query } = this.route;
        history.replaceState(null, "", routeTo(page, rest, query));
        return;
      }
      this.route = there;
    });
  }

  /** Ask before another page is shown, until what is returned is called. */
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
