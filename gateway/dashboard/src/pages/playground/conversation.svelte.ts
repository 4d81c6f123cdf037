/**
 * The conversation: what was said, what is being answered, and what is set for it.
 *
 * It lives as long as the page, whichever of its views is open, and nowhere else.
 */

import { messageOf } from "../../lib/api/errors";
import { bodyOf, type ChatBody, type ChatMessage } from "./body";
import { problems, unset } from "./parameters";
import { type Asked, type EngineFigures, type Step, streamChat, type Waiting } from "./stream";

export const MAX_MESSAGES = 200;
export const MAX_CHARACTERS = 200_000;
/** How often what has come is shown. */
const SHOWN_EVERY_MS = 50;

/** `stopped`: by the reader; `cut`: by us, since it grew too long. */
export type AnswerState = "waiting" | "answering" | "done" | "stopped" | "cut" | "failed";

export class Question {
  readonly role = "user";

  constructor(
    readonly id: number,
    readonly text: string,
  ) {}
}

export class Answer {
  readonly role = "assistant";
  text = $state("");
  reasoning = $state("");
  status = $state<AnswerState>("waiting");
  waiting = $state.raw<Waiting | null>(null);
  error = $state("");
  finish = $state("");
  /** From sending to the first token, and from that to the end, as seen from here. */
  firstTokenMs = $state<number | null>(null);
  answeredMs = $state<number | null>(null);
  figures = $state.raw<EngineFigures>({
    promptTokens: null,
    cachedTokens: null,
    completionTokens: null,
    tokensPerSecond: null,
  });

  /** In ms since 1970. */
  readonly sentAt = Date.now();

  constructor(
    readonly id: number,
    readonly model: string,
  ) {}

  get open(): boolean {
    return this.status === "waiting" || this.status === "answering";
  }

  /** As the engine measured it, or else as seen from here. */
  get tokensPerSecond(): number | null {
    const { completionTokens, tokensPerSecond } = this.figures;
    if (tokensPerSecond !== null) return tokensPerSecond;
    if (completionTokens === null || completionTokens < 2 || !this.answeredMs) return null;
    return (completionTokens - 1) / (this.answeredMs / 1_000);
  }
}

export type Turn = Question | Answer;

/** Where to ask, and as whom. */
export type Target = Pick<Asked, "origin" | "token">;

export type Streamer = (asked: Asked) => AsyncIterable<Step>;

export class Conversation {
  turns = $state.raw<readonly Turn[]>([]);
  system = $state("");
  draft = $state("");
  /** The last one that was chosen. */
  model = $state("");
  parameters = $state(unset());
  #answering = $state.raw<Answer | null>(null);
  #abort: AbortController | null = null;
  #nextId = 1;

  constructor(
    private readonly stream: Streamer = streamChat,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The answer that is under way. */
  get answering(): Answer | null {
    return this.#answering;
  }

  get full(): boolean {
    return this.turns.length + 2 > MAX_MESSAGES;
  }

  get problems(): number {
    return problems(this.parameters);
  }

  /** What would be sent now, or was last: for the snippets. */
  present(model: string): ChatBody {
    const draft = this.draft.trim();
    const asked = draft === "" ? this.#upToLastQuestion() : [...this.#said(this.turns), question(draft)];
    return this.#body(model, asked.length === 0 ? [question("Hello!")] : asked);
  }

  /** Ask; resolves when the answer has ended, however. */
  send(model: string, text: string, target: Target): Promise<void> {
    if (this.#answering !== null || this.full) return Promise.resolve();
    this.turns = [...this.turns, new Question(this.#nextId++, text)];
    return this.#answer(model, target);
  }

  /** Answer the last question once more. */
  again(model: string, target: Target): Promise<void> {
    if (this.#answering !== null) return Promise.resolve();
    const last = this.turns.findLastIndex((turn) => turn.role === "user");
    if (last < 0) return Promise.resolve();
    this.turns = this.turns.slice(0, last + 1);
    return this.#answer(model, target);
  }

  /** Say something else there; what followed is forgotten. */
  resend(id: number, text: string, model: string, target: Target): Promise<void> {
    const at = this.turns.findIndex((turn) => turn.id === id);
    if (this.#answering !== null || at < 0) return Promise.resolve();
    this.turns = this.turns.slice(0, at);
    return this.send(model, text, target);
  }

  stop(): void {
    this.#abort?.abort();
  }

  clear(): void {
    this.stop();
    this.turns = [];
  }

  async #answer(model: string, target: Target): Promise<void> {
    const body = this.#body(model, this.#said(this.turns));
    const answer = new Answer(this.#nextId++, model);
    const abort = new AbortController();
    this.turns = [...this.turns, answer];
    this.#answering = answer;
    this.#abort = abort;
    const arriving = new Arriving(answer, this.now);
    try {
      for await (const step of this.stream({ ...target, body, signal: abort.signal })) {
        if (abort.signal.aborted) break;
        arriving.take(step);
        if (arriving.characters > MAX_CHARACTERS) {
          abort.abort();
          answer.status = "cut";
          break;
        }
      }
      if (answer.open) answer.status = abort.signal.aborted ? "stopped" : "done";
    } catch (error) {
      if (abort.signal.aborted) answer.status = "stopped";
      else {
        answer.error = messageOf(error);
        answer.status = "failed";
      }
    } finally {
      arriving.end();
      // After `clear` the next answer may be under way already.
      if (this.#answering === answer) {
        this.#answering = null;
        this.#abort = null;
      }
    }
  }

  #body(model: string, turns: readonly ChatMessage[]): ChatBody {
    return bodyOf(model, this.system, turns, this.parameters);
  }

  #upToLastQuestion(): readonly ChatMessage[] {
    const last = this.turns.findLastIndex((turn) => turn.role === "user");
    return this.#said(this.turns.slice(0, last + 1));
  }

  #said(turns: readonly Turn[]): ChatMessage[] {
    return turns.map((turn) => ({ role: turn.role, content: turn.text }));
  }
}

/** Collects what comes, token by token, and shows it a few times a second. */
class Arriving {
  characters = 0;
  readonly #sentAt: number;
  #firstAt: number | null = null;
  #lastAt = 0;
  #text = "";
  #reasoning = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly answer: Answer,
    private readonly now: () => number,
  ) {
    this.#sentAt = now();
  }

  take(step: Step): void {
    const { answer } = this;
    if (step.kind === "waiting") answer.waiting = step.waiting;
    else if (step.kind === "finish") answer.finish = step.reason;
    else if (step.kind === "figures") answer.figures = { ...answer.figures, ...step.figures };
    else this.#take(step.content, step.reasoning);
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#show();
    if (this.#firstAt !== null) this.answer.answeredMs = this.#lastAt - this.#firstAt;
  }

  #take(content: string, reasoning: string): void {
    this.#lastAt = this.now();
    this.#text += content;
    this.#reasoning += reasoning;
    this.characters += content.length + reasoning.length;
    if (this.#firstAt === null) {
      this.#firstAt = this.#lastAt;
      this.answer.firstTokenMs = this.#firstAt - this.#sentAt;
      this.answer.status = "answering";
      this.#show();
    }
    this.#timer ??= setTimeout(() => this.#show(), SHOWN_EVERY_MS);
  }

  #show(): void {
    this.#timer = undefined;
    this.answer.text = this.#text;
    this.answer.reasoning = this.#reasoning;
  }
}

function question(content: string): ChatMessage {
  return { role: "user", content };
}

/** The page's one. */
export const conversation = new Conversation();
