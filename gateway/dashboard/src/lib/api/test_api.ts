/** A gateway for tests of stores: they answer its requests and tell its events. */

import type { Api } from "./connection.svelte";
import type { CommandName, Commands, EventName, Events } from "./contract";

type Answer = (payload: never) => unknown;

export class TestApi implements Api {
  readonly asked: { name: CommandName; payload: unknown }[] = [];
  connected = false;
  readonly #answers = new Map<string, Answer>();
  readonly #listeners = new Map<string, Set<(payload: never) => void>>();
  readonly #connectedListeners = new Set<() => void>();

  answer<Name extends CommandName>(
    name: Name,
    answer: (
      payload: Commands[Name]["request"],
    ) => Commands[Name]["reply"] | Promise<Commands[Name]["reply"]>,
  ): this {
    this.#answers.set(name, answer as Answer);
    return this;
  }

  async request<Name extends CommandName>(
    name: Name,
    payload: Commands[Name]["request"],
  ): Promise<Commands[Name]["reply"]> {
    this.asked.push({ name, payload });
    const answer = this.#answers.get(name);
    if (answer === undefined) throw new Error(`no answer to ${name}`);
    return (await answer(payload as never)) as Commands[Name]["reply"];
  }

  on<Name extends EventName>(name: Name, listener: (payload: Events[Name]) => void): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners);
    listeners.add(listener as (payload: never) => void);
    return () => listeners.delete(listener as (payload: never) => void);
  }

  onConnected(listener: () => void): () => void {
    this.#connectedListeners.add(listener);
    if (this.connected) listener();
    return () => this.#connectedListeners.delete(listener);
  }

  /** As after a connection or a reconnection; all answers have arrived when this is over. */
  async connect(): Promise<void> {
    this.connected = true;
    for (const listener of this.#connectedListeners) listener();
    await settled();
  }

  tell<Name extends EventName>(name: Name, payload: Events[Name]): void {
    for (const listener of this.#listeners.get(name) ?? []) listener(payload as never);
  }
}

/** Once every promise that could settle has. */
export async function settled(): Promise<void> {
  for (let round = 0; round < 20; round++) await Promise.resolve();
}
