"""Which values JSON can say."""

from __future__ import annotations

import math
from typing import Any

MAX_DEPTH = 16
"""Of lists and tables within each other."""


def fits_json(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether a value reads the same after it has travelled as JSON. TOML has dates and infinity,
    which do not.
    """
    match value:
        case None | bool() | str():
            return True
        case int():
            return -(1 << 63) <= value < 1 << 64
        case float():
            return math.isfinite(value)
        case list():
            return depth > 0 and all(fits_json(item, depth - 1) for item in value)
        case dict():
            return depth > 0 and all(
                isinstance(name, str) and fits_json(item, depth - 1) for name, item in value.items()
            )
    return False
