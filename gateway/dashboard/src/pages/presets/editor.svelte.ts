/**
 * One preset while it is changed: the text on disk, the draft, and what the gateway says of it.
 *
 * Form and raw text are two views of the one draft. What others write to the file meanwhile is seen
 * by reading it every few seconds, and once more before a save: it is shown, and nothing of it is
 * overwritten unasked. (The API knows no "save if unchanged": between that read and the save there
 * are some milliseconds in which somebody else's save would be lost.)
 */

import { Polling } from "../../lib/api/collection";
import type { Api } from "../../lib/api/connection.svelte";
import type { ConfigFinding, PresetContent } from "../../lib/api/contract";
import { ApiError, isDisconnection, messageOf } from "../../lib/api/errors";
import { Document } from "./ini";

const CHECK_AFTER_MS = 300;
const LOOK_EVERY_MS = 3_000;

/** Why a save did not succeed, and what can be done about it. */
export interface Refusal {
  readonly reason: string;
  readonly message: string;
  readonly advice: string;
}

export class PresetEditor {
  readonly status = $state({ loading: true, error: null as string | null });
  filename = $state<string | null>(null);
  /** What the draft began with: the file as we have read or written it. */
  base = $state.raw<PresetContent | null>(null);
  /** The file as somebody else has written it since. */
  theirs = $state.raw<PresetContent | null>(null);
  /** Whether the file is not there any more. */
  gone = $state(false);
  draft = $state.raw("");
  findings = $state.raw<readonly ConfigFinding[]>([]);
  /** Whether `findings` are still those of an earlier draft. */
  checking = $state(false);
  /** Why the draft was not checked. */
  checkError = $state<string | null>(null);
  saving = $state(false);
  refusal = $state.raw<Refusal | null>(null);
  /** Grows whenever the draft becomes what the file says: what was being typed is over then. */
  revision = $state(0);
  readonly polling: Polling;

  readonly document = $derived(Document.parse(this.draft));
  readonly dirty = $derived(this.base !== null && (this.gone || this.draft !== this.base.content));
  /** Not text at all, or no file of its own: then there is nothing to change. */
  readonly unreadable = $derived(this.base?.problem !== undefined && this.base.content === "");

