"""What the kernel tells about a process under /proc (man 5 proc)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True)
class ProcessStat:
    """From /proc/PID/stat; `started_at` is in clock ticks after boot."""

    state: str
    parent_pid: int
    threads: int
    started_at: int

    @property
    def is_zombie(self) -> bool:
        """Ended, but not yet reaped by its parent. Not while other threads of it are still ending:
        they hold its memory.
        """
        return self.state == "Z" and self.threads <= 1


def read_stat(pid: int) -> ProcessStat | None:
    """What a process is doing, or None if there is none with this pid."""
    try:
        text = (_PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in parentheses and may itself hold any of them.
    fields = text.rpartition(")")[2].split()
    return ProcessStat(
        state=fields[0],
        parent_pid=int(fields[1]),
        threads=int(fields[17]),
        started_at=int(fields[19]),
    )


def family(pid: int) -> Iterator[int]:
    """A process, then its living descendants; these are searched for only if wanted."""
    yield pid
    parents = {
        int(entry.name): stat.parent_pid
        for entry in _PROC.iterdir()
        if entry.name.isdecimal() and (stat := read_stat(int(entry.name)))
    }
    members = {pid}
    while found := {child for child, parent in parents.items() if parent in members} - members:
        members |= found
        yield from found


def load_progress(pid: int, model_bytes: int) -> float | None:
    """How much of its model an engine has brought into memory, 0 to 1; None once it is gone.

    llama.cpp does not print it, so it is seen from outside: a mapped file shows as resident file
    pages, one that is read as characters read. Code pages count as well, so a model of a few MiB
    seems complete at once. It may fall again; callers keep the highest value.
    """
    process = _PROC / str(pid)
    try:
        mapped_kib = _field((process / "status").read_text(), "RssFile:")
        read_bytes = _field((process / "io").read_text(), "rchar:")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    if mapped_kib is None or read_bytes is None:
        return None
    return min(max(mapped_kib * 1024, read_bytes) / max(model_bytes, 1), 1.0)


def _field(text: str, label: str) -> int | None:
    for line in text.splitlines():
        if line.startswith(label):
            return int(line.split()[1])
    return None  # a zombie has no memory to report
