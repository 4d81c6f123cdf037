/** Which rows of a long list are in sight. Pure; all rows have one height. */

export interface Window {
  readonly first: number;
  /** One behind the last. */
  readonly end: number;
  readonly before: number;
  readonly behind: number;
}

const MARGIN_ROWS = 20;

/** `top` is how far the list is scrolled, `height` what is seen of it; all in pixels. */
export function windowOf(count: number, row: number, top: number, height: number): Window {
  const first = Math.max(0, Math.min(count, Math.floor(top / row) - MARGIN_ROWS));
  const end = Math.min(count, Math.ceil((top + height) / row) + MARGIN_ROWS);
  return { first, end: Math.max(first, end), before: first * row, behind: (count - Math.max(first, end)) * row };
}
