/** Which models the table shows. Pure. */

import type { ModelDetails } from "../../lib/api/contract";
import { isRunning, type Model } from "../../lib/stores/models.svelte";

export const STATES = ["all", "running", "unloaded", "error"] as const;

export type StateFilter = (typeof STATES)[number];

export function stateFilterOf(text: string | undefined): StateFilter {
  return STATES.find((known) => known === text) ?? "all";
}

/** Those in that state with every word of `search`, in any case, in their id, file, architecture,
 * quantization or runner.
 */
export function select(
  models: readonly Model[],
  search: string,
  state: StateFilter,
  details: ReadonlyMap<string, ModelDetails>,
): readonly Model[] {
  const words = search.toLowerCase().split(/\s+/).filter((word) => word !== "");
  return models.filter((model) => {
    if (!isIn(model, state)) return false;
    const known = details.get(model.id);
    const text = [model.id, model.name, known?.architecture, known?.quantization, known?.runner]
      .join(" ")
      .toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function isIn(model: Model, state: StateFilter): boolean {
  if (state === "all") return true;
  if (state === "running") return isRunning(model.status);
  return model.status === state;
}