  readonly #api: Api;
  #opened = 0;
  #reads = 0;
  #checked = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(api: Api) {
    this.#api = api;
    this.polling = new Polling(() => this.look(), LOOK_EVERY_MS);
  }

  /** Look at the file while somebody has it before them; returns what ends it. */
  watch(): () => void {
    const release = this.polling.hold();
    const stop = this.#api.onConnected(() => {
      this.polling.now();
      if (this.base !== null) void this.#check(++this.#checked);
    });
    return () => {
      release();
      stop();
      clearTimeout(this.#timer);
    };
  }

  async open(filename: string | null): Promise<void> {
    if (filename === this.filename) return;
    this.#opened++;
    this.#reads++;
    this.#checked++;
    clearTimeout(this.#timer);
    this.filename = filename;
    this.base = this.theirs = this.refusal = this.checkError = null;
    this.status.loading = true;
    this.status.error = null;
    this.gone = this.checking = false;
    this.draft = "";
    this.findings = [];
    await this.look();
  }

  /** The file's name has changed; the draft stays. */
  renamed(to: string): void {
    this.filename = to;
    if (this.base !== null) this.base = { ...this.base, filename: to };
  }

  /** Read the file; where nothing was changed here, that is the draft. */
  async look(): Promise<void> {
    if (!this.saving) await this.#read();
  }

  async #read(): Promise<void> {
    const { filename } = this;
    if (filename === null) return;
    // Of two that overlap the later one counts; what was asked before a save is out of date.
    const mine = ++this.#reads;
    try {
      const found = await this.#api.request("presets:read", { filename });
      if (mine === this.#reads) this.#seen(found);
    } catch (error) {
      if (mine !== this.#reads || isDisconnection(error)) return;
      this.status.loading = false;
      if (isMissing(error) && this.base !== null) this.gone = true;
      else if (this.base === null) {
        const missing = `There is no preset ${filename}; it may have been renamed or deleted.`;
        this.status.error = isMissing(error) ? missing : messageOf(error);
      }
    }
  }

  #seen(found: PresetContent): void {
    this.status.loading = false;
    this.status.error = null;
    const { base } = this;
    const changed = base === null || found.content !== base.content;
    const untouched = base === null || this.draft === base.content || this.draft === found.content;
    this.gone = false;
    if (changed && !untouched) {
      this.theirs = found;
      return;
    }
    this.theirs = null;
    this.base = found;
    if (changed) {
      this.draft = found.content;
      this.revision++;
      void this.#check(++this.#checked);
    }
  }

  /** Change the text; it is checked once the typing pauses. */
  write(text: string): void {
    if (text === this.draft) return;
    this.draft = text;
    // From here on the remarks tell what is left of it.
    if (this.refusal?.reason === "invalid") this.refusal = null;
    this.checking = true;
    const mine = ++this.#checked;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#check(mine), CHECK_AFTER_MS);
  }

  edit(change: (document: Document) => Document): void {
    this.write(String(change(this.document)));
  }

  discard(): void {
    this.refusal = null;
    this.revision++;
    if (this.theirs !== null) this.takeTheirs();
    else this.write(this.base?.content ?? "");
  }

  takeTheirs(): void {
    const { theirs } = this;
    if (theirs === null) return;
    this.base = theirs;
    this.theirs = null;
    this.revision++;
    this.write(theirs.content);
  }

  /** What somebody else has written is what the next save replaces. */
  keepMine(): void {
    this.base = this.theirs ?? this.base;
    this.theirs = null;
  }

  /** Write the draft to disk. False: it was not; `refusal` or `theirs` says why. */
  async save(): Promise<boolean> {
    const { filename, draft: content } = this;
    if (filename === null || this.saving || this.theirs !== null) return false;
    this.refusal = null;
    this.saving = true;
    const mine = this.#opened;
    try {
      if (!this.gone) {
        await this.#read();
        if (this.#conflicts() || mine !== this.#opened) return false;
      }
      this.#reads++;
      await this.#api.request("presets:save", { filename, content });
      if (mine !== this.#opened) return true;
      this.gone = false;
      if (this.base !== null) this.base = { ...this.base, content };
      return true;
    } catch (error) {
      if (mine === this.#opened) this.#refused(error);
      return false;
    } finally {
      this.saving = false;
      // What it is called and says now; after a failure, whether it was written all the same.
      if (mine === this.#opened) await this.look();
    }
  }

  /** As of the last read. */
  #conflicts(): boolean {
    return this.theirs !== null || this.gone;
  }

  #refused(error: unknown): void {
    const details = error instanceof ApiError ? error.details : {};
    const reason = typeof details["reason"] === "string" ? details["reason"] : "";
    // The refusal's own remarks are about what has changed alone.
    if (reason === "invalid") void this.#check(++this.#checked);
    this.refusal = { reason, message: messageOf(error), advice: ADVICE[reason] ?? ADVICE_ELSE };
  }

  /** Answers of earlier drafts are dropped, however late they come. */
  async #check(mine: number): Promise<void> {
    const { filename, draft: content } = this;
    if (filename === null || mine !== this.#checked) return;
    this.checking = true;
    try {
      const { findings } = await this.#api.request("presets:validate-config", { filename, content });
      if (mine !== this.#checked) return;
      this.findings = findings;
      this.checkError = null;
    } catch (error) {
      if (mine !== this.#checked) return;
      this.checkError = isDisconnection(error) ? "The connection is lost." : messageOf(error);
    }
    this.checking = false;
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  invalid: "Put right what is marked below and save again.",
  disk: "See to the disk of the controller's host, its space and who may write there, and save again.",
  too_big: "Take something out, comments for example, and save again.",
  too_many: "Delete a preset that nobody needs and save again.",
  not_a_file: "Put a plain file in its place on the controller's host, or save under another name.",
};
const ADVICE_ELSE = "Your changes are kept here: try to save again.";

function isMissing(error: unknown): boolean {
  return error instanceof ApiError && error.code === "PRESET_NOT_FOUND";
}
