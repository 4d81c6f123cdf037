/**
 * The configuration as it is and as its reader wants it.
 *
 * Nothing tells of changes that others make, so the configuration is asked for while someone looks.
 * A draft remembers what it began from: what others change meanwhile is either beside it, and kept,
 * or a clash, which its reader settles before anything can be saved.
 */

import { Polling } from "../../lib/api/collection";
import type { Api } from "../../lib/api/connection.svelte";
import type { CheckedConfig, ConfigProblem, ConfigSchema, Configuration } from "../../lib/api/contract";
import { isDisconnection, messageOf } from "../../lib/api/errors";
import { problemsOf } from "./problems";
import { asTables, sectionsOf, valueAt, type FormSection } from "./schema";
import { changesOf, equal, inOne, patchOf, rebased, seenAs, type Change } from "./values";

interface Draft {
  readonly base: unknown;
  readonly value: unknown;
  /** What somebody else made of it meanwhile, where that is not what we want. */
  readonly clash: { readonly theirs: unknown } | null;
}

/** What a save has changed, and which processes follow only once they are started anew. */
export interface Outcome {
  readonly changes: readonly Change[];
  readonly restart: readonly string[];
  /** Whether something of it needed a restart and has had it. */
  readonly restarted?: boolean;
}

const EVERY_MS = 2_000;
const CHECK_AFTER_MS = 300;
/** The engine that is chosen is run first, to see what it is. */
const CHANGE_MS = 40_000;
/** How long a gateway's own copy may be behind what was saved. */
const FOLLOWS_WITHIN_MS = 5_000;
const ASK_AGAIN_MS = 150;
const MAX_ELSEWHERE = 20;

export class SettingsForm {
  readonly status = $state({ loading: true, error: null as string | null });
  sections = $state.raw<readonly FormSection[]>([]);
  configuration = $state.raw<Configuration | null>(null);
  drafts = $state.raw<ReadonlyMap<string, Draft>>(new Map());
  /** What is wrong with the drafts, as last checked. */
  problems = $state.raw<readonly ConfigProblem[]>([]);
  /** What saving the drafts as they are would do; null until that is known. */
  check = $state.raw<CheckedConfig | null>(null);
  /** What others have changed since it was first shown, and nobody has taken note of yet. */
  elsewhere = $state.raw<readonly Change[]>([]);
  outcome = $state.raw<Outcome | null>(null);
  saving = $state(false);

  readonly paths = $derived([...this.drafts.keys()]);
  readonly clashes = $derived(this.paths.filter((path) => this.drafts.get(path)?.clash));
  readonly changed = $derived(this.drafts.size > 0);
  readonly ready = $derived(
    this.check?.valid === true && this.check.diff.length > 0 && this.clashes.length === 0 && !this.saving,
  );

  readonly #api: Api;
  readonly #polling: Polling;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #turn = 0;
  #saved: { values: ReadonlyMap<string, unknown>; until: number } | null = null;

  constructor(api: Api) {
    this.#api = api;
    this.#polling = new Polling(() => this.refresh(), EVERY_MS);
  }

