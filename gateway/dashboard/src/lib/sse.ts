/**
 * Server-sent events from bytes as they come (HTML standard, 9.2.6). Pure.
 *
 * Unlike the browser's EventSource it takes the body of a POST, and gives comments, too: by these
 * the proxy tells how long there is to wait.
 */

export type SseItem =
  | { readonly kind: "event"; readonly type: string; readonly data: string }
  | { readonly kind: "comment"; readonly text: string };

/** No line of an honest stream is longer; a longer one would fill the memory. */
const MAX_CHARACTERS = 4_000_000;

export class SseParser {
  // Keeps a character whose bytes are not all here, and drops a byte order mark.
  readonly #decoder = new TextDecoder();
  #line = "";
  #afterReturn = false;
  #type = "";
  #data: string[] = [];
  #size = 0;

  /** What `bytes` complete. An event that its stream does not end by a blank line is none. */
  feed(bytes: Uint8Array): SseItem[] {
    const items: SseItem[] = [];
    const text = this.#decoder.decode(bytes, { stream: true });
    let from = 0;
    for (let at = 0; at < text.length; at++) {
      const character = text[at];
      if (character !== "\n" && character !== "\r") {
        this.#afterReturn = false;
        continue;
      }
      // The second half of a line end whose first half may have come with the bytes before.
      if (character === "\n" && this.#afterReturn) {
        this.#afterReturn = false;
        from = at + 1;
        continue;
      }
      this.#afterReturn = character === "\r";
      this.#ended(this.#line + text.slice(from, at), items);
      this.#line = "";
      from = at + 1;
    }
    this.#line += text.slice(from);
    if (this.#line.length + this.#size > MAX_CHARACTERS) {
      throw new Error("The stream holds an event that is too long");
    }
    return items;
  }

  #ended(line: string, items: SseItem[]): void {
    if (line === "") {
      if (this.#data.length > 0) {
        const type = this.#type === "" ? "message" : this.#type;
        items.push({ kind: "event", type, data: this.#data.join("\n") });
      }
      this.#type = "";
      this.#data = [];
      this.#size = 0;
      return;
    }
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "") items.push({ kind: "comment", text: value });
    else if (field === "event") this.#type = value;
    else if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
    }
  }
}
