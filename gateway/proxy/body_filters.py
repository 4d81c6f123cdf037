"""What a model's settings change in the requests for it: parameters taken out, and set.

Only the outermost object is taken apart. The values, a megabyte of prompt among them, stay the
bytes that they were.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encoder = msgspec.json.Encoder()

KEPT = frozenset({"model"})
"""Routing stands on it, so it is neither taken out nor set."""


@dataclass(frozen=True)
class BodyFilter:
    """`strip` names parameters to take out; `fixed` are set, whatever the caller says."""

    strip: Collection[str] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)

    def apply(self, body: bytes) -> bytes:
        """The body to send; a body that is no JSON object, and one without a match, unchanged."""
        if not self.strip and not self.fixed:
            return body
        try:
            fields = _decoder.decode(body)
        except msgspec.DecodeError:
            return body
        stripped = {name for name in self.strip if name in fields} - KEPT
        fixed = {name: value for name, value in self.fixed.items() if name not in KEPT}
        if not stripped and not fixed:
            return body
        kept: dict[str, Any] = {
            name: value for name, value in fields.items() if name not in stripped
        }
        return _encoder.encode(kept | fixed)
