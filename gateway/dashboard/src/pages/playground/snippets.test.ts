import { execFileSync } from "node:child_process";

import { describe, expect, it } from "vitest";

import { alternating, bodyOf } from "./body";
import { unset } from "./parameters";
import { curlOf, pythonLiteral, pythonOf, shellQuoted } from "./snippets";

const NASTY = "it's \"quoted\" $HOME `id` \\n \\ ! #\n\ttwo lines\r\u0000\u2028 – Grüße 👋 'end";

const body = (parameters = unset()) =>
  bodyOf("team/it's", "Be brief.", [{ role: "user", content: NASTY }], parameters);

/** What a shell makes of a command: its arguments. */
function argumentsOf(command: string): string[] {
  const script = `curl() { printf '%s\\0' "$@"; }\n${command}`;
  const env = { ...process.env, LLAMA_PROXY_TOKEN: "lap_secret" };
  return execFileSync("sh", ["-c", script], { env }).toString().split("\0").slice(0, -1);
}

describe("curl", () => {
  it("sends the very body", () => {
    const given = argumentsOf(curlOf("http://localhost:8080", body(), true));
    expect(JSON.parse(given.at(-1) ?? "")).toEqual(body());
    expect(given).toContain("http://localhost:8080/v1/chat/completions");
    expect(given).toContain("Authorization: Bearer lap_secret");
  });

  it("names the variable of the token where one is needed, and only there", () => {
    expect(curlOf("http://h:1", body(), true)).toContain("$LLAMA_PROXY_TOKEN");
    expect(curlOf("http://h:1", body(), false)).not.toContain("Authorization");
  });

  it("quotes what shells take to heart", () => {
    expect(shellQuoted("http://[::1]:8080/v1")).toBe("'http://[::1]:8080/v1'");
    expect(shellQuoted("it's")).toBe("'it'\\''s'");
    expect(shellQuoted("")).toBe("''");
  });
});

describe("Python", () => {
  it("has the SDK's own parameters and llama.cpp's apart", () => {
    const text = pythonOf("http://h:1", body({ ...unset(), temperature: "0.7", top_k: "40" }), false);
    expect(text).toContain('    base_url="http://h:1/v1",\n');
    expect(text).toContain("    temperature=0.7,\n");
    expect(text).toContain('    extra_body={"top_k": 40},\n');
    expect(text).toContain("    stream=True,\n");
    expect(text).toContain('os.environ.get("LLAMA_PROXY_TOKEN", "none")');
    expect(pythonOf("http://h:1", body(), true)).toContain('os.environ["LLAMA_PROXY_TOKEN"]');
  });

  it("writes what it is given on lines of its own", () => {
    const literal = pythonLiteral([{ content: 'a "b"\n\\', ok: true, none: null }], 1);
    expect(literal).toBe('[\n        {"content": "a \\"b\\"\\n\\\\", "ok": True, "none": None},\n    ]');
  });
});

describe("the body", () => {
  it("has no system prompt where there is none, and nothing that is unset", () => {
    expect(bodyOf("m", "  ", [{ role: "user", content: "hi" }], unset())).toEqual({
      model: "m",
      messages: [{ role: "user", content: "hi" }],
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it("joins what a failed answer has left side by side", () => {
    expect(
      alternating([
        { role: "user", content: "one" },
        { role: "assistant", content: "" },
        { role: "user", content: "two" },
        { role: "assistant", content: "yes" },
      ]),
    ).toEqual([
      { role: "user", content: "one\n\ntwo" },
      { role: "assistant", content: "yes" },
    ]);
  });
});
