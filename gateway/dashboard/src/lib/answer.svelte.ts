/** What a view asks for while it shows something: the newest question's answer alone counts. */

import { untrack } from "svelte";

import { isDisconnection, messageOf } from "./api/errors";

export class Answer<T> {
  /** null until it has come. */
  value = $state.raw<T | null>(null);
  problem = $state("");
  #turn = 0;

  /**
   * Ask, from an effect that shall run anew for what it has read before and not for the answer. What
   * this returns is its clean-up: an answer that comes later is dropped. An answer to an earlier
   * question stays meanwhile where `still` says that it is of the same thing.
   */
  ask(question: () => Promise<T>, still: (earlier: T) => boolean = () => false): () => void {
    const mine = ++this.#turn;
    untrack(() => {
      if (this.value !== null && !still(this.value)) this.value = null;
      this.problem = "";
      question()
        .then((found) => {
          if (mine === this.#turn) this.value = found;
        })
        .catch((error: unknown) => {
          if (mine === this.#turn && !isDisconnection(error)) this.problem = messageOf(error);
        });
    });
    return () => {
      if (mine === this.#turn) this.#turn++;
    };
  }
}
