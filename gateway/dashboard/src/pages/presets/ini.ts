/**
 * A preset's text as lines, read as workers/controller/presets/ini.py reads it, and changed line by
 * line: whatever an edit is not about stays as it stands. Pure.
 *
 * `[section]` and `key = value` begin at the start of a line; a comment begins at `;` or `#`
 * wherever it stands. There are no quotes, no escapes, no values over several lines. Of a section,
 * and of a key, that comes twice the last one counts. Both readers are held against
 * tests/support/preset_grammar.json.
 */

import {
  blocksOf,
  isFlag,
  lastSaid,
  lineOf,
  sectionsOf,
  within,
  type Block,
  type Line,
  type Sections,
} from "./lines";

const NOTE = /^[ \t]*[;#][ \t]*(name|description)[ \t]*:(.*)$/is;

export type NoteField = "name" | "description";

export class Document {
  readonly sections: Sections;

  constructor(readonly lines: readonly Line[]) {
    this.sections = sectionsOf(lines);
  }

  static parse(text: string): Document {
    const found = [...text.matchAll(/[^\r\n]*(?:\r\n|\n|\r)|[^\r\n]+/g)].map(([whole]) => {
      const body = whole.replace(/[\r\n]+$/, "");
      return lineOf(body, whole.slice(body.length));
    });
    const [first, ...rest] = found;
    if (first !== undefined && first.text.startsWith("\ufeff")) {
      const problem = "there is a byte order mark; save the file as UTF-8 without one";
      return new Document([{ text: first.text, end: first.end, problem }, ...rest]);
    }
    return new Document(found);
  }

  toString(): string {
    return this.lines.map(({ text, end }) => text + end).join("");
  }

  /** The first line that cannot be read, from 0; null where all can. */
  get brokenAt(): number | null {
    const at = this.lines.findIndex(({ problem }) => problem !== undefined);
    return at < 0 ? null : at;
  }

  /** The line of a key, or of a section's header; null where there is none. */
  lineOf(section: string, key = ""): number | null {
    const block = this.#block(section);
    if (block === null) return null;
    if (key === "") return block.start;
    return this.sections.get(section)?.find((entry) => entry.key === key)?.line ?? null;
  }

  /** What a leading comment `; field: …` says; empty where there is none. */
  note(field: NoteField): string {
    const at = this.#notePlace(field);
    return at === null ? "" : (NOTE.exec(this.lines[at]?.text ?? "")?.[2] ?? "").trim();
  }

  /** With such a comment; without it where `text` is empty. */
  withNote(field: NoteField, text: string): Document {
    const at = this.#notePlace(field);
    const fresh =
      text.trim() === "" ? [] : [{ text: `; ${field}: ${text.trim()}`, end: this.#end }];
    if (at !== null) return this.#spliced(at, 1, fresh);
    // A description goes behind the name.
    const above = field === "name" ? null : this.#notePlace("name");
    return this.#spliced(above === null ? 0 : above + 1, 0, fresh);
  }

  /** With a key's value: where the key stands, else behind the section's last one. */
  withValue(section: string, key: string, value: string): Document {
    const at = this.lineOf(section, key);
    const line = at === null ? undefined : this.lines[at];
    if (at !== null && line?.from !== undefined) {
      const text = line.text.slice(0, line.from) + value + line.text.slice(line.to);
      return this.#spliced(at, 1, [lineOf(text, line.end)]);
    }
    const entry = lineOf(`${key} = ${value}`.trimEnd(), this.#end);
    const block = this.#block(section);
    if (block === null) {
      const last = this.lines.at(-1)?.text.trim() ?? "";
      const gap = last === "" ? [] : [lineOf("", this.#end)];
      return this.#spliced(this.lines.length, 0, [
        ...gap,
        lineOf(`[${section}]`, this.#end),
        entry,
      ]);
    }
    return this.#spliced(lastSaid(this.lines, block) + 1, 0, [entry]);
  }

  /** Without a key, however often it stands there. */
  withoutKey(section: string, key: string): Document {
    const block = this.#block(section);
    if (block === null) return this;
    return new Document(
      this.lines.filter((line, at) => !(within(block, at) && line.key === key)),
    );
  }

  /** With another key in the place of one; its value, spacing and comment stay. */
  withKey(section: string, key: string, to: string): Document {
    const block = this.#block(section);
    if (block === null) return this;
    return new Document(
      this.lines.map((line, at) =>
        within(block, at) && line.key === key
          ? lineOf(to + line.text.slice(key.length), line.end)
          : line,
      ),
    );
  }

  /** With an empty section at the end, where there is none of that name. */
  withSection(section: string): Document {
    if (this.#block(section) !== null) return this;
    const last = this.lines.at(-1)?.text.trim() ?? "";
    const gap = last === "" ? [] : [lineOf("", this.#end)];
    return this.#spliced(this.lines.length, 0, [...gap, lineOf(`[${section}]`, this.#end)]);
  }

  /** With another name on every header of a section. */
  withSectionNamed(section: string, to: string): Document {
    return new Document(
      this.lines.map((line) =>
        line.header === section
          ? lineOf(`[${to}]${line.text.slice(line.text.indexOf("]") + 1)}`, line.end)
          : line,
      ),
    );
  }

  /** Without a section; comments behind its last entry stay: they may be the next one's. */
  withoutSection(section: string): Document {
    const blocks = blocksOf(this.lines).filter(({ name }) => name === section);
    return new Document(
      this.lines.filter((line, at) => {
        const block = blocks.find((one) => within(one, at));
        if (block === undefined) return true;
        // Above the first header stand the file's own comments and its version.
        if (this.lines[block.start]?.header === undefined) return !isFlag(line);
        return at > lastSaid(this.lines, block);
      }),
    );
  }

  get #end(): string {
    return this.lines.find(({ end }) => end !== "")?.end ?? "\n";
  }

  /** The lines that decide what a section says: its last occurrence. */
  #block(section: string): Block | null {
    return (
      blocksOf(this.lines).findLast(
        ({ name, start, stop }) =>
          name === section &&
          this.lines.slice(start, stop).some((line) => line.header !== undefined || isFlag(line)),
      ) ?? null
    );
  }

  #notePlace(field: NoteField): number | null {
    for (const [at, line] of this.lines.entries()) {
      if (line.header !== undefined || line.key !== undefined) return null;
      if (NOTE.exec(line.text)?.[1]?.toLowerCase() === field) return at;
    }
    return null;
  }

  /** What was the last line may have had no end. */
  #spliced(at: number, gone: number, fresh: readonly Line[]): Document {
    const lines = [...this.lines.slice(0, at), ...fresh, ...this.lines.slice(at + gone)];
    return new Document(
      lines.map((line, place) =>
        line.end === "" && (place < lines.length - 1 || gone === 0)
          ? { ...line, end: this.#end }
          : line,
      ),
    );
  }
}

/**
 * `edited` with the line ends of `before` wherever lines are the same: editors know only one end.
 */
export function withEndsOf(before: string, edited: string): string {
  const old = Document.parse(before).lines;
  const ordinary = old.find(({ end }) => end !== "")?.end ?? "\n";
  const bodies = edited.split("\n");
  let head = 0;
  while (head < bodies.length - 1 && head < old.length && old[head]?.text === bodies[head]) head++;
  let tail = 0;
  const given = bodies.at(-1) === "" ? bodies.slice(0, -1) : bodies;
  while (
    tail < given.length - head &&
    tail < old.length - head &&
    old[old.length - 1 - tail]?.text === given[given.length - 1 - tail]
  ) {
    tail++;
  }
  return bodies
    .map((body, at) => {
      if (at === bodies.length - 1) return body;
      const same = at < head ? at : at >= given.length - tail ? old.length - given.length + at : -1;
      return body + (old[same]?.end || ordinary);
    })
    .join("");
}
