import { describe, expect, it } from "vitest";

import {
  bytes,
  clockTime,
  count,
  duration,
  exactBytes,
  exactTime,
  integer,
  percent,
  percentile,
  plural,
  rate,
  relativeTime,
} from "./format";

describe("bytes", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1_000, "1.00 kB"],
    [999_499, "999 kB"],
    [999_999, "1.00 MB"],
    [4_580_140_000, "4.58 GB"],
    [17_179_869_184, "17.2 GB"],
    [-2_000, "−2.00 kB"],
    [5e18, "5\u202f000 PB"],
    [null, "–"],
    [Number.NaN, "–"],
  ])("%s is %s", (value, text) => expect(bytes(value)).toBe(text));

  it("is exact on demand", () => expect(exactBytes(4_580_140_000)).toBe("4\u202f580\u202f140\u202f000 bytes"));
});

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [4.26, "4.3 ms"],
    [380.4, "380 ms"],
    [999.6, "1.0 s"],
    [4_530, "4.5 s"],
    [59_949, "59.9 s"],
    [59_960, "1 min"],
    [125_000, "2 min 5 s"],
    [3_600_000, "1 h"],
    [10_920_000, "3 h 2 min"],
    [446_400_000, "5 d 4 h"],
    [-5, "0 ms"],
    [undefined, "–"],
  ])("%s ms is %s", (value, text) => expect(duration(value)).toBe(text));
});

describe("relativeTime", () => {
  const now = Date.parse("2026-01-15T10:30:00Z");
  it.each([
    [now, "now"],
    [now - 12_000, "12 s ago"],
    ["2026-01-15T10:29:00.000Z", "1 min ago"],
    [now + 190_000, "in 3 min"],
    [now - 7_300_000, "2 h ago"],
    [now - 3 * 86_400_000, "3 d ago"],
    ["nonsense", "–"],
    [null, "–"],
  ])("%s is %s", (time, text) => expect(relativeTime(time, now)).toBe(text));
});

describe("times", () => {
  it("leave out the day only where it is today's", () => {
    const at = new Date(2026, 0, 15, 9, 5, 3, 7);
    expect(clockTime(at.getTime(), at.getTime())).toBe("09:05:03");
    expect(clockTime(at.getTime(), at.getTime() + 86_400_000)).toBe("2026-01-15 09:05:03");
    expect(exactTime(at.getTime())).toMatch(/^2026-01-15 09:05:03\.007 [+−]\d\d:\d\d$/);
  });
});

describe("figures", () => {
  it.each([
    [rate(52.13), "52.1 tok/s"],
    [rate(null), "–"],
    [percent(45.2), "45 %"],
    [percent(undefined), "–"],
    [integer(1234567), "1\u202f234\u202f567"],
    [count(950), "950"],
    [count(1_520), "1.52 k"],
    [count(7_615_616_512), "7.62 B"],
    [plural(1, "model"), "1 model"],
    [plural(0, "model"), "0 models"],
    [plural(2, "process", "processes"), "2 processes"],
  ])("%s is %s", (given, text) => expect(given).toBe(text));

  it("percentiles are among the values", () => {
    expect(percentile([], 0.5)).toBeNull();
    expect(percentile([3, 1, 2], 0.5)).toBe(2);
    expect(percentile([3, 1, 2], 0.95)).toBe(3);
    expect(percentile([10], 1)).toBe(10);
  });
});
