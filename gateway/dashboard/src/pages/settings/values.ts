/** Values of the configuration: alike or not, what leads from one to the other, and in words. Pure. */

/** What the gateway shows in place of a secret; sent back, it leaves the secret as it is. */
export const HIDDEN = "(hidden)";

export type Table = Readonly<Record<string, unknown>>;

/** A value that differs, at the deepest key where one can say so; undefined where there is none. */
export interface Change {
  readonly path: string;
  readonly before: unknown;
  readonly after: unknown;
}

export function isTable(value: unknown): value is Table {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => equal(item, b[index]));
  }
  if (!isTable(a) || !isTable(b)) return false;
  return keysOf(a, b).every((key) => equal(a[key], b[key]));
}

/** Whether `seen` is what `wanted` looks like once it is saved: its secrets are hidden then. */
export function seenAs(wanted: unknown, seen: unknown): boolean {
  if (seen === HIDDEN) return typeof wanted === "string";
  if (Array.isArray(wanted) && Array.isArray(seen)) {
    return wanted.length === seen.length && wanted.every((item, at) => seenAs(item, seen[at]));
  }
  if (isTable(wanted) && isTable(seen)) {
    return keysOf(wanted, seen).every((key) => seenAs(wanted[key], seen[key]));
  }
  return equal(wanted, seen);
}

/** The JSON Merge Patch (RFC 7396) that makes `after` of `before`. */
export function patchOf(before: unknown, after: unknown): unknown {
  if (after === undefined) return null;
  if (!isTable(before) || !isTable(after)) return after;
  const patch: Record<string, unknown> = {};
  for (const key of keysOf(before, after)) {
    if (!equal(before[key], after[key])) patch[key] = patchOf(before[key], after[key]);
  }
  return patch;
}

/**
 * `mine` and `theirs`, both made of `base`, as one. `clash`: both have changed the same to
 * something else; mine is what stands there.
 */
export function rebased(
  base: unknown,
  theirs: unknown,
  mine: unknown,
): { value: unknown; clash: boolean } {
  if (equal(theirs, base) || equal(mine, theirs)) return { value: mine, clash: false };
  if (equal(mine, base)) return { value: theirs, clash: false };
  if (!isTable(theirs) || !isTable(mine)) return { value: mine, clash: true };
  const from = isTable(base) ? base : {};
  const value: Record<string, unknown> = {};
  let clash = false;
  for (const key of keysOf(theirs, mine)) {
    const inner = rebased(from[key], theirs[key], mine[key]);
    if (inner.value !== undefined) value[key] = inner.value;
    clash ||= inner.clash;
  }
  return { value, clash };
}

/** What differs, key by key; entries of a list by their names, where all have one. */
export function changesOf(path: string, before: unknown, after: unknown): readonly Change[] {
  if (equal(before, after)) return [];
  const [old, fresh] = [named(before), named(after)];
  if (!isTable(old) || !isTable(fresh)) return [{ path, before, after }];
  return keysOf(old, fresh).flatMap((key) => changesOf(`${path}.${key}`, old[key], fresh[key]));
}

/** Each path once, from what it was at first to what it is now. */
export function inOne(known: readonly Change[], more: readonly Change[]): readonly Change[] {
  const byPath = new Map(known.map((change) => [change.path, change]));
  for (const change of more) {
    const first = byPath.get(change.path) ?? change;
    byPath.set(change.path, { ...change, before: first.before });
  }
  return [...byPath.values()].filter(({ before, after }) => !equal(before, after));
}

/** A value in words: `none` of a list, `empty` of a text. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return "not set";
  if (value === "") return "empty";
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.length === 0 ? "none" : value.map(inner).join(", ");
  if (!isTable(value)) return JSON.stringify(value);
  const pairs = Object.entries(value).map(([key, item]) => `${key} = ${inner(item)}`);
  return pairs.length === 0 ? "none" : pairs.join(", ");
}

/** Text of a field for numbers as a number; as it is where it is none, so that the gateway says so. */
export function numberOf(text: string): number | string {
  const trimmed = text.trim();
  const value = Number(trimmed);
  return trimmed === "" || !Number.isFinite(value) ? text : value;
}

/** Text of a field that takes anything: JSON where it is JSON, else the text itself. */
export function anyOf(text: string): unknown {
  try {
    // TOML knows no null, and in a patch it would remove the key.
    return (JSON.parse(text) as unknown) ?? text;
  } catch {
    return text;
  }
}

/** The text from which `anyOf` makes this value. */
export function textOfAny(value: unknown): string {
  return typeof value === "string" && anyOf(value) === value ? value : JSON.stringify(value);
}

function inner(value: unknown): string {
  return isTable(value) || Array.isArray(value) || value === "" ? JSON.stringify(value) : shown(value);
}

function named(value: unknown): unknown {
  if (!Array.isArray(value) || !value.every(isTable)) return value;
  const names = value.map(({ name }) => name);
  if (!names.every((name) => typeof name === "string") || new Set(names).size < names.length) return value;
  return Object.fromEntries(value.map((item) => [item["name"], item]));
}

function keysOf(a: Table, b: Table): string[] {
  return [...new Set([...Object.keys(a), ...Object.keys(b)])];
}
