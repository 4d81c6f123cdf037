"""The model and the engine's path in `/upstream/<model id>/<path>`.

Ids contain slashes, so where one ends only the known ids tell: the longest that fits counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import unquote

from gateway.proxy.endpoints import UPSTREAM_PREFIX


class UpstreamPath(NamedTuple):
    """`path` is still percent-encoded, as the engine is to get it; empty where there is none."""

    model_id: str
    path: str


def split(raw_path: str, known: Callable[[str], bool]) -> UpstreamPath | None:
    """Split a percent-encoded path; None where no part of it is an id that `known` knows."""
    segments = raw_path.removeprefix(UPSTREAM_PREFIX).split("/")
    for count in range(len(segments), 0, -1):
        model_id = unquote("/".join(segments[:count]))
        if known(model_id):
            rest = segments[count:]
            return UpstreamPath(model_id, "/" + "/".join(rest) if rest else "")
    return None


def wanted(raw_path: str) -> str:
    """What to call the model that was not found."""
    return unquote(raw_path.removeprefix(UPSTREAM_PREFIX))
