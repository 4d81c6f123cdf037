import { expect, test } from "vitest";

import type { ConfigFinding, Parameter } from "../../lib/api/contract";
import { lineOf, remark, suggestion } from "./findings";
import { firstValue, Flags, meant, takes, written } from "./flags";
import { Document } from "./ini";

function flag(name: string, more: Partial<Parameter> = {}): Parameter {
  return {
    name, type: "string", default: "", description: "", category: "Model", choices: [], range: null,
    env: null, aliases: [], negations: [], reserved: false, reason: null, ...more,
  };
}

const CTX = flag("ctx-size", { type: "int", default: "0", aliases: ["c"], env: "LLAMA_ARG_CTX_SIZE", range: { min: 0, max: null }, description: "context in tokens" });
const JINJA = flag("jinja", { type: "bool", default: "true", env: "LLAMA_ARG_JINJA", negations: ["no-jinja"] });
const PORT = flag("port", { reserved: true, reason: "it is ours" });
const FLASH = flag("flash-attn", { type: "enum", choices: ["on", "off", "auto"], aliases: ["fa"], description: "attention for long context" });
const FLAGS = new Flags({ Model: [CTX, JINJA], Server: [PORT, FLASH] });

test("a flag is found by any of its spellings", () => {
  for (const key of ["ctx-size", "ctx_size", "--ctx-size", "c", "LLAMA_ARG_CTX_SIZE"]) {
    expect(FLAGS.find(key), key).toBe(CTX);
  }
  expect(FLAGS.find("LLAMA_ARG_NO_JINJA")).toBe(JINJA);
  expect(FLAGS.find("C")).toBeNull();
  expect(FLAGS.find("llama_arg_ctx_size")).toBeNull();
});

test("words are looked for everywhere, and names come first", () => {
  const names = (search: string) => FLAGS.search(search).map(({ name }) => name);
  expect(names("context")).toEqual(["ctx-size", "flash-attn"]);
  expect(names("fa")).toEqual(["flash-attn"]);
  expect(names("LLAMA_ARG_CTX")).toEqual(["ctx-size"]);
  expect(names("--ctx-size")).toEqual(["ctx-size"]);
  expect(names("attn long")).toEqual(["flash-attn"]);
  expect(names("")).toHaveLength(4);
  expect(names("nothing")).toEqual([]);
});

test("the opposite is read and written as such", () => {
  expect(meant(JINJA, "no-jinja", "on")).toBe("false");
  expect(meant(JINJA, "jinja", "enabled")).toBe("true");
  expect(meant(JINJA, "jinja", "perhaps")).toBe("perhaps");
  expect(meant(CTX, "c", "1")).toBe("1");
  expect(written(JINJA, "LLAMA_ARG_NO_JINJA", "true")).toBe("false");
  expect(written(JINJA, "jinja", "true")).toBe("true");
});

test("what a flag begins with, and what it takes", () => {
  expect([CTX, JINJA, FLASH, PORT].map(firstValue)).toEqual(["0", "false", "on", ""]);
  expect(takes(CTX)).toBe("a whole number of at least 0");
  expect(takes(FLASH)).toBe("on, off, auto");
});

function finding(section: string, key: string, message: string): ConfigFinding {
  return { section, key, message, severity: "error" };
}

test("a remark knows its line", () => {
  const document = Document.parse("[*]\nc = 1\n[a]\n");
  expect(lineOf(finding("*", "c", "[*] c: no"), document)).toBe(1);
  expect(lineOf(finding("a", "", "[a]: no"), document)).toBe(2);
  expect(lineOf(finding("a", "gone", "[a] gone: no"), document)).toBe(2);
  expect(lineOf(finding("", "", "line 3: no"), document)).toBe(2);
  expect(lineOf(finding("", "", "no"), document)).toBe(0);
  expect(remark(finding("*", "c", "[*] c: no good"))).toBe("No good");
});

test("a remark's own proposal is taken where it is one word that is there", () => {
  const of = (key: string, message: string) => suggestion(finding("*", key, message), FLAGS, new Set(["atlas"]));
  expect(of("ctx-sise", "[*] ctx-sise: the engine has no such flag; did you mean ctx-size?")).toEqual({ of: "key", to: "ctx-size" });
  expect(of("draft", "[*] draft: the flag has been removed from llama.cpp; use fa")).toEqual({ of: "key", to: "fa" });
  expect(of("mlock", "[*] mlock: the flag has been removed from llama.cpp; use load-mode (auto, none)")).toBeNull();
  expect(of("pord", "[*] pord: the engine has no such flag; did you mean port?")).toBeNull();
  expect(of("", "[atlos]: there is no model or group of this name; did you mean atlas?; * is for all models")).toEqual({ of: "section", to: "atlas" });
  expect(of("c", "[*] c: 'x' is not a whole number")).toBeNull();
});
