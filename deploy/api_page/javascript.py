"""Values as JavaScript shows them, short ones on one line."""

from __future__ import annotations

import json
import re
from typing import Any

_WIDTH = 96
_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")


def literal(value: Any, column: int = 0, indent: int = 0) -> str:
    """`value`, which JSON can hold, as an object literal.

    It begins at `column` of a line that is indented by `indent`, and keeps within 96 columns where
    it has a place to break.
    """
    flat = _flat(value)
    if column + len(flat) <= _WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = indent + 2
    pad = " " * inner
    if isinstance(value, list):
        lines = [pad + literal(item, inner, inner) for item in value]
        brackets = "[]"
    else:
        lines = []
        for key, item in value.items():
            head = f"{pad}{_key(key)}: "
            lines.append(head + literal(item, len(head), inner))
        brackets = "{}"
    return f"{brackets[0]}\n" + ",\n".join(lines) + f"\n{' ' * indent}{brackets[1]}"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        inside = ", ".join(f"{_key(key)}: {_flat(item)}" for key, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if _IDENTIFIER.fullmatch(key) else json.dumps(key, ensure_ascii=False)
