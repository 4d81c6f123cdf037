/** Remarks on a preset: where they belong, and what they propose. Pure. */

import type { ConfigFinding } from "../../lib/api/contract";
import type { Flags } from "./flags";
import type { Document } from "./ini";
import { isKey, sectionProblem } from "./lines";

/** Replaces a key, or a section's name. */
export interface Suggestion {
  readonly of: "key" | "section";
  readonly to: string;
}

/** The line that it is about, from 0; the first where it is about the whole. */
export function lineOf(finding: ConfigFinding, document: Document): number {
  const told = /^line (\d+): /.exec(finding.message)?.[1];
  if (finding.section === "" && told !== undefined) return Number(told) - 1;
  return document.lineOf(finding.section, finding.key) ?? document.lineOf(finding.section) ?? 0;
}

/** What it says, where section and key can be seen. */
export function remark(finding: ConfigFinding): string {
  const where = `[${finding.section}]${finding.key === "" ? "" : ` ${finding.key}`}: `;
  const text = finding.message.startsWith(where) ? finding.message.slice(where.length) : finding.message;
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What the sentence itself names, where that is one key, or one model, and really is there. */
export function suggestion(
  finding: ConfigFinding,
  flags: Flags | null,
  models: ReadonlySet<string>,
): Suggestion | null {
  const near = /; did you mean (.+?)\?(?:; \* is for all models)?$/.exec(finding.message)?.[1];
  if (finding.key === "") {
    const fits = near !== undefined && models.has(near) && sectionProblem(near) === null;
    return fits ? { of: "section", to: near } : null;
  }
  const successor = /; use ([^ ,;]+)$/.exec(finding.message)?.[1];
  const to = near ?? successor;
  const known = to !== undefined && isKey(to) && flags?.find(to)?.reserved === false;
  return known ? { of: "key", to } : null;
}

export function ofEntry(
  findings: readonly ConfigFinding[],
  section: string,
  key: string,
): readonly ConfigFinding[] {
  return findings.filter((finding) => finding.section === section && finding.key === key);
}

export function count(findings: readonly ConfigFinding[], severity: ConfigFinding["severity"]): number {
  return findings.filter((finding) => finding.severity === severity).length;
}
