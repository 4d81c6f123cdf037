/** The engine's flags, found by any of their spellings or by words. Pure. */

import type { LlamaParams, Parameter } from "../../lib/api/contract";

const TRUE_WORDS: ReadonlySet<string> = new Set(["on", "enabled", "true", "1"]);
const FALSE_WORDS: ReadonlySet<string> = new Set(["off", "disabled", "false", "0"]);
const ENV_PREFIX = "LLAMA_ARG_";

/** Keys that llama.cpp's own router heeds; engines have no such flags. */
export const ROUTER_KEYS: Readonly<Record<string, string>> = {
  "load-on-startup": "Whether llama.cpp's own router loads the model when it starts. Nothing here heeds it.",
  "stop-timeout": "How many seconds llama.cpp's own router gives the engine to stop. Nothing here heeds it.",
  "dedup-cache-models": "Whether llama.cpp's own router lists cached models once. Nothing here heeds it.",
};

export class Flags {
  readonly all: readonly Parameter[];
  readonly categories: readonly (readonly [string, readonly Parameter[]])[];
  readonly #bySpelling = new Map<string, Parameter>();
  readonly #texts: readonly { parameter: Parameter; names: string; text: string }[];

  constructor(given: LlamaParams["parameters"]) {
    this.categories = Object.entries(given);
    this.all = this.categories.flatMap(([, parameters]) => parameters);
    // A name wins over another flag's alias, and the first flag over later ones.
    for (const one of this.all) this.#know(one, [one.name]);
    for (const one of this.all) this.#know(one, spellings(one));
    this.#texts = this.all.map((parameter) => {
      const names = spellings(parameter).join(" ").toLowerCase();
      const text = `${names} ${parameter.description} ${parameter.category}`.toLowerCase();
      return { parameter, names, text };
    });
  }

  /** Long or short, with or without dashes, `LLAMA_ARG_…`, the opposite. */
  find(key: string): Parameter | null {
    return this.#bySpelling.get(bare(key)) ?? null;
  }

  /** Those that have every word of `search`; the ones that are called so come first. */
  search(search: string): readonly Parameter[] {
    const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
    const wanted = words.join("-").replace(/^-+/, "").replaceAll("_", "-");
    const rank = ({ parameter, names }: { parameter: Parameter; names: string }): number => {
      const name = parameter.name.toLowerCase();
      if (name === wanted || parameter.aliases.some((alias) => alias.toLowerCase() === wanted)) return 0;
      if (name.startsWith(wanted)) return 1;
      return words.every((word) => names.includes(word)) ? 2 : 3;
    };
    return this.#texts
      .filter(({ text }) => words.every((word) => text.includes(word.replace(/^-+/, ""))))
      .map((found) => ({ parameter: found.parameter, rank: rank(found) }))
      .sort((left, right) => left.rank - right.rank)
      .map(({ parameter }) => parameter);
  }

  #know(parameter: Parameter, names: readonly string[]): void {
    for (const name of names) if (!this.#bySpelling.has(name)) this.#bySpelling.set(name, parameter);
  }
}

/** All that a preset may call a flag; the name first. */
export function spellings(parameter: Parameter): readonly string[] {
  const env = parameter.env === null ? [] : [parameter.env];
  return [parameter.name, ...parameter.aliases, ...env, ...negatives(parameter)];
}

/** As tables hold it: no leading dashes, and dashes for underscores except in variables' names. */
export function bare(key: string): string {
  const stripped = key.trim().replace(/^-+/, "");
  const upper = stripped === stripped.toUpperCase() && stripped !== stripped.toLowerCase();
  return upper ? stripped : stripped.replaceAll("_", "-");
}

/** Whether a key says the opposite of its flag: `no-jinja`. */
export function isNegative(parameter: Parameter, key: string): boolean {
  return negatives(parameter).includes(bare(key));
}

/** What an entry says of its flag: `no-jinja = on` is `false`. A word that is no switch stays. */
export function meant(parameter: Parameter, key: string, value: string): string {
  if (parameter.type !== "bool") return value;
  const on = TRUE_WORDS.has(value);
  if (!on && !FALSE_WORDS.has(value)) return value;
  return on !== isNegative(parameter, key) ? "true" : "false";
}

/** What to write behind a key so that it says `value` of its flag. */
export function written(parameter: Parameter, key: string, value: string): string {
  if (parameter.type !== "bool" || !isNegative(parameter, key)) return value;
  return value === "true" ? "false" : value === "false" ? "true" : value;
}

/** What a flag is set to before anybody has chosen: what holds without it, where that is known. */
export function firstValue(parameter: Parameter): string {
  if (parameter.type === "bool") return parameter.default === "true" ? "false" : "true";
  if (parameter.default !== "" && !/[;#]/.test(parameter.default)) return parameter.default;
  if (parameter.type === "enum") return parameter.choices[0] ?? "";
  if (parameter.type === "int" || parameter.type === "float") {
    return String(Math.max(0, parameter.range?.min ?? 0));
  }
  return "";
}

/** What a flag takes, in words; empty where it takes anything. */
export function takes(parameter: Parameter): string {
  const words = parameter.choices.length === 0 ? "" : parameter.choices.join(", ");
  if (parameter.type === "enum") return words;
  if (parameter.type === "int" || parameter.type === "float") {
    const kind = parameter.type === "int" ? "a whole number" : "a number";
    const { min = null, max = null } = parameter.range ?? {};
    const bounds =
      min !== null && max !== null
        ? ` from ${min} to ${max}`
        : min !== null
          ? ` of at least ${min}`
          : max !== null
            ? ` of at most ${max}`
            : "";
    return `${kind}${bounds}${words === "" ? "" : `, or ${words}`}`;
  }
  if (parameter.type === "path") return "a path below the models directory or home";
  return words === "" ? "" : `of ${words}, divided by commas`;
}

function negatives(parameter: Parameter): readonly string[] {
  if (parameter.negations.length === 0) return [];
  const env = parameter.env === null ? [] : [`${ENV_PREFIX}NO_${withoutPrefix(parameter.env)}`];
  return [...parameter.negations, ...env];
}

function withoutPrefix(env: string): string {
  return env.startsWith(ENV_PREFIX) ? env.slice(ENV_PREFIX.length) : env;
}
