"""What does the proxy take from streams: of their chunks per second, and of a chunk's time?

References: the engine itself, and nginx before it. Flat out, `wrk` reads streams of 200 chunks on
16 connections. At a pace, 500 clients read at the same time and see how old each chunk is.
"""

from __future__ import annotations

from statistics import quantiles

import uvloop

from benchmarks._entrances import Entrances, by_turns, entrances
from benchmarks._report import allowed, heading, ratio
from benchmarks._requests import stream_of, wrk
from benchmarks._streams import CHUNK_BYTES, delays_ms

CONNECTIONS = 16
CHUNKS = 200
ROUNDS = 5
ROUND_S = 3

STREAMS = 500
PACED_ROUNDS = 3
PACED_S = 5
BOUND_MS = 30.0


def flat_out(ways: Entrances) -> None:
    """Chunks per second."""
    stream = stream_of(CHUNKS, CHUNK_BYTES)
    per_s = by_turns(ways, ROUNDS, lambda way: CHUNKS * wrk(way.port, CONNECTIONS, ROUND_S, stream))
    ratio("chunks/s flat out, direct", per_s["ours"], per_s["direct"], "/s", "at least 0.65")
    ratio("chunks/s flat out, nginx", per_s["ours"], per_s["nginx"], "/s", "the limit")
    if ways.llama_swap is not None:
        ratio("chunks/s flat out, llama-swap", per_s["ours"], per_s["llama-swap"], "/s", "above 1")


def paced(ways: Entrances, per_s: int, rounds: int = 1) -> dict[str, float]:
    """By name, the age that one chunk in a hundred exceeds, in ms."""
    return by_turns(
        ways,
        rounds,
        lambda way: quantiles(uvloop.run(delays_ms(way.port, STREAMS, per_s, PACED_S)), n=100)[98],
    )


def measure(ways: Entrances) -> None:
    """Flat out, then at two paces."""
    flat_out(ways)
    p99_ms = paced(ways, 10, PACED_ROUNDS)
    print(f"  {STREAMS} streams of 10 chunks/s: p99 " + _list(p99_ms))
    allowed("delay of a chunk, p99", p99_ms["ours"], p99_ms["direct"] + BOUND_MS, "ms")
    print(f"  {STREAMS} streams of 50 chunks/s: p99 " + _list(paced(ways, 50)))


def _list(p99_ms: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f} ms" for name, value in p99_ms.items())


def main() -> None:
    """Measure."""
    heading("Proxy: what does it take from streams?", "uvicorn", "uvloop", "httptools")
    with entrances() as ways:
        measure(ways)


if __name__ == "__main__":
    main()
