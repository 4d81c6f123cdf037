/**
 * Markdown to a tree of our own, which components show: no HTML comes out of it. Pure.
 *
 * Models write it, and whoever wrote their training data. So tags are text, images are links, links
 * lead to the web or to a mail address or are text, and nesting has an end.
 */

import { Lexer, type MarkedToken, type Token, type TokensList } from "marked";

export type Inline =
  | { readonly kind: "text" | "code"; readonly text: string }
  | { readonly kind: "strong" | "emphasis" | "deleted"; readonly children: readonly Inline[] }
  | { readonly kind: "link"; readonly href: string; readonly children: readonly Inline[] }
  | { readonly kind: "break" };

export interface ListItem {
  /** null: not a task. */
  readonly done: boolean | null;
  readonly children: readonly Block[];
}

export type Block =
  | { readonly kind: "paragraph" | "plain"; readonly children: readonly Inline[] }
  | { readonly kind: "heading"; readonly level: number; readonly children: readonly Inline[] }
  | { readonly kind: "code"; readonly language: string; readonly text: string }
  | { readonly kind: "quote"; readonly children: readonly Block[] }
  | { readonly kind: "list"; readonly start: number | null; readonly items: readonly ListItem[] }
  | {
      readonly kind: "table";
      readonly align: readonly ("left" | "right" | "center" | null)[];
      readonly head: readonly (readonly Inline[])[];
      readonly rows: readonly (readonly (readonly Inline[])[])[];
    }
  | { readonly kind: "rule" };

const MAX_DEPTH = 12;

/** marked's, which goes as deep as its input does: a line of `>>>>…` would end in its stack. */
class BoundedLexer extends Lexer {
  #depth = 0;

  override blockTokens(src: string, tokens?: Token[], lastParagraphClipped?: boolean): Token[];
  override blockTokens(src: string, tokens?: TokensList, lastParagraphClipped?: boolean): TokensList;
  override blockTokens(src: string, tokens: Token[] = [], clipped = false): Token[] {
    return this.#within(src, tokens, () => super.blockTokens(src, tokens, clipped));
  }

  override inlineTokens(src: string, tokens: Token[] = []): Token[] {
    return this.#within(src, tokens, () => super.inlineTokens(src, tokens));
  }

  #within(src: string, tokens: Token[], go: () => Token[]): Token[] {
    if (this.#depth >= MAX_DEPTH) {
      tokens.push({ type: "text", raw: src, text: src });
      return tokens;
    }
    this.#depth++;
    try {
      return go();
    } finally {
      this.#depth--;
    }
  }
}

interface Lexed {
  readonly raw: string;
  /** null: nothing to show, as between paragraphs. */
  readonly block: Block | null;
}

function lexed(text: string): Lexed[] {
  return new BoundedLexer({ gfm: true })
    .lex(text)
    .map((token) => ({ raw: token.raw, block: blockOf(token) }));
}

export function parse(text: string): Block[] {
  return lexed(text).flatMap(({ block }) => (block === null ? [] : [block]));
}

/**
 * A text that grows: only its last blocks are read again, and those before stay the same objects, so
 * that nothing is drawn anew. Two, since what begins like a paragraph may turn out to go on with the
 * list before it.
 */
export class Growing {
  #settled: Block[] = [];
  #settledText = "";
  #tail: Block[] = [];
  #text = "";

