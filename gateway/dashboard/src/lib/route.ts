/** Addresses inside the page: `#/logs?level=warn`. Pure. */

export const PAGES = [
  "overview",
  "models",
  "playground",
  "requests",
  "presets",
  "logs",
  "settings",
] as const;

export type PageName = (typeof PAGES)[number];

export interface Route {
  readonly page: PageName;
  /** What follows the page's name: `#/presets/my-preset` has `["my-preset"]`. */
  readonly rest: readonly string[];
  readonly query: Readonly<Record<string, string>>;
}

/** Anything that names no page is the overview. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = split(hash.replace(/^#\/?/, ""), "?");
  const [name = "", ...rest] = path.split("/").map(decoded);
  const page = PAGES.find((known) => known === name) ?? "overview";
  return {
    page,
    rest: rest.filter((part) => part !== ""),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

export function routeTo(
  page: PageName,
  rest: readonly string[] = [],
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const path = [page, ...rest].map(encodeURIComponent).join("/");
  const given = Object.entries(query).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== "",
  );
  const search = new URLSearchParams(given).toString();
  return `#/${path}${search === "" ? "" : `?${search}`}`;
}

function split(text: string, separator: string): string[] {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
