/** A chat completion as it comes from the proxy: one request in, what it tells step by step out. */

import { SseParser, type SseItem } from "../../lib/sse";
import type { ChatBody } from "./body";

/** How things stand while the model is not ready; each is null where the proxy does not say. */
export interface Waiting {
  readonly status: string | null;
  /** 0 to 1. */
  readonly progress: number | null;
  readonly position: number | null;
}

/** What the engine counted and measured; null what it did not tell. */
export interface EngineFigures {
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly completionTokens: number | null;
  readonly tokensPerSecond: number | null;
}

export type Step =
  | { readonly kind: "waiting"; readonly waiting: Waiting }
  | { readonly kind: "text"; readonly content: string; readonly reasoning: string }
  | { readonly kind: "finish"; readonly reason: string }
  | { readonly kind: "figures"; readonly figures: Partial<EngineFigures> };

/** The proxy said no, or the answer broke off; `code` is the proxy's, or one of ours. */
export class ChatError extends Error {
  override readonly name = "ChatError";

  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

export interface Asked {
  readonly origin: string;
  readonly token: string;
  readonly body: ChatBody;
  readonly signal: AbortSignal;
}

/** Raises `ChatError`, and whatever `signal` is aborted with. */
export async function* streamChat(
  { origin, token, body, signal }: Asked,
  fetcher: typeof fetch = fetch,
): AsyncGenerator<Step> {
  const response = await answerTo(fetcher, `${origin}/v1/chat/completions`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(token === "" ? {} : { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
    signal,
    // Nothing but the token says who we are.
    credentials: "omit",
  });
  if (!response.ok) throw await refusalOf(response);
  if (response.body === null) throw cutShort();
  const parser = new SseParser();
  const reader = response.body.getReader();
  try {
    for (;;) {
      const { done, value } = await readFrom(reader, signal);
      if (done) throw cutShort();
      for (const item of parser.feed(value)) {
        if (item.kind === "event" && item.data === "[DONE]") return;
        yield* stepsOf(item);
      }
    }
  } finally {
    // What is not read to its end would go on at the engine.
    reader.cancel().catch(() => undefined);
  }
}

/** What one event or comment says. Raises `ChatError` where that is an error. */
export function stepsOf(item: SseItem): Step[] {
  if (item.kind === "comment") {
    const waiting = waitingOf(item.text);
    return waiting === null ? [] : [{ kind: "waiting", waiting }];
  }
  let event: unknown;
  try {
    event = JSON.parse(item.data);
  } catch {
    throw new ChatError("malformed", "The engine sent an event that is not JSON");
  }
  const error = field(event, "error");
  if (item.type === "error" || (error !== undefined && error !== null)) throw errorOf(error ?? event);
  const choice = list(field(event, "choices"))[0];
  const steps: Step[] = [];
  const content = text(field(field(choice, "delta"), "content"));
  const reasoning = text(field(field(choice, "delta"), "reasoning_content"));
  if (content !== "" || reasoning !== "") steps.push({ kind: "text", content, reasoning });
  const reason = text(field(choice, "finish_reason"));
  if (reason !== "") steps.push({ kind: "finish", reason });
  const figures = figuresOf(field(event, "usage"), field(event, "timings"));
  if (Object.keys(figures).length > 0) steps.push({ kind: "figures", figures });
  return steps;
}

/** The proxy's comment, `the model is loading, 40%, position 2`; null: another one. */
export function waitingOf(comment: string): Waiting | null {
  const match = /^the model is (\w+)(?:, (\d+)%)?, position (\d+)$/.exec(comment);
  if (match === null) return null;
  return {
    status: match[1] ?? null,
    progress: match[2] === undefined ? null : Number(match[2]) / 100,
    position: Number(match[3]),
  };
}

function figuresOf(usage: unknown, timings: unknown): Partial<EngineFigures> {
  const told: [keyof EngineFigures, unknown][] = [
    ["promptTokens", field(usage, "prompt_tokens")],
    ["cachedTokens", field(field(usage, "prompt_tokens_details"), "cached_tokens")],
    ["completionTokens", field(usage, "completion_tokens")],
    ["tokensPerSecond", field(timings, "predicted_per_second")],
  ];
  return Object.fromEntries(told.filter(([, value]) => typeof value === "number" && Number.isFinite(value)));
}

async function answerTo(fetcher: typeof fetch, url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetcher(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    // Browsers do not tell scripts more than that.
    throw new ChatError(
      "unreachable",
      `The proxy at ${new URL(url).origin} cannot be reached from this page: it does not run, or does not admit pages from ${here()} (llama.allowedOrigins)`,
    );
  }
}

async function readFrom(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read();
  } catch (error) {
    if (signal.aborted) throw error;
    throw new ChatError("cut", "The connection to the proxy broke off before the answer was complete");
  }
}

async function refusalOf(response: Response): Promise<ChatError> {
  let body: unknown = null;
  try {
    body = await response.json();
  } catch {
    // Somebody between us and the proxy has answered: the status is all there is.
  }
  if (response.status === 401) {
    return new ChatError(
      "unauthenticated",
      "The proxy does not take this page's access token: it is not valid any more, or there is none",
    );
  }
  if (field(body, "error") === undefined) {
    return new ChatError("http", `The proxy answered with HTTP status ${response.status}`);
  }
  return errorOf(field(body, "error"));
}

function errorOf(error: unknown): ChatError {
  const message = typeof error === "string" ? error : text(field(error, "message"));
  const code = field(error, "code");
  return new ChatError(
    typeof code === "string" ? code : "engine",
    message === "" ? "The engine ended the answer with an error, and gave no reason" : message,
  );
}

function cutShort(): ChatError {
  return new ChatError("cut", "The answer ended before it was complete, and nobody said why");
}

function here(): string {
  return typeof location === "undefined" ? "this address" : location.origin;
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return (value as Record<string, unknown>)[name];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}
