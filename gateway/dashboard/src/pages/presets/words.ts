/** How presets, their users and their sections are told to people. Pure. */

import type { Preset } from "../../lib/api/contract";
import { plural } from "../../lib/format";

/** Ids, and `*` for all that use no other: which use `default` where nobody has chosen for them. */
export function usersOf(filename: string, presets: readonly Preset[]): readonly string[] {
  const users = presets.find((preset) => preset.filename === filename)?.appliedTo ?? [];
  const chosen = presets.some(({ appliedTo }) => appliedTo?.includes("*"));
  return filename === "default" && !chosen ? ["*", ...users] : users;
}

/** Few names in full, many as a number; empty where nobody uses it. */
export function usedBy(appliedTo: readonly string[]): string {
  if (appliedTo.length === 0) return "";
  const models = appliedTo.filter((id) => id !== "*");
  const everyone = models.length < appliedTo.length;
  const some = models.length <= 2 ? models.join(" and ") : plural(models.length, "model");
  if (!everyone) return `Used by ${some}`;
  return models.length === 0 ? "Used by all models without another" : `Used by ${some}, and all models without another`;
}

export function isGroup(section: string): boolean {
  return section !== "*" && /[*?]/.test(section);
}

/** What a section is for. */
export function sectionLabel(section: string): string {
  if (section === "*") return "All models";
  return isGroup(section) ? `Group ${section}` : section;
}

/** Whether a model belongs to a group: `*` is any text, `?` one character. */
export function inGroup(id: string, group: string): boolean {
  // As one loop with one step back, since patterns of many stars would take for ever otherwise.
  const [text, pattern] = [[...id], [...group]];
  let [at, place, star, mark] = [0, 0, -1, 0];
  while (at < text.length) {
    if (pattern[place] === "*") {
      star = place++;
      mark = at;
    } else if (pattern[place] === "?" || pattern[place] === text[at]) {
      place++;
      at++;
    } else if (star >= 0) {
      place = star + 1;
      at = ++mark;
    } else return false;
  }
  while (pattern[place] === "*") place++;
  return place === pattern.length;
}
