/**
 * The lines of a preset's file: which kinds there are, what each says, and which sections they make.
 * Pure; `ini.ts` changes them.
 */

/** The section of the keys above the first header. */
export const DEFAULT_SECTION = "default";
/** The file's own; it is no flag. */
const VERSION_KEY = "version";

const KEY = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const HEADER = /^\[([^\]]+)\][ \t]*(?:[;#].*)?$/s;
const ENTRY = /^([A-Za-z_][A-Za-z0-9_.-]*)([ \t]*=[ \t]*)(.*)$/s;
const COMMENT = /^[ \t]*(?:[;#].*)?$/s;

/** `from` and `to` are the columns between which an entry's value stands. */
export interface Line {
  readonly text: string;
  /** How it ends: empty on a last line at most. */
  readonly end: string;
  readonly header?: string;
  readonly key?: string;
  readonly value?: string;
  readonly from?: number;
  readonly to?: number;
  /** Why llama.cpp would not read the file, if this line is why. */
  readonly problem?: string;
}

export interface Entry {
  readonly key: string;
  readonly value: string;
  /** From 0. */
  readonly line: number;
}

/** Section → its entries in the file's order, each key once. */
export type Sections = ReadonlyMap<string, readonly Entry[]>;

export interface Block {
  readonly name: string;
  readonly start: number;
  readonly stop: number;
}

export function lineOf(text: string, end: string): Line {
  if (hasControls(text)) return { text, end, problem: "there is a control character" };
  if (COMMENT.test(text)) return { text, end };
  if (text.startsWith("[")) {
    const header = withoutBlanks((HEADER.exec(text)?.[1] ?? "").replace(/^[ \t]+/, ""));
    return header === ""
      ? { text, end, problem: "a section is written as [its name]" }
      : { text, end, header };
  }
  const [, key, equals, rest] = ENTRY.exec(text) ?? [];
  if (key === undefined || equals === undefined || rest === undefined) {
    const problem =
      "it is no [section], no key = value and no comment; keys begin at the line's start and" +
      " with a letter";
    return { text, end, problem };
  }
  const comment = rest.search(/[;#]/);
  const value = withoutBlanks(comment < 0 ? rest : rest.slice(0, comment));
  const from = key.length + equals.length;
  return { text, end, key, value, from, to: from + value.length };
}

export function sectionsOf(lines: readonly Line[]): Sections {
  const found = new Map<string, readonly Entry[]>();
  for (const { name, start, stop } of blocksOf(lines)) {
    const entries = new Map<string, Entry>();
    for (let line = start; line < stop; line++) {
      const { key, value = "" } = lines[line] ?? {};
      if (key !== undefined && key !== VERSION_KEY) entries.set(key, { key, value, line });
    }
    // Nothing but notes above the first section.
    if (lines[start]?.header === undefined && entries.size === 0) continue;
    found.set(name, [...entries.values()]);
  }
  return found;
}

/** Each section's lines, those above the first header too. */
export function blocksOf(lines: readonly Line[]): readonly Block[] {
  const starts = lines.flatMap((line, at) => (line.header === undefined ? [] : [at]));
  const first = starts[0] ?? lines.length;
  const above = first > 0 ? [{ name: DEFAULT_SECTION, start: 0, stop: first }] : [];
  return [
    ...above,
    ...starts.map((start, place) => ({
      name: lines[start]?.header ?? "",
      start,
      stop: starts[place + 1] ?? lines.length,
    })),
  ];
}

/** The last line of a block that is its header or an entry; the one above it where none is. */
export function lastSaid(lines: readonly Line[], { start, stop }: Block): number {
  for (let at = stop - 1; at >= start; at--) {
    const line = lines[at];
    if (line?.header !== undefined || line?.key !== undefined) return at;
  }
  return start - 1;
}

export function isFlag({ key }: Line): boolean {
  return key !== undefined && key !== VERSION_KEY;
}

export function within({ start, stop }: Block, at: number): boolean {
  return at >= start && at < stop;
}

/** Without blanks at its end; a regular expression would try each of very many anew. */
function withoutBlanks(text: string): string {
  let stop = text.length;
  while (stop > 0 && (text[stop - 1] === " " || text[stop - 1] === "\t")) stop--;
  return text.slice(0, stop);
}

function hasControls(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code < 32 && code !== 9 && code !== 10 && code !== 13) || code === 127) return true;
  }
  return false;
}

/** Why this cannot be written so that it is read back as it was given; null where it can. */
export function valueProblem(value: string): string | null {
  if (hasControls(value) || /[\r\n]/.test(value)) return "A value is one line without control characters.";
  if (/[;#]/.test(value)) return "A value holds no ; and no #: a comment would begin there.";
  if (/^[ \t]|[ \t]$/.test(value)) return "Blanks at either end of a value would be lost.";
  return null;
}

export function sectionProblem(name: string): string | null {
  if (name.trim() === "") return "A section has a name: a model's id, or a pattern such as qwen*.";
  if (name !== name.trim()) return "Blanks at either end of a name would be lost.";
  if (/[\]\r\n]/.test(name) || hasControls(name)) return "A section's name is one line without ].";
  return null;
}

/** What a preset may call a flag. */
export function isKey(text: string): boolean {
  return KEY.test(text) && text !== VERSION_KEY;
}
