import { describe, expect, it } from "vitest";

import { bodyOf } from "./body";
import { unset } from "./parameters";
import { ChatError, stepsOf, streamChat, waitingOf, type Step } from "./stream";

const BODY = bodyOf("m", "", [{ role: "user", content: "hi" }], unset());

interface Call {
  url: string;
  init: RequestInit;
}

/** A proxy that answers with these parts of a body, and then ends it, or breaks off. */
function proxy(parts: readonly string[], { status = 200, breaks = false } = {}) {
  const calls: Call[] = [];
  const fetcher = (url: unknown, init: RequestInit): Promise<Response> => {
    calls.push({ url: String(url), init });
    const left = [...parts];
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        const part = left.shift();
        if (part !== undefined) controller.enqueue(new TextEncoder().encode(part));
        else if (breaks) controller.error(new TypeError("network error"));
        else controller.close();
      },
    });
    return Promise.resolve(new Response(body, { status }));
  };
  return { calls, fetcher: fetcher as typeof fetch };
}

async function told(fetcher: typeof fetch, token = ""): Promise<{ steps: Step[]; error: unknown }> {
  const steps: Step[] = [];
  const asked = { origin: "http://h:1", token, body: BODY, signal: new AbortController().signal };
  try {
    for await (const step of streamChat(asked, fetcher)) steps.push(step);
  } catch (error) {
    return { steps, error };
  }
  return { steps, error: null };
}

const delta = (content: string) => `data: {"choices":[{"delta":{"content":"${content}"}}]}\n\n`;

describe("a stream", () => {
  it("tells the wait, the text, why it ended and what it took", async () => {
    const { fetcher, calls } = proxy([
      ": the model is loading, 40%, position 2\n\n: something else\n\n",
      'data: {"choices":[{"delta":{"role":"assistant","content":null}}]}\n\n',
      'data: {"choices":[{"delta":{"reasoning_content":"hm"}}]}\n\n',
      delta("Hel"),
      delta("lo"),
      'data: {"choices":[{"delta":{},"finish_reason":"length"}],"timings":{"predicted_per_second":50.5}}\n\n',
      'data: {"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":3}}}\n\n',
      "data: [DONE]\n\n",
    ]);
    const { steps, error } = await told(fetcher, "lap_x");
    expect(error).toBeNull();
    expect(steps).toEqual([
      { kind: "waiting", waiting: { status: "loading", progress: 0.4, position: 2 } },
      { kind: "text", content: "", reasoning: "hm" },
      { kind: "text", content: "Hel", reasoning: "" },
      { kind: "text", content: "lo", reasoning: "" },
      { kind: "finish", reason: "length" },
      { kind: "figures", figures: { tokensPerSecond: 50.5 } },
      { kind: "figures", figures: { promptTokens: 5, completionTokens: 2, cachedTokens: 3 } },
    ]);
    expect(calls[0]?.url).toBe("http://h:1/v1/chat/completions");
    expect(calls[0]?.init.headers).toMatchObject({ Authorization: "Bearer lap_x" });
    expect(JSON.parse(String(calls[0]?.init.body))).toEqual(BODY);
  });

  it("shows no token where there is none", async () => {
    const { fetcher, calls } = proxy(["data: [DONE]\n\n"]);
    await told(fetcher);
    expect(calls[0]?.init.headers).not.toHaveProperty("Authorization");
  });

  it.each([
    ["an error event", [delta("a"), 'data: {"error":{"message":"The engine died","code":"engine_failed"}}\n\n'], "engine_failed", "The engine died"],
    ["a named error event", [delta("a"), 'event: error\ndata: {"message":"Gone"}\n\n'], "engine", "Gone"],
    ["an end without [DONE]", [delta("a"), "data: {"], "cut", "before it was complete"],
    ["something that is no JSON", [delta("a"), "data: <html>\n\n"], "malformed", "not JSON"],
  ])("ends with %s, and what came is told before", async (_, parts, code, message) => {
    const { steps, error } = await told(proxy(parts).fetcher);
    expect(steps).toEqual([{ kind: "text", content: "a", reasoning: "" }]);
    expect(error).toBeInstanceOf(ChatError);
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string });
  });

  it("that breaks off says so", async () => {
    const { error } = await told(proxy([delta("a")], { breaks: true }).fetcher);
    expect(error).toMatchObject({ code: "cut" });
  });

  it.each([
    [503, '{"error":{"message":"The model is too large","code":"model_load_failed"}}', "too large"],
    [401, '{"error":{"message":"…","code":"invalid_api_key"}}', "access token"],
    [502, "<html>bad gateway", "502"],
  ])("that is refused with %s says why", async (status, body, message) => {
    const { error } = await told(proxy([body], { status }).fetcher);
    expect(error).toMatchObject({ message: expect.stringContaining(message) as string });
  });

  it("says where nobody answers", async () => {
    const nobody = () => Promise.reject(new TypeError("Failed to fetch"));
    const { error } = await told(nobody as typeof fetch);
    expect(error).toMatchObject({ code: "unreachable", message: expect.stringContaining("http://h:1") as string });
  });
});

it("a comment of the proxy tells how long there is to wait", () => {
  expect(waitingOf("the model is unloaded, position 1")).toEqual({
    status: "unloaded",
    progress: null,
    position: 1,
  });
  expect(waitingOf("ping")).toBeNull();
});

it("an event of any other shape says nothing", () => {
  for (const data of ["null", "1", "[]", '{"choices":7}', '{"choices":[null]}', '{"usage":{"prompt_tokens":"x"}}']) {
    expect(stepsOf({ kind: "event", type: "message", data })).toEqual([]);
  }
});
