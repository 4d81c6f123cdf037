"""Times as clients see them: ISO-8601 in UTC with milliseconds and a `Z`."""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime

from common.errors import InvalidRequest


def iso(unix_s: float) -> str:
    """`2024-01-15T10:30:00.000Z` for a time in seconds since 1970."""
    second, rest_us = divmod(round(unix_s * 1_000_000), 1_000_000)
    return f"{_to_the_second(second)}.{rest_us // 1_000:03}Z"


# Many records and log lines are of the same second.
@functools.lru_cache(maxsize=16)
def _to_the_second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat().removesuffix("+00:00")


def now() -> str:
    """The time it is."""
    return iso(time.time())


def parse(text: str, field: str) -> float:
    """Seconds since 1970 for an ISO-8601 time (UTC where it says no zone).

    Raises `InvalidRequest`, naming `field`.
    """
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.timestamp()
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"{field}: {text[:64]!r} is not a time; give ISO-8601, like 2024-01-15T10:30:00.000Z"
        ) from error
