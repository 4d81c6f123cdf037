/** Keys that work everywhere on the page but in text fields. Pure: a key in, what it asks for out. */

export type KeyAction =
  | { readonly kind: "go"; readonly key: string }
  | { readonly kind: "search" }
  | { readonly kind: "help" };

const SEQUENCE_MS = 1_200;

export class Keys {
  #since = Number.NEGATIVE_INFINITY;

  /** What a key asks for at a time in ms; null: nothing of ours. */
  press(key: string, now: number): KeyAction | null {
    const following = now - this.#since < SEQUENCE_MS;
    this.#since = Number.NEGATIVE_INFINITY;
    if (following) return { kind: "go", key };
    if (key === "g") this.#since = now;
    if (key === "/") return { kind: "search" };
    if (key === "?") return { kind: "help" };
    return null;
  }
}

export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("input, textarea, select, .cm-editor *"))
  );
}
