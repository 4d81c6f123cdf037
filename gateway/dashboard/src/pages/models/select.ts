/** Which models the table shows. Pure. */

import { isRunning, type Model } from "../../lib/stores/models.svelte";

export const STATES = ["all", "running", "unloaded", "error"] as const;

export type StateFilter = (typeof STATES)[number];

export function stateFilterOf(text: string | undefined): StateFilter {
  return STATES.find((known) => known === text) ?? "all";
}

/** Those in that state whose id or file has every word of `search`, in any case. */
export function select(
  models: readonly Model[],
  search: string,
  state: StateFilter,
): readonly Model[] {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return models.filter((model) => {
    if (!isIn(model, state)) return false;
    const text = `${model.id} ${model.name}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function isIn(model: Model, state: StateFilter): boolean {
  if (state === "all") return true;
  if (state === "running") return isRunning(model.status);
  return model.status === state;
}
