/** The configuration's schema in the shape of a form: sections of fields, nothing known beforehand. Pure. */

import { COMMAND_ROLES, type ConfigProblem, type ConfigSchema, type Role, type Setting } from "../../lib/api/contract";
import { includes } from "../../lib/stores/session.svelte";
import { isTable, type Table } from "./values";

/** A key; `each` are the keys of every entry of a list or table of tables, as `runners` is one. */
export interface Field {
  readonly setting: Setting;
  readonly each: readonly EachField[];
}

export interface EachField {
  /** `ttlSeconds` of `models.*.ttlSeconds`. */
  readonly name: string;
  readonly setting: Setting;
}

export interface FormSection {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly Field[];
}

/** Between a list or table of tables and the keys of its entries. */
const EACH = /^(.+?)(?:\[\]|\.\*)\.(.+)$/;

export function sectionsOf(schema: ConfigSchema): readonly FormSection[] {
  return schema.sections.map(({ name, description }) => {
    const here = schema.settings.filter(({ section }) => section === name);
    const fields = here
      .filter(({ path }) => !EACH.test(path))
      .map((setting) => ({ setting, each: eachOf(setting, here) }));
    // As in the sources' own texts; here it is all one text.
    return { name, description: description.replaceAll("`", ""), fields };
  });
}

function eachOf(container: Setting, settings: readonly Setting[]): readonly EachField[] {
  return settings.flatMap((setting) => {
    const [, outer, name] = EACH.exec(setting.path) ?? [];
    return outer === container.path && name !== undefined ? [{ name, setting }] : [];
  });
}

/** What a path calls within its section: `maxModels`. */
export function nameOf(path: string): string {
  return path.slice(path.indexOf(".") + 1);
}

export function valueAt(configuration: object, path: string): unknown {
  const [section = "", name] = split(path);
  const table = (configuration as Table)[section];
  if (name === undefined) return table;
  return isTable(table) ? table[name] : undefined;
}

/** Values by path in the shape of the file again. */
export function asTables(values: Iterable<readonly [string, unknown]>): Record<string, unknown> {
  const tables: Record<string, Record<string, unknown>> = {};
  for (const [path, value] of values) {
    const [section = "", name] = split(path);
    if (name === undefined) tables[section] = value as Record<string, unknown>;
    else (tables[section] ??= {})[name] = value;
  }
  return tables;
}

function split(path: string): [string, string?] {
  const at = path.indexOf(".");
  return at < 0 ? [path] : [path.slice(0, at), path.slice(at + 1)];
}

/** Those fields that have every word of `search` in their path, description or variable. */
export function matching(field: Field, search: string): boolean {
  const text = [field.setting, ...field.each.map(({ setting }) => setting)]
    .map(({ path, description, variable }) => `${path} ${description} ${variable}`)
    .join(" ")
    .toLowerCase();
  return search.toLowerCase().split(/\s+/).every((word) => text.includes(word));
}

/** Problems of a path or of what is within it. */
export function problemsAt(problems: readonly ConfigProblem[], path: string): readonly ConfigProblem[] {
  return problems.filter((problem) => isWithin(problem.path, path));
}

export function isWithin(inner: string, outer: string): boolean {
  return inner === outer || inner.startsWith(`${outer}.`) || inner.startsWith(`${outer}[`);
}

/** Why a setting cannot be changed here; null where it can. */
export function lockOf(setting: Setting, role: Role | null): string | null {
  if (setting.fixed) return "No request can change it: edit the file.";
  if (setting.overridden) return `Set by the environment variable ${setting.variable}, which wins over the file.`;
  const needed = includes(setting.role, COMMAND_ROLES["config:update"]) ? setting.role : COMMAND_ROLES["config:update"];
  if (role === null || !includes(role, needed)) return `Needs the role ${needed}.`;
  return null;
}

/** `gateway and proxy`; `llama-proxy itself` where that has to be started anew. */
export function restartsOf(setting: Setting): string {
  return setting.restart.map((kind) => (kind === "up" ? "llama-proxy itself" : kind)).join(" and ");
}
