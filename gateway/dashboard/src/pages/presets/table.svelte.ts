/**
 * All presets, and what is wrong with each: asked for every few seconds, since there is no event
 * of them.
 */

import { SvelteMap } from "svelte/reactivity";

import { Polling } from "../../lib/api/collection";
import type { Api } from "../../lib/api/connection.svelte";
import type { Preset } from "../../lib/api/contract";
import { ApiError, isDisconnection, messageOf } from "../../lib/api/errors";
import { count } from "./findings";
import { Document } from "./ini";

const EVERY_MS = 3_000;
/** What the controller lets a name be (workers/controller/presets/names.py). */
const FILENAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$/;
const NEW_TEXT = "version = 1\n\n[*]\n";

export interface Remarks {
  /** What they are about. */
  readonly of: string;
  readonly errors: number;
  readonly warnings: number;
}

export class PresetTable {
  readonly status = $state({ loading: true, error: null as string | null });
  list = $state.raw<readonly Preset[]>([]);
  readonly remarks = new SvelteMap<string, Remarks>();
  readonly polling: Polling;
  readonly #api: Api;
  #turn = 0;

  constructor(api: Api) {
    this.#api = api;
    this.polling = new Polling(() => this.refresh(), EVERY_MS);
  }

  /** Ask while someone looks; returns what ends it. */
  watch(): () => void {
    const release = this.polling.hold();
    const stop = this.#api.onConnected(() => this.polling.now());
    return () => {
      release();
      stop();
    };
  }

  async refresh(): Promise<void> {
    const mine = ++this.#turn;
    try {
      const { presets } = await this.#api.request("presets:list", {});
      if (mine !== this.#turn) return;
      this.list = presets;
      this.status.loading = false;
      this.status.error = null;
      await this.#check(mine);
    } catch (error) {
      if (mine !== this.#turn || isDisconnection(error)) return;
      this.status.error = messageOf(error);
      this.status.loading = false;
    }
  }

  /** A new preset, or a copy of one. Throws what went wrong; nothing is overwritten. */
  async create(filename: string, name: string, description: string, like?: string): Promise<void> {
    const taken = await this.#read(filename);
    if (taken !== null) throw new Error(`There is a preset ${filename} already`);
    const text = like === undefined ? NEW_TEXT : ((await this.#read(like)) ?? "");
    const document = Document.parse(text).withNote("name", name).withNote("description", description);
    await this.#api.request("presets:save", { filename, content: String(document) });
    await this.refresh();
  }

  /** These act at once and throw what went wrong. */
  async rename(filename: string, to: string): Promise<void> {
    await this.#api.request("presets:rename", { filename, to });
    await this.refresh();
  }

  async delete(filename: string): Promise<void> {
    await this.#api.request("presets:delete", { filename });
    await this.refresh();
  }

  async apply(filename: string, models: readonly string[]): Promise<void> {
    await this.#api.request("presets:apply", { filename, models: [...models] });
    await this.refresh();
  }

  async #read(filename: string): Promise<string | null> {
    try {
      return (await this.#api.request("presets:read", { filename })).content;
    } catch (error) {
      if (error instanceof ApiError && error.code === "PRESET_NOT_FOUND") return null;
      throw error;
    }
  }

  /** One after the other, and each only when it has changed. */
  async #check(mine: number): Promise<void> {
    const listed = new Set(this.list.map(({ filename }) => filename));
    for (const filename of this.remarks.keys()) if (!listed.has(filename)) this.remarks.delete(filename);
    for (const { filename, models, problem } of this.list) {
      const of = JSON.stringify(models);
      if (problem !== undefined || this.remarks.get(filename)?.of === of) continue;
      const { findings } = await this.#api.request("presets:validate-config", { filename, config: models });
      if (mine !== this.#turn) return;
      this.remarks.set(filename, { of, errors: count(findings, "error"), warnings: count(findings, "warning") });
    }
  }
}

/** Why a preset cannot be called so; null where it can. */
export function filenameProblem(filename: string, taken: readonly string[] = []): string | null {
  if (filename === "") return null;
  if (filename.startsWith(".")) return "A name begins with a letter, a digit, a dash or an underscore.";
  if (filename.length > 64) return "A name has at most 64 characters.";
  if (!FILENAME.test(filename)) return "Letters, digits, dots, dashes and underscores only.";
  if (filename.endsWith(".ini")) return "Without .ini: that is added.";
  if (taken.includes(filename)) return "There is a preset of this name already.";
  return null;
}
