"""How long until all processes are there, and what does the stack cost when nobody uses it?

Reference: the promises, 5 s on 2 cores, 4 % of one core, 350 MB. Processor time and memory (PSS)
are summed over `up`, supervisord and all processes, with no model loaded.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._report import heading, median, ratio
from tests.support.stack import running_stack

STARTS = 3
SETTLE_S = 3.0
IDLE_S = 20.0


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """Processor time that they have used so far."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def pss_bytes(processes: list[psutil.Process]) -> int:
    """Memory, with what is shared counted in shares."""
    return sum(process.memory_full_info().pss for process in processes)


def main() -> None:
    """Start some times, then watch the last one idle."""
    heading("The whole stack: start, and idle", "pyzmq", "uvicorn", "supervisor")
    starts = []
    for number in range(STARTS):
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            started = time.perf_counter()
            with running_stack(Path(directory), {}) as stack:
                starts.append(time.perf_counter() - started)
                if number == STARTS - 1:
                    ratio("`up` to all present", median(starts), 5.0, "s", "at most 1")
                    report_idle(stack.processes())


def report_idle(processes: list[psutil.Process]) -> None:
    """Processor and memory over a while."""
    time.sleep(SETTLE_S)
    before = cpu_seconds(processes)
    time.sleep(IDLE_S)
    percent = (cpu_seconds(processes) - before) / IDLE_S * 100
    ratio("idle processor use", percent, 4.0, "% of a core", "at most 1")
    ratio("idle memory", pss_bytes(processes) / 1e6, 350.0, "MB PSS", "at most 1")
    for process in sorted(processes, key=lambda process: -process.memory_full_info().pss):
        name = next(
            (word for word in process.cmdline() if word.startswith(("workers.", "gateway"))),
            Path(process.cmdline()[-1]).name,
        )
        print(f"    {name}: {process.memory_full_info().pss / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
