import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { Document, withEndsOf } from "./ini";
import { isKey, sectionProblem, valueProblem } from "./lines";

interface Grammar {
  readonly read: readonly [string, Record<string, Record<string, string>>][];
  readonly refused: readonly [string, number][];
}

const GRAMMAR = JSON.parse(
  readFileSync(new URL("../../../../../tests/support/preset_grammar.json", import.meta.url), "utf-8"),
) as Grammar;

const FILE = `; name: Mine
# description: what I use
version = 1
threads = 3 ; above every section

[*]
ctx-size=2048  ; small
 # an indented note
LLAMA_ARG_TEMP = 0.7
; about qwen
[qwen*]
c = 1
c = 2
[gone/today]`;

function said(document: Document): Record<string, Record<string, string>> {
  return Object.fromEntries(
    [...document.sections].map(([name, entries]) => [
      name,
      Object.fromEntries(entries.map(({ key, value }) => [key, value])),
    ]),
  );
}

test.each(GRAMMAR.read)("%j says what the controller's reader says", (text, sections) => {
  const document = Document.parse(text);
  expect(document.brokenAt).toBeNull();
  expect(said(document)).toEqual(sections);
  expect(String(document)).toBe(text);
});

test.each(GRAMMAR.refused)("%j is refused where the controller's reader refuses it", (text, line) => {
  const document = Document.parse(text);
  expect(document.brokenAt).toBe(line - 1);
  expect(String(document)).toBe(text);
});

test("a long line of blanks takes no time", { timeout: 1_000 }, () => {
  const blanks = " \t".repeat(60_000);
  const text = `[a]\nk =${blanks}x${blanks}y${blanks}; z\n${blanks}\n[${blanks}b${blanks}c]\nword${blanks}x\n`;
  const document = Document.parse(text);
  expect(document.sections.get("a")?.[0]?.value).toHaveLength(blanks.length + 2);
  expect(document.brokenAt).toBe(4);
});

test("a value changes where it stands; a new one goes behind the last", () => {
  const document = Document.parse(FILE)
    .withValue("*", "ctx-size", "4096")
    .withValue("*", "top-k", "4")
    .withValue("qwen*", "c", "3")
    .withValue("gone/today", "seed", "1")
    .withValue("default", "threads", "4")
    .withValue("new", "empty", "");
  expect(String(document)).toBe(`; name: Mine
# description: what I use
version = 1
threads = 4 ; above every section

[*]
ctx-size=4096  ; small
 # an indented note
LLAMA_ARG_TEMP = 0.7
top-k = 4
; about qwen
[qwen*]
c = 1
c = 3
[gone/today]
seed = 1

[new]
empty =
`);
});

test("a key goes wherever it stands, and takes another name", () => {
  const document = Document.parse(FILE).withoutKey("qwen*", "c").withKey("*", "ctx-size", "c");
  expect(said(document)["qwen*"]).toEqual({});
  expect(String(document)).toContain("\nc=2048  ; small\n");
  expect(document.withoutKey("nowhere", "c")).toBe(document);
});

test("sections come and go, and comments stay", () => {
  const document = Document.parse(FILE);
  expect(document.withSection("*")).toBe(document);
  expect(String(document.withSection("atlas"))).toBe(`${FILE}\n\n[atlas]\n`);
  expect(String(document.withSectionNamed("qwen*", "oak"))).toBe(FILE.replace("[qwen*]", "[oak]"));
  const without = document.withoutSection("*").withoutSection("default");
  expect(String(without)).toBe(`; name: Mine
# description: what I use
version = 1

; about qwen
[qwen*]
c = 1
c = 2
[gone/today]`);
});

test("notes are leading comments", () => {
  const document = Document.parse(FILE);
  expect([document.note("name"), document.note("description")]).toEqual(["Mine", "what I use"]);
  expect(Document.parse("[a]\n; name: no\n").note("name")).toBe("");
  const named = Document.parse("[a]\n").withNote("name", "N").withNote("description", "D");
  expect(String(named)).toBe("; name: N\n; description: D\n[a]\n");
  expect(String(named.withNote("name", "M").withNote("description", ""))).toBe("; name: M\n[a]\n");
});

