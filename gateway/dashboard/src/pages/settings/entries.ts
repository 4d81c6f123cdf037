/** The entries of a list or table of tables, alike. Pure. */

import { isTable, type Table } from "./values";

export interface Entry {
  /** Its index in the list, or its key in the table. */
  readonly key: string;
  /** As the gateway calls it: `runners[0]`, `models.atlas`. */
  readonly path: string;
  readonly title: string;
  readonly table: Table;
}

export function entriesOf(path: string, value: unknown): readonly Entry[] {
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => {
      const table = isTable(item) ? item : {};
      const name = table["name"];
      return { key: String(index), path: `${path}[${index}]`, title: typeof name === "string" ? name : "", table };
    });
  }
  if (!isTable(value)) return [];
  return Object.entries(value).map(([key, item]) => ({
    key,
    path: `${path}.${key}`,
    title: key,
    table: isTable(item) ? item : {},
  }));
}

export function withEntry(value: unknown, key: string, table: Table): unknown {
  if (Array.isArray(value)) return value.with(Number(key), table);
  return { ...(isTable(value) ? value : {}), [key]: table };
}

export function withoutEntry(value: unknown, key: string): unknown {
  if (Array.isArray(value)) return value.toSpliced(Number(key), 1);
  return Object.fromEntries(Object.entries(isTable(value) ? value : {}).filter(([one]) => one !== key));
}
