/** What the reader may set for an answer: fields as texts in, what is sent out. Pure. */

export type ParameterKey =
  | "temperature"
  | "top_p"
  | "top_k"
  | "min_p"
  | "max_tokens"
  | "seed"
  | "repeat_penalty"
  | "stop";

/** What is typed; an empty text leaves it to the engine. */
export type ParameterTexts = Record<ParameterKey, string>;

export type ParameterValues = Partial<
  Record<Exclude<ParameterKey, "stop">, number> & { stop: readonly string[] }
>;

export interface NumberField {
  readonly key: Exclude<ParameterKey, "stop">;
  readonly label: string;
  readonly hint: string;
  readonly min: number;
  readonly max: number;
  readonly whole?: boolean;
}

export const FIELDS: readonly NumberField[] = [
  { key: "temperature", label: "Temperature", hint: "0 takes the likeliest, more is freer", min: 0, max: 10 },
  { key: "max_tokens", label: "Max tokens", hint: "The answer ends there", min: 1, max: 10_000_000, whole: true },
  { key: "top_p", label: "Top p", hint: "Of the likeliest, this share", min: 0, max: 1 },
  { key: "top_k", label: "Top k", hint: "Of the likeliest, so many; 0 is all", min: 0, max: 1_000_000, whole: true },
  { key: "min_p", label: "Min p", hint: "Nothing less likely than this share of the best", min: 0, max: 1 },
  { key: "repeat_penalty", label: "Repeat penalty", hint: "1 is none", min: 0, max: 10 },
  { key: "seed", label: "Seed", hint: "The same one gives the same answer", min: 0, max: 4_294_967_295, whole: true },
];

export function unset(): ParameterTexts {
  return {
    temperature: "",
    top_p: "",
    top_k: "",
    min_p: "",
    max_tokens: "",
    seed: "",
    repeat_penalty: "",
    stop: "",
  };
}

/** What is wrong with a field's text; null: nothing. */
export function problemOf(field: NumberField, text: string): string | null {
  const typed = text.trim();
  if (typed === "") return null;
  // Number() would also take 0x10 and Infinity.
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(typed)) {
    return typed.includes(",") ? "A number, with a point for decimals" : "A number";
  }
  const value = Number(typed);
  if (field.whole && !Number.isInteger(value)) return "A whole number";
  if (value < field.min || value > field.max) {
    return `From ${field.min} to ${field.max}`;
  }
  return null;
}

/** How many fields hold what cannot be sent. */
export function problems(texts: ParameterTexts): number {
  return FIELDS.filter((field) => problemOf(field, texts[field.key]) !== null).length;
}

/** What is sent: nothing for a field that is empty or wrong. */
export function valuesOf(texts: ParameterTexts): ParameterValues {
  const values: ParameterValues = {};
  for (const field of FIELDS) {
    const typed = texts[field.key].trim();
    if (typed !== "" && problemOf(field, typed) === null) values[field.key] = Number(typed);
  }
  const stop = stopsOf(texts.stop);
  if (stop.length > 0) values.stop = stop;
  return values;
}

/** One sequence a line; `\n` and `\t` in it stand for what a field cannot hold. */
export function stopsOf(text: string): string[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) =>
      line.replace(/\\([nt\\])/g, (_, kind: string) =>
        kind === "n" ? "\n" : kind === "t" ? "\t" : "\\",
      ),
    );
}
