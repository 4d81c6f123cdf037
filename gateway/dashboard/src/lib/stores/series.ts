/** Columns over time, oldest first, bounded: what charts draw. Pure. */

export class Series {
  /** Seconds since 1970, as uPlot wants them. */
  readonly times: number[] = [];
  readonly columns: (number | null)[][];

  constructor(
    columns: number,
    private readonly maxSeconds: number,
  ) {
    this.columns = Array.from({ length: columns }, () => []);
  }

  /** A point; what is not newer than the newest is dropped. */
  push(time: number, values: readonly (number | null)[]): void {
    const newest = this.times.at(-1);
    if (newest !== undefined && time <= newest) return;
    this.times.push(time);
    this.columns.forEach((column, index) => column.push(values[index] ?? null));
    this.#forget(time - this.maxSeconds);
  }

  /** Forget what was then and later, since it is told anew. */
  dropFrom(time: number): void {
    let kept = this.times.length;
    while (kept > 0 && (this.times[kept - 1] ?? 0) >= time) kept--;
    this.times.length = kept;
    for (const column of this.columns) column.length = kept;
  }

  clear(): void {
    this.times.length = 0;
    for (const column of this.columns) column.length = 0;
  }

  #forget(before: number): void {
    let old = 0;
    while (old < this.times.length && (this.times[old] ?? 0) < before) old++;
    if (old === 0) return;
    this.times.splice(0, old);
    for (const column of this.columns) column.splice(0, old);
  }
}
