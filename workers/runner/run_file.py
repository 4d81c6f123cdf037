"""What a runner's successor must know of an engine, on disk before and while the engine runs.

The intent (without pid) is written before the engine is started, the whole right after. The engine
carries its instance in its environment, so one that was started between the two is found as well.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from common.home import RUN_FILE_SUFFIX

logger = logging.getLogger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class RunFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One engine. `started_ticks` (clock ticks after boot) and the boot id name its pid for ever.

    `flags` are what it is started with, of `preset` and `llama.flags` (null: written by 0.1.0).
    `ready_at` is in seconds since 1970 and null while it loads. `output_start` and
    `output_next_start` are told by `output_space`. Holds the engine's key: mode 0600.
    """

    instance_id: str
    model_id: str
    path: str
    size: int
    timeout_s: float
    runner: str
    host: str
    port: int
    api_key: str
    boot_id: str
    pid: int | None = None
    started_ticks: int | None = None
    ready_at: float | None = None
    flags: dict[str, str] | None = None
    preset: str | None = None
    output_start: int = 0
    output_next_start: int | None = None


def boot_id() -> str:
    """Differs after each boot of the machine."""
    return BOOT_ID.read_text().strip()


def write(directory: Path, run: RunFile) -> None:
    """Write or replace an instance's file, whole or not at all."""
    path = _path(directory, run.instance_id)
    fresh = path.with_suffix(".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(run))
    fresh.replace(path)


def remove(directory: Path, instance_id: str) -> None:
    """The engine is gone and accounted for."""
    _path(directory, instance_id).unlink(missing_ok=True)


def read_all(directory: Path) -> Iterator[RunFile]:
    """Every readable file; one that is not is logged and removed."""
    for path in sorted(directory.glob(f"*{RUN_FILE_SUFFIX}")):
        try:
            yield msgspec.json.decode(path.read_bytes(), type=RunFile)
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("%s is no run-file and is removed: %s", path, error)
            path.unlink(missing_ok=True)


def _path(directory: Path, instance_id: str) -> Path:
    return directory / f"{instance_id}{RUN_FILE_SUFFIX}"
