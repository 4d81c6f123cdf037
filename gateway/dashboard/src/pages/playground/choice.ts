/** Which models can be chatted with, and why not the others. Pure. */

import type { ModelInfo } from "../../lib/api/contract";
import type { Model } from "../../lib/stores/models.svelte";

export interface Choices {
  readonly loaded: readonly Model[];
  readonly onDemand: readonly Model[];
  readonly unfit: readonly { readonly id: string; readonly why: string }[];
}

/** `unfit`: by id, what a model's file says against it. */
export function choicesOf(models: readonly Model[], unfit: ReadonlyMap<string, string>): Choices {
  const sorted = [...models].sort((a, b) => a.id.localeCompare(b.id));
  const fit = sorted.filter((model) => whyNot(model, unfit) === null);
  return {
    loaded: fit.filter(({ status }) => status === "loaded"),
    onDemand: fit.filter(({ status }) => status !== "loaded"),
    unfit: sorted.flatMap((model) => {
      const why = whyNot(model, unfit);
      return why === null ? [] : [{ id: model.id, why }];
    }),
  };
}

/** Why a model cannot be chatted with; null: it can. */
export function whyNot(model: Model, unfit: ReadonlyMap<string, string>): string | null {
  if (model.status === "error") return model.reason ?? "It is in error, and nobody said why";
  return unfit.get(model.id) ?? null;
}

/** What a file's header says against chatting; null: nothing. */
export function whyHeaderIsUnfit({ parameters }: ModelInfo): string | null {
  const about = parameters?.["Model"];
  // llama.cpp's pooling types: 4 ranks documents, the others but 0 make embeddings.
  const pooling = about?.["pooling_type"];
  if (pooling === 4) return "It ranks documents; it does not chat";
  if (about?.["attention.causal"] === false || (typeof pooling === "number" && pooling > 0)) {
    return "It makes embeddings; it does not chat";
  }
  return null;
}

/** What to begin with: the one from before, one that is loaded, or any. */
export function firstChoice({ loaded, onDemand }: Choices, before: string): string {
  const fit = [...loaded, ...onDemand];
  return (fit.find(({ id }) => id === before) ?? fit[0])?.id ?? "";
}
