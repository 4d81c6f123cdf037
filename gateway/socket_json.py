"""JSON as Socket.IO's library wants it (`dumps`, `loads`), with our structs written by msgspec.

A reply goes from struct to text in one step of C, without the dicts in between.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


def loads(text: str) -> Any:
    """Any JSON. Raises ValueError, as the library expects it for a packet that holds none."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def dumps(value: Any, **_: object) -> str:
    """`value` as compact JSON; separators and the like are not asked for."""
    try:
        return _encoder.encode(value).decode()
    except UnicodeEncodeError:
        # A lone surrogate, out of what a client sent and is quoted back; JSON can escape it.
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":"))
