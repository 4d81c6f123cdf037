"""What does the proxy add to a request whose answer is there at once?

References: nginx before the same engine, which is the limit, and the engine itself. Tokens are
checked and tokens counted. Requests per second come from `wrk` with 16 connections; how long one
request takes, from one connection that asks again and again.
"""

from __future__ import annotations

from benchmarks._entrances import Entrances, by_turns, entrances
from benchmarks._report import allowed, heading, median, ratio
from benchmarks._requests import Caller, request, wrk

CONNECTIONS = 16
ROUNDS = 7
ROUND_S = 2
REQUESTS = 500
PROMPT_BYTES = 1 << 20
PROMPTS = 40


def took_ms(ways: Entrances, content: bytes, count: int) -> dict[str, float]:
    """How long a request takes on the one connection that is open, by the name of the entrance."""
    callers = {entrance.name: Caller(entrance.port) for entrance in ways.all()}
    try:
        for caller in callers.values():
            caller.seconds(content, count // 4)  # warm
        return by_turns(
            ways, ROUNDS, lambda entrance: median(callers[entrance.name].seconds(content, count))
        )
    finally:
        for caller in callers.values():
            caller.close()


def measure(ways: Entrances) -> None:
    """Requests per second, then what is added to one, then to one with a long prompt."""
    per_s = by_turns(ways, ROUNDS, lambda entrance: wrk(entrance.port, CONNECTIONS, ROUND_S))
    print(f"  direct {per_s['direct']:.0f} requests/s at {CONNECTIONS} connections")
    ratio("requests/s, nginx", per_s["ours"], per_s["nginx"], "/s", "at least 0.25")
    if ways.llama_swap is not None:
        ratio("requests/s, llama-swap", per_s["ours"], per_s["llama-swap"], "/s", "at least 2")

    small = took_ms(ways, request(), REQUESTS)
    added = {name: (took - small["direct"]) * 1000 for name, took in small.items()}
    print(f"  direct {small['direct'] * 1000:.3f} ms, nginx adds {added['nginx']:.3f} ms")
    allowed("small request, added p50", added["ours"], 0.15 + 2 * added["nginx"], "ms")
    if ways.llama_swap is not None:
        ratio("added p50, llama-swap", added["ours"], added["llama-swap"], "ms", "at most 0.5")

    long = took_ms(ways, request(prompt_bytes=PROMPT_BYTES), PROMPTS)
    added = {name: (took - long["direct"]) * 1000 for name, took in long.items()}
    print(f"  with 1 MiB direct {long['direct'] * 1000:.2f} ms, nginx adds {added['nginx']:.2f} ms")
    allowed("prompt of 1 MiB, added p50", added["ours"], 3.0, "ms")


def main() -> None:
    """Measure."""
    heading("Proxy: what does it add to a small request?", "uvicorn", "uvloop", "httptools")
    with entrances() as ways:
        measure(ways)


if __name__ == "__main__":
    main()
