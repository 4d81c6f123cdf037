import { describe, expect, it } from "vitest";

import { Growing, parse, safeAddress, type Block } from "./markdown";

/** Every text and every address of a tree. */
function found(tree: unknown, key: "text" | "href"): string[] {
  if (Array.isArray(tree)) return tree.flatMap((one) => found(one, key));
  if (typeof tree !== "object" || tree === null) return [];
  return Object.entries(tree).flatMap(([name, value]) =>
    name === key && typeof value === "string" ? [value] : found(value, key),
  );
}

const textOf = (source: string): string => found(parse(source), "text").join("");
const linksOf = (source: string): string[] => found(parse(source), "href");

describe("markdown", () => {
  it("becomes a tree", () => {
    const source = "# A *b*\n\n1. one\n2. two\n\n> q\n\n```js x\nlet a;\n```\n\n|a|b|\n|:-|-:|\n|1|`2`|\n\n---\n\n- [x] done";
    expect(parse(source).map(({ kind }) => kind)).toEqual([
      "heading",
      "list",
      "quote",
      "code",
      "table",
      "rule",
      "list",
    ]);
    expect(parse("```js x\nlet a;\n```")).toEqual([{ kind: "code", language: "js", text: "let a;" }]);
    expect(parse("- [x] done")).toMatchObject([{ items: [{ done: true }] }]);
    expect(parse("3. c")).toMatchObject([{ start: 3 }]);
    expect(textOf("a &lt;b&gt; &amp;amp; &#x1F44B; \\* &unknown;")).toBe("a <b> &amp; 👋 * &unknown;");
  });

  it.each([
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "a <b onclick='x'>b</b>",
    "<div>\n<p>hi\n</div>",
    "<!-- hidden -->",
    "<style>* { display: none }</style>",
  ])("shows tags as text: %s", (source) => {
    expect(textOf(source)).toBe(source);
    expect(linksOf(source)).toEqual([]);
  });

  it.each([
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](javascript&#58;alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x]( javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "[x](#/settings)",
    "[x](/assets/a.js)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "[x]\n\n[x]: javascript:alert(1)",
  ])("leads nowhere by %s", (source) => {
    expect(linksOf(source)).toEqual([]);
    expect(textOf(source)).toMatch(/x|alert/);
  });

  it("leads to the web and to mail, by images too", () => {
    expect(linksOf("[x](https://a.b/c?d=1&amp;e) <http://a.b> mailto:a@b.c a@b.c")).toEqual([
      "https://a.b/c?d=1&e",
      "http://a.b/",
      "mailto:a@b.c",
      "mailto:a@b.c",
    ]);
    expect(parse("![a cat](https://a.b/cat.png)")).toMatchObject([
      { children: [{ kind: "link", href: "https://a.b/cat.png", children: [{ text: "a cat" }] }] },
    ]);
    expect(linksOf("www.a.b")).toEqual(["http://www.a.b/"]);
    expect(safeAddress("https://")).toBeNull();
    expect(safeAddress('https://a.b/"><script>')).not.toContain("<");
  });

  it.each([
    ["quotes", ">".repeat(20_000)],
    ["list items on one line", `${"- ".repeat(20_000)}x`],
    ["numbers", "1. ".repeat(20_000)],
    ["lists", Array.from({ length: 500 }, (_, depth) => `${" ".repeat(2 * depth)}- a`).join("\n")],
    ["brackets", "[".repeat(20_000)],
    ["emphasis", "**a _b ".repeat(5_000)],
    ["links", "[a](".repeat(20_000)],
    ["tags", "<div>".repeat(20_000)],
    ["fences", "```\n".repeat(5_000)],
  ])("ends, however deep: %s", (_, source) => {
    expect(found(parse(source), "text").length).toBeGreaterThan(0);
  });
});

describe("a text that grows", () => {
  const SOURCES = [
    "# Title\n\nOne *two* three.\nFour\n\n- a\n- b\n\n  more\n\n1. x\n\n2. y\n\n```py\nif a:\n\n    b\n```\n\nEnd.",
    "a\n===\n\n|a|b|\n|-|-|\n|1|2|\n\n> q\n> r\n\nlast\n",
    "1. a\n\n2. b\n\n10. c\n\n\ttabbed\n\n***\n\n<div>\n\nx\n</div>\r\n\r\nafter\r\n",
  ];

  it("is read as the whole is", () => {
    for (const source of SOURCES) {
      const growing = new Growing();
      let blocks: readonly Block[] = [];
      for (let end = 1; end <= source.length; end++) blocks = growing.read(source.slice(0, end));
      expect(blocks).toEqual(parse(source));
    }
  });

  it("keeps what is certain", () => {
    const growing = new Growing();
    const first = growing.read("# A\n\none\n\ntwo\n\nthree");
    const second = growing.read("# A\n\none\n\ntwo\n\nthree and four");
    expect(second[0]).toBe(first[0]);
    expect(second[1]).toBe(first[1]);
    expect(second[3]).not.toBe(first[3]);
  });

  it("may become another one", () => {
    const growing = new Growing();
    growing.read("# A\n\none\n\ntwo\n\nthree");
    expect(growing.read("other")).toEqual(parse("other"));
    expect(growing.read("")).toEqual([]);
  });
});
