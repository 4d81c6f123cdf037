"""Records of requests as a test needs them."""

from __future__ import annotations

from typing import Any

import msgspec

from common import timestamps
from common.api.requests import AppendRecords, NumberedRecord, RequestInFlight, RequestRecord

PROXY = "proxy@testhost"

_RECORD = RequestRecord(
    id="",
    model="tiny",
    endpoint="/v1/chat/completions",
    caller="everybody",
    proxy=PROXY,
    started_at="2024-01-15T10:30:00.000Z",
    queue_ms=0.0,
    load_ms=1.5,
    first_token_ms=2.25,
    duration_ms=3.125,
    bytes_in=10,
    bytes_out=20,
    status=200,
    prompt_tokens=5,
    cached_tokens=None,
    completion_tokens=7,
    tokens_per_second=99.5,
    end="done",
)


def made(number: int, **changes: Any) -> RequestRecord:
    """The record of request `number` of a proxy."""
    return msgspec.structs.replace(_RECORD, id=f"{PROXY}/1-{number:x}", **changes)


def under_way(began_s: float, **other: Any) -> RequestInFlight:
    """A request that began then; of those that wait it has no figures."""
    known = msgspec.structs.asdict(made(0))
    shared = {name: known[name] for name in RequestInFlight.__struct_fields__ if name in known}
    told = {"queue_ms": 0.0, "load_ms": 0.0, "state": "answering"}
    return RequestInFlight(**(shared | told | {"started_at": timestamps.iso(began_s)} | other))


def batch(*records: RequestRecord, first: int = 1, dropped: int = 0) -> AppendRecords:
    """As a proxy delivers them, numbered from `first`."""
    numbered = tuple(
        NumberedRecord(sequence=sequence, record=record)
        for sequence, record in enumerate(records, first)
    )
    return AppendRecords(sender=PROXY, epoch=1, records=numbered, dropped=dropped)
