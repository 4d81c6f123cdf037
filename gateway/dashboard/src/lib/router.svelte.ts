/** Where the reader is. */

import { parseRoute, routeTo, type PageName, type Route } from "./route";

class Router {
  route = $state.raw<Route>(parseRoute(location.hash));

  /** Asked before the reader goes elsewhere; false keeps them here. A page with unsaved work sets it. */
  guard: ((to: Route) => boolean) | null = null;

  constructor() {
    addEventListener("hashchange", () => {
      const to = parseRoute(location.hash);
      if (this.guard?.(to) === false) {
        const { page, rest, query } = this.route;
        history.replaceState(null, "", routeTo(page, rest, query));
        return;
      }
      this.route = to;
    });
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
