/** What may be meant where a setting takes ids of models; anything else is taken, too. */

import { models } from "../../lib/stores";

export function suggestionsFor(path: string): readonly string[] {
  return path === "models" || path === "llama.preload" ? models.all.map(({ id }) => id) : [];
}
