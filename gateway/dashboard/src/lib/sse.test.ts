import { describe, expect, it } from "vitest";

import { SseParser, type SseItem } from "./sse";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const event = (data: string, type = "message"): SseItem => ({ kind: "event", type, data });
const comment = (text: string): SseItem => ({ kind: "comment", text });

function parsed(parts: readonly Uint8Array[]): SseItem[] {
  const parser = new SseParser();
  return parts.flatMap((part) => parser.feed(part));
}

const STREAM =
  "\ufeff: the model is loading, 40%, position 2\n\n" +
  'data: {"content":"Grüße, 世界 👋"}\n\n' +
  "event: error\ndata: one\ndata:two\ndata\n\n" +
  ":\nid: 7\nretry: 10\nunknown\n\n" +
  "data:  [DONE]\n\n";

const ITEMS = [
  comment("the model is loading, 40%, position 2"),
  event('{"content":"Grüße, 世界 👋"}'),
  event("one\ntwo\n", "error"),
  comment(""),
  event(" [DONE]"),
];

describe("server-sent events", () => {
  it.each([
    ["LF", "\n"],
    ["CR LF", "\r\n"],
    ["CR", "\r"],
  ])("are the same with %s, wherever the bytes are split", (_, end) => {
    const all = bytes(STREAM.replaceAll("\n", end));
    for (let at = 0; at <= all.length; at++) {
      expect(parsed([all.slice(0, at), all.slice(at)])).toEqual(ITEMS);
    }
    expect(parsed([...all].map((byte) => Uint8Array.of(byte)))).toEqual(ITEMS);
  });

  it("may end their lines each in its own way", () => {
    expect(parsed([bytes("data: a\r\n\ndata: b\n\r\ndata: c\r\rdata: d\n\n")])).toEqual(
      ["a", "b", "c", "d"].map((data) => event(data)),
    );
  });

  it("are none without their blank line, or without data", () => {
    expect(parsed([bytes("event: error\n\ndata: unfinished\n")])).toEqual([]);
  });

  it("do not fill the memory", () => {
    const parser = new SseParser();
    const much = bytes("x".repeat(1_000_000));
    expect(() => {
      for (let part = 0; part < 10; part++) parser.feed(much);
    }).toThrow("too long");
    const lines = new SseParser();
    expect(() => {
      for (let part = 0; part < 10; part++) lines.feed(bytes(`data: ${"x".repeat(1_000_000)}\n`));
    }).toThrow("too long");
  });
});