test("what stands where", () => {
  const document = Document.parse(FILE);
  expect(document.lineOf("*")).toBe(5);
  expect(document.lineOf("qwen*", "c")).toBe(12);
  expect(document.lineOf("*", "c")).toBeNull();
  expect(document.lineOf("nowhere")).toBeNull();
});

test("what would be read back otherwise is not writable", () => {
  for (const value of ["1\nrpc = x", "1\r[b]", "1\u0000", "#1", "1;", " 1", "1\t"]) {
    expect(valueProblem(value), value).not.toBeNull();
  }
  for (const value of ["", "a b", "'q'", "a=b", "[x]"]) expect(valueProblem(value)).toBeNull();
  for (const name of ["", " ", " a", "a]", "a\n"]) expect(sectionProblem(name)).not.toBeNull();
  expect(sectionProblem("team/qwen *")).toBeNull();
  expect([isKey("ctx-size"), isKey("version"), isKey("--c"), isKey("")]).toEqual([true, false, false, false]);
});

test("an editor that knows one line end changes no other", () => {
  const before = "[a]\r\nk = 1\nl = 2\rm = 3";
  const edited = "[a]\nk = 1\nl = 22\nm = 3";
  expect(withEndsOf(before, edited)).toBe("[a]\r\nk = 1\nl = 22\r\nm = 3");
  expect(withEndsOf(before, "[a]\nk = 1\nl = 2\nm = 3")).toBe(before);
  expect(withEndsOf(before, "[a]\nm = 3")).toBe("[a]\r\nm = 3");
  expect(withEndsOf("", "x\ny")).toBe("x\ny");
  expect(withEndsOf("x\r\n", "")).toBe("");
  expect(withEndsOf("x\r\n", "x\nx\n")).toBe("x\r\nx\r\n");
});

// Many texts of all kinds of lines, the same ones each time.
function* texts(count: number): Generator<{ text: string; pick: (from: readonly string[]) => string }> {
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const pick = (from: readonly string[]): string => from[random(from.length)] ?? "";
  const lines = ["", " \t", "; note", "  # note = 1", "version = 1", "; name: N", "[a]", "[*]", "[ b c ] ; why", "[default]"];
  for (let round = 0; round < count; round++) {
    let text = "";
    for (let line = random(12); line >= 0; line--) {
      const entry = `${pick(["k", "l", "c-x"])}${pick(["=", " = ", "\t=  "])}${pick(["", "1", "x y", "0.5"])}${pick(["", "", " ; why"])}`;
      text += (random(2) === 0 ? pick(lines) : entry) + (line === 0 ? pick(["", "\n"]) : pick(["\n", "\r\n", "\r"]));
    }
    yield { text, pick };
  }
}

function comments(document: Document): string[] {
  return document.lines
    .filter(({ key, header, text }) => key === undefined && header === undefined && text !== "")
    .map(({ text }) => text);
}

function without<Value>(record: Readonly<Record<string, Value>>, key: string): Record<string, Value> {
  return Object.fromEntries(Object.entries(record).filter(([name]) => name !== key));
}

test("an edit changes what it is about, and nothing else", () => {
  for (const { text, pick } of texts(400)) {
    const before = Document.parse(text);
    const [section, key, value] = [pick(["a", "*", "b c", "default", "new"]), pick(["k", "new-key"]), pick(["", "7", "a b"])];
    const set = Document.parse(String(before.withValue(section, key, value)));
    const expected = said(before);
    expect(said(set), text).toEqual({ ...expected, [section]: { ...expected[section], [key]: value } });
    expect(comments(set), text).toEqual(comments(before));

    const unset = Document.parse(String(set.withoutKey(section, key)));
    expect(comments(unset), text).toEqual(comments(before));
    const left = said(unset);
    expect(left[section] ?? {}, text).toEqual(without(expected[section] ?? {}, key));
    expect({ ...left, [section]: 0 }, text).toEqual({ ...expected, [section]: 0 });

    const removed = Document.parse(String(before.withoutSection(section)));
    expect(said(removed), text).toEqual(without(expected, section));
  }
});
