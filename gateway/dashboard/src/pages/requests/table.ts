/** Finished requests as tables for other programs, and what their ends mean. Pure. */

import type { RequestRecord } from "../../lib/api/contract";

export const ENDS: Readonly<Record<RequestRecord["end"], string>> = {
  done: "The engine's answer reached its end.",
  refused: "The proxy refused it before an engine was asked.",
  failed: "No engine answered.",
  cut: "The engine's answer broke off.",
  left: "Its caller went away.",
  cancelled: "It was cancelled from outside.",
};

export const FIELDS = [
  "id",
  "startedAt",
  "model",
  "endpoint",
  "caller",
  "status",
  "end",
  "queueMs",
  "loadMs",
  "firstTokenMs",
  "durationMs",
  "promptTokens",
  "cachedTokens",
  "completionTokens",
  "tokensPerSecond",
  "bytesIn",
  "bytesOut",
  "proxy",
] as const satisfies readonly (keyof RequestRecord)[];

/** RFC 4180, with a head. What a spreadsheet would take for a formula begins with a quote mark. */
export function csv(records: readonly RequestRecord[]): string {
  const lines = records.map((record) => FIELDS.map((field) => cell(record[field])).join(","));
  return [FIELDS.join(","), ...lines, ""].join("\r\n");
}

function cell(value: string | number | null): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
