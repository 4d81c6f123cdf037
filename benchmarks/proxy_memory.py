"""How much memory do requests, long streams and slow readers cost the proxy?

References: nginx before the same engine, and the promised bounds. Growth is that of the highest
resident memory since shortly before, as the kernel keeps it.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from benchmarks._entrances import Entrance, entrances
from benchmarks._report import allowed, heading
from benchmarks._requests import Caller, request
from benchmarks._streams import SlowReader, read_to_the_end

STREAMS = 20
CHUNKS, CHUNK_BYTES = 8_000, 2_650
"""20 MiB."""

SLOW_S = 20
SLOW_BYTES_PER_S = 1_000

WARM_REQUESTS = 1_000
REQUESTS = 10_000

MIB = 2**20


class Growth:
    """What a process and its children have taken since this was made, at most."""

    def __init__(self, entrance: Entrance) -> None:
        self._processes = [entrance.process, *entrance.process.children()]
        self._before_bytes = sum(process.memory_info().rss for process in self._processes)
        for process in self._processes:
            # proc(5): writing 5 resets the peak of the resident memory.
            Path(f"/proc/{process.pid}/clear_refs").write_text("5", "ascii")

    def mib(self) -> float:
        """In MiB."""
        peaks = sum(_peak_bytes(process.pid) for process in self._processes)
        return (peaks - self._before_bytes) / MIB


def _peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def requests_mib(entrance: Entrance) -> float:
    """What it takes for requests, after the first ones."""
    caller, content = Caller(entrance.port), request()
    caller.seconds(content, WARM_REQUESTS)
    growth = Growth(entrance)
    caller.seconds(content, REQUESTS - WARM_REQUESTS)
    caller.close()
    return growth.mib()


def streams_mib(entrance: Entrance) -> float:
    """What it takes for long streams that are read as fast as they come."""

    async def read_all() -> None:
        readers = (read_to_the_end(entrance.port, CHUNKS, CHUNK_BYTES) for _ in range(STREAMS))
        await asyncio.gather(*readers)

    growth = Growth(entrance)
    asyncio.run(read_all())
    return growth.mib()


def slow_readers_kib(entrance: Entrance) -> float:
    """What it takes for each of the clients that read slowly."""
    growth = Growth(entrance)
    readers = [SlowReader(entrance.port, CHUNKS, CHUNK_BYTES) for _ in range(STREAMS)]
    for _ in range(SLOW_S):
        for reader in readers:
            reader.take(SLOW_BYTES_PER_S)
        time.sleep(1)
    grown_mib = growth.mib()
    for reader in readers:
        reader.close()
    return grown_mib * 1024 / STREAMS


def measure(entrance: Entrance) -> None:
    """One of them after the other."""
    name = entrance.name
    allowed(f"{name}: {REQUESTS} requests", requests_mib(entrance), 5.0, "MiB")
    # What the long streams take and give back would hide what the slow readers take.
    allowed(f"{name}: one slow reader", slow_readers_kib(entrance), 256.0, "KiB")
    allowed(f"{name}: {STREAMS} streams of 20 MiB", streams_mib(entrance), 50.0, "MiB")


def main() -> None:
    """Measure."""
    heading("Proxy: how much memory does it take?", "uvicorn", "uvloop", "httptools")
    with entrances() as ways:
        for entrance in ways.all()[1:]:
            measure(entrance)


if __name__ == "__main__":
    main()