  /** Keep up with the gateway until what is returned is called. */
  show(): () => void {
    const stopListening = this.#api.onConnected(() => {
      void this.#askSchema();
      if (this.changed) this.#checkSoon();
    });
    const release = this.#polling.hold();
    return () => {
      this.#turn++;
      clearTimeout(this.#timer);
      stopListening();
      release();
    };
  }

  /** As its reader wants it, else as it is. */
  valueOf(path: string): unknown {
    const draft = this.drafts.get(path);
    return draft === undefined ? this.heldOf(path) : draft.value;
  }

  heldOf(path: string): unknown {
    return this.configuration === null ? undefined : valueAt(this.configuration, path);
  }

  set(path: string, value: unknown): void {
    const draft = this.drafts.get(path);
    const base = draft === undefined ? this.heldOf(path) : draft.base;
    const held = draft?.clash ? draft.clash.theirs : base;
    this.#put(path, equal(value, held) ? null : { base, value, clash: draft?.clash ?? null });
    this.#draftsChanged();
  }

  discard(path?: string): void {
    if (path === undefined) this.drafts = new Map();
    else this.#put(path, null);
    this.#draftsChanged();
  }

  /** These processes have started anew since the last save. */
  restarted(names: readonly string[]): void {
    if (this.outcome === null) return;
    const restart = this.outcome.restart.filter((name) => !names.includes(name));
    this.outcome = { ...this.outcome, restart, restarted: true };
  }

  /** Ours shall stand, now that we know of theirs. */
  keep(path: string): void {
    const draft = this.drafts.get(path);
    if (!draft?.clash) return;
    const { theirs } = draft.clash;
    this.#put(path, { base: theirs, value: rebased(draft.base, theirs, draft.value).value, clash: null });
    this.#draftsChanged();
  }

  /**
   * Change the configuration as the drafts say. False where somebody else has changed the same a
   * moment ago. Raises what the gateway answers; its problems are at their fields then.
   */
  async save(): Promise<boolean> {
    this.saving = true;
    try {
      this.#take(await this.#api.request("config:get", {}));
      if (this.clashes.length > 0 || !this.changed) return false;
      const saved = this.drafts;
      const { restart } = await this.#api.request("config:update", this.#patch(), { timeoutMs: CHANGE_MS });
      // What earlier changes have to be started anew for is due until it is done or dismissed.
      const earlier = this.outcome?.restart.length ? this.outcome : { changes: [], restart: [] };
      const changes = [...saved].flatMap(([path, { base, value }]) => changesOf(path, base, value));
      this.outcome = {
        changes: [...earlier.changes.filter(({ path }) => !changes.some((one) => one.path === path)), ...changes],
        restart: [...new Set([...earlier.restart, ...restart])],
      };
      this.#adopt(saved);
      return true;
    } catch (error) {
      this.problems = problemsOf(error);
      throw error;
    } finally {
      this.saving = false;
    }
  }

  async refresh(): Promise<void> {
    try {
      this.#take(await this.#api.request("config:get", {}));
      if (this.sections.length > 0) this.#told(null);
    } catch (error) {
      if (!isDisconnection(error)) this.#told(messageOf(error));
    }
  }

  async retry(): Promise<void> {
    await Promise.all([this.#askSchema(), this.refresh()]);
  }

  async #askSchema(): Promise<void> {
    try {
      const schema: ConfigSchema = await this.#api.request("config:schema", {});
      this.sections = sectionsOf(schema);
      if (this.configuration === null) await this.refresh();
      else this.#told(null);
    } catch (error) {
      if (!isDisconnection(error)) this.#told(messageOf(error));
    }
  }

  #told(error: string | null): void {
    this.status.error = error;
    this.status.loading = false;
  }

  /** The configuration as the gateway knows it. */
  #take(fresh: Configuration): void {
    const saved = this.#saved;
    if (saved !== null) {
      const followed = [...saved.values].every(([path, value]) => seenAs(value, valueAt(fresh, path)));
      if (!followed && Date.now() < saved.until) {
        setTimeout(() => this.#polling.now(), ASK_AGAIN_MS);
        return;
      }
      this.#saved = null;
    }
    const old = this.configuration;
    if (old !== null && equal(old, fresh)) return;
    this.configuration = fresh;
    if (old === null) return;
    const others = this.#pathsOf()
      .filter((path) => saved?.values.has(path) !== true)
      .flatMap((path) => changesOf(path, valueAt(old, path), valueAt(fresh, path)));
    this.elsewhere = inOne(this.elsewhere, others).slice(-MAX_ELSEWHERE);
    this.#rebase(fresh);
  }

  #rebase(fresh: Configuration): void {
    const before = this.drafts;
    for (const [path, { base, value }] of before) {
      const theirs = valueAt(fresh, path);
      if (equal(theirs, base)) continue;
      const together = rebased(base, theirs, value);
      if (equal(together.value, theirs)) this.#put(path, null);
      else if (together.clash) this.#put(path, { base, value, clash: { theirs } });
      else this.#put(path, { base: theirs, value: together.value, clash: null });
    }
    if (this.drafts !== before) this.#draftsChanged();
  }

  /** What was saved holds, though the gateway's own copy may take a moment to say so. */
  #adopt(saved: ReadonlyMap<string, Draft>): void {
    const values = new Map([...saved].map(([path, { value }]) => [path, value]));
    this.#saved = { values, until: Date.now() + FOLLOWS_WITHIN_MS };
    if (this.configuration !== null) {
      const tables: Record<string, unknown> = { ...this.configuration };
      for (const [path, value] of values) {
        const [section = "", name] = path.split(".");
        tables[section] = name === undefined ? value : { ...(tables[section] as object), [name]: value };
      }
      this.configuration = tables as unknown as Configuration;
    }
    this.discard();
    this.#polling.now();
  }

  #pathsOf(): readonly string[] {
    return this.sections.flatMap(({ fields }) => fields.map(({ setting }) => setting.path));
  }

  #put(path: string, draft: Draft | null): void {
    const drafts = new Map(this.drafts);
    if (draft === null) drafts.delete(path);
    else drafts.set(path, draft);
    this.drafts = drafts;
  }

  #draftsChanged(): void {
    this.#turn++;
    this.check = null;
    clearTimeout(this.#timer);
    if (this.changed) this.#checkSoon();
    else this.problems = [];
  }

  #checkSoon(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#validate(), CHECK_AFTER_MS);
  }

  async #validate(): Promise<void> {
    const mine = ++this.#turn;
    try {
      const check = await this.#api.request("config:validate", this.#patch(), { timeoutMs: CHANGE_MS });
      if (mine !== this.#turn) return;
      this.check = check;
      this.problems = check.errors;
    } catch (error) {
      // The next connection checks again.
      if (mine === this.#turn && !isDisconnection(error)) this.problems = problemsOf(error);
    }
  }

  #patch(): Record<string, unknown> {
    const defaults = new Map(
      this.sections.flatMap(({ fields }) => fields.map(({ setting }) => [setting.path, setting.default] as const)),
    );
    return asTables(
      [...this.drafts].map(([path, { base, value }]) => [
        path,
        equal(value, defaults.get(path)) ? null : patchOf(base, value),
      ]),
    );
  }
}
