import { expect, it } from "vitest";

import type { RequestRecord } from "../../lib/api/contract";
import { settled, TestApi } from "../../lib/api/test_api";
import { RequestLog } from "./history.svelte";

const record = (id: string): RequestRecord => ({ id, model: "m", caller: "c", end: "done" }) as RequestRecord;

it("has each request once, also one that began before all that are shown", async () => {
  const api = new TestApi().answer("requests:history", ({ before }) =>
    before === undefined
      ? { requests: [record("3"), record("4")], more: true }
      : { requests: [record("1"), record("2")], more: false },
  );
  const log = new RequestLog(api);
  const stop = log.show({ model: "", caller: "", end: "" });
  await api.connect();
  await settled();
  api.tell("requests:finished", { requests: [record("2")], omitted: 0 });
  await log.older();
  expect(log.records.map(({ id }) => id)).toEqual(["2", "4", "3", "1"]);
  stop();
});
