"""How every Socket.IO reply looks."""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET, UnsetType

from common.api.base import Struct


class ErrorBody(Struct, frozen=True):
    """What went wrong. `code` is stable; `details` repeats the message's facts as data."""

    message: str
    code: str
    details: dict[str, Any] | UnsetType = UNSET


class Success(Struct, frozen=True):
    """A request that was carried out; `data` is the command's reply."""

    data: Any
    timestamp: str
    success: Literal[True] = True


class Refusal(Struct, frozen=True):
    """A request that was not carried out."""

    error: ErrorBody
    timestamp: str
    success: Literal[False] = False
