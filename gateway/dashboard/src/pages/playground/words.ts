/** What is said of an answer, in words. Pure. */

import { integer } from "../../lib/format";
import type { Model } from "../../lib/stores/models.svelte";
import { MAX_CHARACTERS, type AnswerState } from "./conversation.svelte";
import type { Waiting } from "./stream";

export interface WaitingWords {
  readonly text: string;
  /** 0 to 1; null: not known. */
  readonly progress: number | null;
}

/** What is waited for. The model's own state is newer than the proxy's word, which comes seldom. */
export function waitingWords(waiting: Waiting | null, model: Model | undefined): WaitingWords {
  const status = model?.status ?? waiting?.status ?? null;
  const progress = status === "loading" ? (model?.progress ?? waiting?.progress ?? null) : null;
  const said =
    status === "loading"
      ? `Loading the model${progress === null ? "" : `, ${Math.floor(progress * 100)} %`}`
      : status === "loaded"
        ? "Waiting for the first token"
        : "Waiting for the model to be loaded";
  const position = waiting !== null && status !== "loaded" ? waiting.position : null;
  return { text: position === null ? said : `${said}, position ${position} in the queue`, progress };
}

/** Why an answer ended. */
export function endWords(status: AnswerState, finish: string): string {
  if (status === "stopped") return "stopped by you";
  if (status === "cut") return `stopped here: this page keeps ${integer(MAX_CHARACTERS)} characters of an answer`;
  if (status === "failed") return "failed";
  if (status !== "done") return "";
  if (finish === "length") return "length: the limit of tokens was reached";
  return finish === "stop" || finish === "" ? "complete" : finish;
}
