/** Figures as people read them. Pure; the exact value goes into a `title` beside it. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** What stands where there is no figure. */
export const NONE = "–";

/** Three digits at most: `4.58 GB`, `640 kB`. */
export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined || !Number.isFinite(count)) return NONE;
  let value = Math.abs(count);
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${count < 0 ? "−" : ""}${unit === 0 ? value : digits(value)} ${BYTE_UNITS[unit]}`;
}

export function exactBytes(count: number | null | undefined): string {
  return count === null || count === undefined ? "" : `${integer(count)} bytes`;
}

/** `380 ms`, `4.5 s`, `2 min 5 s`, `3 h 2 min`, `5 d 4 h`: two units at most. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || !Number.isFinite(ms)) return NONE;
  if (ms < 0) return duration(0);
  if (ms < 999.5) return `${ms < 9.95 && ms > 0 ? ms.toFixed(1) : Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  for (const [size, name, lesserSize, lesser] of [
    [86_400, "d", 3_600, "h"],
    [3_600, "h", 60, "min"],
    [60, "min", 1, "s"],
  ] as const) {
    if (seconds < size) continue;
    const rest = Math.floor((seconds % size) / lesserSize);
    return `${Math.floor(seconds / size)} ${name}${rest === 0 ? "" : ` ${rest} ${lesser}`}`;
  }
  return `${seconds} s`;
}

/** `now`, `12 s ago`, `in 3 min`: one unit, since it is read while it changes. */
export function relativeTime(time: number | string | null | undefined, now: number): string {
  const at = milliseconds(time);
  if (at === null) return NONE;
  const seconds = Math.round((at - now) / 1000);
  const distance = Math.abs(seconds);
  if (distance < 1) return "now";
  const [size, name] =
    distance < 60
      ? ([1, "s"] as const)
      : distance < 3_600
        ? ([60, "min"] as const)
        : distance < 86_400
          ? ([3_600, "h"] as const)
          : ([86_400, "d"] as const);
  const text = `${Math.floor(distance / size)} ${name}`;
  return seconds < 0 ? `${text} ago` : `in ${text}`;
}

/** Time of day in the reader's zone, with the date where it is another day's. */
export function clockTime(time: number | string | null | undefined, now: number): string {
  const at = milliseconds(time);
  if (at === null) return NONE;
  const date = new Date(at);
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return new Date(now).toDateString() === date.toDateString() ? clock : `${day(date)} ${clock}`;
}

/** Time of day with milliseconds, in the reader's zone. */
export function preciseTime(time: number | string | null | undefined): string {
  const at = milliseconds(time);
  if (at === null) return NONE;
  const date = new Date(at);
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}

/** Everything, for a `title`: `2026-01-15 10:30:00.000 +01:00`. */
export function exactTime(time: number | string | null | undefined): string {
  const at = milliseconds(time);
  if (at === null) return "";
  const date = new Date(at);
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? "−" : "+"}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day(date)} ${clock}.${String(date.getMilliseconds()).padStart(3, "0")} ${zone}`;
}

/** `52.1 tok/s`. */
export function rate(perSecond: number | null | undefined, unit = "tok/s"): string {
  if (perSecond === null || perSecond === undefined || !Number.isFinite(perSecond)) return NONE;
  return `${digits(perSecond)} ${unit}`;
}

export function percent(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return `${Math.round(value)} %`;
}

/** A thousands separator that is no full stop and no comma, the same for all readers. */
export function integer(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** `1.52 k`, `7.62 B`: how parameters and tokens are counted. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  if (Math.abs(value) < 1_000) return integer(value);
  for (const [size, name] of [
    [1e12, "T"],
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "k"],
  ] as const) {
    if (Math.abs(value) >= size * 0.9995) return `${digits(value / size)} ${name}`;
  }
  return integer(value);
}

/** `1 model`, `3 models`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${integer(value)} ${value === 1 ? one : many}`;
}

/** ISO-8601 or ms since 1970 as ms; null where it is neither. */
export function milliseconds(time: number | string | null | undefined): number | null {
  if (time === null || time === undefined) return null;
  const at = typeof time === "number" ? time : Date.parse(time);
  return Number.isFinite(at) ? at : null;
}

/** The value below which `share` of them are; null of none. */
export function percentile(values: readonly number[], share: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
}

function digits(value: number): string {
  const size = Math.abs(value);
  if (size >= 999.5) return integer(value);
  return value.toFixed(size < 9.995 ? 2 : size < 99.95 ? 1 : 0);
}

function day(date: Date): string {
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
