import { describe, expect, it, vi } from "vitest";

import { settled } from "../../lib/api/test_api";
import { Conversation, MAX_CHARACTERS, MAX_MESSAGES, type Answer } from "./conversation.svelte";
import { ChatError, type Asked, type Step } from "./stream";

const TARGET = { origin: "http://h:1", token: "" };
const text = (content: string): Step => ({ kind: "text", content, reasoning: "" });

/** An engine whose steps the test gives, one by one. */
class Engine {
  readonly asked: Asked[] = [];
  #queue: (Step | Error | null)[] = [];
  #wake: () => void = () => undefined;

  readonly stream = async function* (this: Engine, asked: Asked): AsyncGenerator<Step> {
    this.asked.push(asked);
    this.#queue = [];
    asked.signal.addEventListener("abort", () => this.give(new DOMException("", "AbortError")));
    for (;;) {
      while (this.#queue.length === 0) await new Promise<void>((wake) => (this.#wake = wake));
      const next = this.#queue.shift() ?? null;
      if (next === null) return;
      if (next instanceof Error) throw next;
      yield next;
    }
  }.bind(this);

  /** An error fails, null ends. */
  give(...steps: (Step | Error | null)[]): void {
    this.#queue.push(...steps);
    this.#wake();
  }
}

function world() {
  const engine = new Engine();
  let now = 0;
  const conversation = new Conversation(engine.stream, () => now);
  const answer = (): Answer => conversation.turns.at(-1) as Answer;
  return { engine, conversation, answer, pass: (ms: number) => void (now += ms) };
}

describe("a conversation", () => {
  it("asks, measures and remembers", async () => {
    const { engine, conversation, answer, pass } = world();
    const ended = conversation.send("m", "hi", TARGET);
    engine.give({ kind: "waiting", waiting: { status: "loading", progress: 0.4, position: 1 } });
    await settled();
    expect(answer()).toMatchObject({ status: "waiting", waiting: { progress: 0.4 } });
    pass(300);
    engine.give(text("Hel"));
    await settled();
    expect(answer()).toMatchObject({ status: "answering", text: "Hel", firstTokenMs: 300 });
    pass(2_000);
    engine.give(text("lo"), { kind: "finish", reason: "stop" });
    engine.give({ kind: "figures", figures: { completionTokens: 21 } }, null);
    await ended;
    expect(answer()).toMatchObject({ status: "done", text: "Hello", finish: "stop", answeredMs: 2_000 });
    expect(answer().tokensPerSecond).toBe(10);
    expect(conversation.answering).toBeNull();

    const second = conversation.send("m", "more", TARGET);
    expect(engine.asked[1]?.body.messages).toEqual([
      { role: "user", content: "hi" },
      { role: "assistant", content: "Hello" },
      { role: "user", content: "more" },
    ]);
    engine.give({ kind: "figures", figures: { tokensPerSecond: 7 } }, null);
    await second;
    expect(answer().tokensPerSecond).toBe(7);
  });

  it("shows what comes a few times a second, not at each token", async () => {
    vi.useFakeTimers();
    const { engine, conversation, answer } = world();
    void conversation.send("m", "hi", TARGET);
    await vi.advanceTimersByTimeAsync(0);
    engine.give(text("a"), text("b"), text("c"));
    await vi.advanceTimersByTimeAsync(0);
    expect(answer().text).toBe("a");
    await vi.advanceTimersByTimeAsync(50);
    expect(answer().text).toBe("abc");
    conversation.stop();
    vi.useRealTimers();
  });

  it("stops, and keeps what came", async () => {
    const { engine, conversation, answer } = world();
    const ended = conversation.send("m", "hi", TARGET);
    engine.give(text("some"));
    await settled();
    conversation.stop();
    await ended;
    expect(engine.asked[0]?.signal.aborted).toBe(true);
    expect(answer()).toMatchObject({ status: "stopped", text: "some" });
  });

  it("says what failed, keeps what came, and tries again in its place", async () => {
    const { engine, conversation, answer } = world();
    const ended = conversation.send("m", "hi", TARGET);
    engine.give(text("half"), new ChatError("engine_failed", "the engine died"));
    await ended;
    expect(answer()).toMatchObject({ status: "failed", text: "half", error: "The engine died." });
    const again = conversation.again("other", TARGET);
    expect(conversation.turns).toHaveLength(2);
    expect(engine.asked[1]?.body).toMatchObject({ model: "other", messages: [{ content: "hi" }] });
    engine.give(text("whole"), null);
    await again;
    expect(answer()).toMatchObject({ status: "done", text: "whole", model: "other" });
  });

  it("goes on from a question that is put differently", async () => {
    const { engine, conversation } = world();
    for (const question of ["one", "two"]) {
      const ended = conversation.send("m", question, TARGET);
      engine.give(text("yes"), null);
      await ended;
    }
    const first = conversation.turns[0];
    const resent = conversation.resend(first?.id ?? -1, "uno", "m", TARGET);
    engine.give(null);
    await resent;
    expect(engine.asked.at(-1)?.body.messages).toEqual([{ role: "user", content: "uno" }]);
    expect(conversation.turns).toHaveLength(2);
  });

  it("is cleared while it is answered", async () => {
    const { engine, conversation } = world();
    const ended = conversation.send("m", "hi", TARGET);
    conversation.clear();
    await ended;
    expect(engine.asked[0]?.signal.aborted).toBe(true);
    expect(conversation.turns).toEqual([]);
    expect(conversation.answering).toBeNull();
  });

  it("has bounds", async () => {
    const { engine, conversation, answer } = world();
    const long = conversation.send("m", "hi", TARGET);
    engine.give(text("x".repeat(MAX_CHARACTERS + 1)));
    await long;
    expect(answer().status).toBe("cut");
    expect(engine.asked[0]?.signal.aborted).toBe(true);
    while (!conversation.full) {
      const ended = conversation.send("m", "hi", TARGET);
      engine.give(null);
      await ended;
    }
    const asked = engine.asked.length;
    await conversation.send("m", "hi", TARGET);
    expect(engine.asked).toHaveLength(asked);
    expect(conversation.turns.length).toBeLessThanOrEqual(MAX_MESSAGES);
  });

  it("presents what would be sent", async () => {
    const { engine, conversation } = world();
    const contents = () => conversation.present("m").messages.map(({ content }) => content);
    expect(contents()).toEqual(["Hello!"]);
    conversation.system = "Be brief.";
    conversation.draft = "hi";
    expect(contents()).toEqual(["Be brief.", "hi"]);
    conversation.draft = "";
    const ended = conversation.send("m", "hi", TARGET);
    engine.give(text("yes"), null);
    await ended;
    expect(contents()).toEqual(["Be brief.", "hi"]);
    conversation.draft = "more";
    expect(contents()).toEqual(["Be brief.", "hi", "yes", "more"]);
    conversation.parameters.temperature = "warm";
    expect(conversation.problems).toBe(1);
  });
});