  /** The blocks of `text`, which need not go on where the last one ended. */
  read(text: string): readonly Block[] {
    // What a stream writes never has a lone return in the end; marked counts without them.
    const all = text.replace(/\r\n?/g, "\n");
    if (!all.startsWith(this.#settledText)) this.#forget();
    if (all !== this.#text) {
      const parts = lexed(all.slice(this.#settledText.length));
      let last = parts.length - 1;
      for (let seen = 0; last > 0; last--) if (parts[last]?.block !== null && ++seen === 2) break;
      const certain = parts.slice(0, Math.max(0, last));
      const settledText = this.#settledText + certain.map(({ raw }) => raw).join("");
      // Of what marked does not give back as it was, nothing is certain.
      if (certain.length > 0 && all.startsWith(settledText)) {
        this.#settledText = settledText;
        this.#settled = [...this.#settled, ...blocksIn(certain)];
        this.#tail = blocksIn(parts.slice(certain.length));
      } else this.#tail = blocksIn(parts);
      this.#text = all;
    }
    return [...this.#settled, ...this.#tail];
  }

  #forget(): void {
    this.#settled = this.#tail = [];
    this.#settledText = this.#text = "";
  }
}

function blocksIn(parts: readonly Lexed[]): Block[] {
  return parts.flatMap(({ block }) => (block === null ? [] : [block]));
}

function blockOf(given: Token): Block | null {
  const token = given as MarkedToken;
  switch (token.type) {
    case "space":
    case "def":
      return null;
    case "heading":
      return { kind: "heading", level: token.depth, children: inlines(token.tokens) };
    case "code":
      return { kind: "code", language: token.lang?.trim().split(/\s/)[0] ?? "", text: token.text };
    case "blockquote":
      return { kind: "quote", children: blocks(token.tokens) };
    case "hr":
      return { kind: "rule" };
    case "list":
      return {
        kind: "list",
        start: token.ordered ? Number(token.start) : null,
        items: token.items.map((item) => ({
          done: item.task ? item.checked === true : null,
          children: blocks(item.tokens),
        })),
      };
    case "table":
      return {
        kind: "table",
        align: token.align,
        head: token.header.map((cell) => inlines(cell.tokens)),
        rows: token.rows.map((row) => row.map((cell) => inlines(cell.tokens))),
      };
    case "paragraph":
      return { kind: "paragraph", children: inlines(token.tokens) };
    case "text":
      return { kind: "plain", children: inlines(token.tokens ?? [token]) };
    case "html":
      return { kind: "paragraph", children: [{ kind: "text", text: token.raw.replace(/\n+$/, "") }] };
    case "checkbox":
      return null;
    default:
      return { kind: "plain", children: inlines([token]) };
  }
}

function blocks(tokens: readonly Token[]): Block[] {
  return tokens.map(blockOf).filter((block) => block !== null);
}

function inlines(tokens: readonly Token[] | undefined): Inline[] {
  return (tokens ?? []).map(inlineOf).filter((inline) => inline !== null);
}

function inlineOf(given: Token): Inline | null {
  const token = given as MarkedToken;
  switch (token.type) {
    case "strong":
      return { kind: "strong", children: inlines(token.tokens) };
    case "em":
      return { kind: "emphasis", children: inlines(token.tokens) };
    case "del":
      return { kind: "deleted", children: inlines(token.tokens) };
    case "codespan":
      return { kind: "code", text: token.text };
    case "br":
      return { kind: "break" };
    case "checkbox":
      return null;
    case "escape":
      return { kind: "text", text: token.text };
    case "text":
      return { kind: "text", text: decoded(token.text) };
    case "link": {
      const href = safeAddress(token.href);
      if (href === null) return { kind: "text", text: token.raw };
      return { kind: "link", href, children: inlines(token.tokens) };
    }
    case "image": {
      const href = safeAddress(token.href);
      const text = decoded(token.text);
      if (href === null) return { kind: "text", text: token.raw };
      return { kind: "link", href, children: [{ kind: "text", text: text === "" ? href : text }] };
    }
    default:
      return { kind: "text", text: token.raw };
  }
}

/** An address that a link may lead to; null for all others, those inside the page among them. */
export function safeAddress(href: string): string | null {
  const address = decoded(href).trim();
  if (!/^(https?:\/\/|mailto:)/i.test(address) || !URL.canParse(address)) return null;
  return new URL(address).href;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  nbsp: "\u00a0",
  hellip: "…",
  mdash: "—",
  ndash: "–",
};

/** Markdown knows HTML's entities; what comes out is text and stays text. */
function decoded(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#[xX]([\da-fA-F]{1,6})|([a-z]{2,6}));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return ENTITIES[String(name)] ?? whole;
    const code = decimal === undefined ? Number.parseInt(String(hex), 16) : Number(decimal);
    return code > 0 && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff) ? String.fromCodePoint(code) : whole;
  });
}
