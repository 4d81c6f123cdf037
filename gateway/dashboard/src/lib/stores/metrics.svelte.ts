/** The newest figures, once a second, and the last hour of each host. */

import { collect, type Collection } from "../api/collection";
import type { Api } from "../api/connection.svelte";
import type { History, HostGpu, HostHistory, Metrics as Figures } from "../api/contract";
import { Series } from "./series";

const INTERVAL_MS = 1_000;
const HOUR_S = 3_600;

/** One GPU: its newest figures, and `[usage %, memory bytes, °C, W]` over time. */
export interface GpuTrack {
  readonly uuid: string;
  readonly name: string;
  readonly series: Series;
}

/** One host: `[cpu %, memory bytes]` over time, and its GPUs. */
export interface HostTrack {
  readonly host: string;
  readonly series: Series;
  gpus: GpuTrack[];
}

export class Metrics {
  readonly status = $state({ loading: true, error: null as string | null });
  newest = $state.raw<Figures | null>(null);
  /** The hosts' tracks are plain arrays, for speed; this grows whenever they change. */
  version = $state(0);
  tracks: HostTrack[] = [];
  readonly collection: Collection;

  constructor(api: Api) {
    this.collection = collect<History>(api, {
      status: this.status,
      fetch: async () => {
        await api.request("metrics:subscribe", { intervalMs: INTERVAL_MS });
        return api.request("metrics:history", { seconds: HOUR_S });
      },
      reset: (history) => this.#reset(history.hosts),
      events: { "metrics:update": (figures) => this.#update(figures) },
    });
  }

  gpusOf(host: string): readonly HostGpu[] {
    return this.newest?.gpu.filter((gpu) => gpu.host === host) ?? [];
  }

  #reset(hosts: readonly HostHistory[]): void {
    this.tracks = hosts.map(trackOf);
    this.version++;
  }

  #update(figures: Figures): void {
    this.newest = figures;
    for (const { host, system, timestamp } of figures.hosts) {
      const time = Date.parse(timestamp) / 1000;
      const track = this.#track(host);
      track.series.push(time, [system.cpu.usage, system.memory.used]);
      for (const gpu of figures.gpu.filter((each) => each.host === host)) {
        gpuTrack(track, gpu).series.push(time, [
          gpu.usage,
          gpu.memoryUsed,
          gpu.temperature,
          gpu.power,
        ]);
      }
    }
    this.version++;
  }

  #track(host: string): HostTrack {
    let track = this.tracks.find((known) => known.host === host);
    if (track === undefined) {
      track = { host, series: new Series(2, HOUR_S), gpus: [] };
      this.tracks = [...this.tracks, track].sort((a, b) => a.host.localeCompare(b.host));
    }
    return track;
  }
}

function gpuTrack(track: HostTrack, { uuid, name }: { uuid: string; name: string }): GpuTrack {
  let gpu = track.gpus.find((known) => known.uuid === uuid);
  if (gpu === undefined) {
    gpu = { uuid, name, series: new Series(4, HOUR_S) };
    track.gpus = [...track.gpus, gpu];
  }
  return gpu;
}

function trackOf(history: HostHistory): HostTrack {
  const track: HostTrack = { host: history.host, series: new Series(2, HOUR_S), gpus: [] };
  const gpus = history.gpu.map((gpu) => ({ gpu, track: gpuTrack(track, gpu) }));
  history.timesMs.forEach((timeMs, index) => {
    const time = timeMs / 1000;
    const at = <T>(values: readonly T[]): T | null => values[index] ?? null;
    track.series.push(time, [at(history.cpuUsage), at(history.memoryUsed)]);
    for (const { gpu, track: own } of gpus) {
      own.series.push(time, [
        at(gpu.usage),
        at(gpu.memoryUsed),
        at(gpu.temperature),
        at(gpu.power),
      ]);
    }
  });
  return track;
}
