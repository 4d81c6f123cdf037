/** What every input of a setting is given. */

import type { Setting } from "../../lib/api/contract";

export interface FieldParts {
  readonly setting: Setting;
  /** Where the value is: `llama.flags`, `models.atlas.aliases`. */
  readonly path: string;
  readonly id: string;
  /** Ids of what names and what describes it. */
  readonly labelledby: string;
  readonly describedby: string;
  readonly locked: boolean;
  readonly invalid: boolean;
}
