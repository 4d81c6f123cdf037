import { expect, test } from "vitest";

import type { RequestRecord } from "../../lib/api/contract";
import { csv, FIELDS } from "./table";

const RECORD: RequestRecord = {
  id: "a-1",
  model: 'team/"q", 7b',
  endpoint: "/v1/chat/completions",
  caller: "=cmd()",
  proxy: "proxy@h",
  startedAt: "2026-01-15T10:30:00.000Z",
  queueMs: 0,
  loadMs: 1.5,
  firstTokenMs: null,
  durationMs: 12,
  bytesIn: 1,
  bytesOut: 2,
  status: 200,
  promptTokens: null,
  cachedTokens: 0,
  completionTokens: 3,
  tokensPerSecond: 4.25,
  end: "done",
};

test("a head, a line a request, and nothing that a spreadsheet would run", () => {
  const [head, line, rest] = csv([RECORD]).split("\r\n");
  expect(head).toBe(FIELDS.join(","));
  expect(line).toBe(
    'a-1,2026-01-15T10:30:00.000Z,"team/""q"", 7b",/v1/chat/completions,\'=cmd(),200,done,0,1.5,,12,,0,3,4.25,1,2,proxy@h',
  );
  expect(rest).toBe("");
});
