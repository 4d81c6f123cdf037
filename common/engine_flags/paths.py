"""Whether the files that flags name lie where engines may read."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from common.engine_flags.words import is_decimal

_WITH_SCALE = frozenset({"lora-scaled", "control-vector-scaled"})
_LISTS = frozenset({"lora", "control-vector"}) | _WITH_SCALE


def check_path(value: str, roots: Collection[Path], private: Collection[Path] = ()) -> str | None:
    """Why an engine may not be given this path; None where it may.

    It must be absolute, since nobody should depend on where an engine was started, and lie below
    one of `roots` and below none of `private`, with all links followed. Asks the disk: it blocks.
    """
    if not value or "\0" in value:
        return "it is not a path"
    if not value.startswith("/"):
        return "it must be an absolute path"
    try:
        real = Path(os.path.realpath(value))
        inside = any(real.is_relative_to(os.path.realpath(root)) for root in roots)
        hidden = any(real.is_relative_to(os.path.realpath(place)) for place in private)
    except (OSError, ValueError) as error:
        return f"it cannot be followed ({error})"
    if not inside:
        allowed = " or ".join(str(root) for root in roots)
        return f"it does not lie below {allowed}" if allowed else "no directory is allowed"
    return "llama-proxy's own files are not for engines" if hidden else None


def paths_in(name: str, value: str) -> tuple[str, ...] | None:
    """The paths in the value of a flag by its canonical name; None where it is not well formed.

    Adapters come as lists divided by commas, some with a scale behind a colon. llama.cpp reads
    these lists as CSV; quotes, which could hide a comma, are therefore refused.
    """
    if name not in _LISTS:
        return (value,)
    if '"' in value:
        return None
    found = tuple(_items(name, value))
    return None if "" in found else found


def _items(name: str, value: str) -> Iterator[str]:
    for item in value.split(","):
        if name not in _WITH_SCALE:
            yield item
            continue
        path, colon, scale = item.partition(":")
        yield path if colon and _is_scale(scale) else ""


def _is_scale(text: str) -> bool:
    return ":" not in text and is_decimal(text)
