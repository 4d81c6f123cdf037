from __future__ import annotations

from typing import Literal

from common.api.system import ProcessStatus, SystemStatus
from deploy.presence import absent

WANTED = ["backplane", "runner-0", "gateway"]


def process(
    name: str, host: str = "here", status: Literal["running", "gone"] = "running"
) -> ProcessStatus:
    return ProcessStatus(
        name=name,
        kind="runner",
        host=host,
        pid=1,
        status=status,
        started_at="2024-01-15T10:30:00.000Z",
    )


def missing(*processes: ProcessStatus) -> tuple[str, ...]:
    return absent(WANTED, "here", SystemStatus(processes=processes, models=()))


def test_without_processes_all_are_missing_in_their_own_order() -> None:
    assert missing() == tuple(WANTED)


def test_a_process_that_is_gone_is_missing() -> None:
    assert missing(process("gateway", status="gone"), process("backplane")) == (
        "runner-0",
        "gateway",
    )


def test_a_process_of_another_host_does_not_count() -> None:
    assert missing(*(process(name, host="there") for name in WANTED)) == tuple(WANTED)


def test_addresses_count_and_further_processes_do_not_matter() -> None:
    there = [process(f"{name}@here") for name in WANTED]
    assert missing(*there, process("runner-9")) == ()
