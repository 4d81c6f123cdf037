"""Keeps secrets among the settings from clients: they see `(hidden)` and may send it back.

Which values are secrets is told by their names: engine flags (`hf-token`) and variables of runners'
environments (`AWS_SECRET_ACCESS_KEY`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from common.api.config import HIDDEN

_SECRET = re.compile(
    r"(?:^|[-_])(?:key|token|secret|password|passwd|credentials?)s?(?:$|[-_])", re.IGNORECASE
)


SECRET_TABLES = frozenset({"llama.flags", "runners[].env"})
"""Where such values stand."""


def is_secret(name: str) -> bool:
    """Whether a flag or a variable of this name holds a secret."""
    return _SECRET.search(name) is not None


def hide(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Settings in the shape of the file, without secrets."""
    llama = {**tables["llama"], "flags": _hidden(tables["llama"]["flags"])}
    runners = tuple({**runner, "env": _hidden(runner["env"])} for runner in tables["runners"])
    return {**tables, "llama": llama, "runners": runners}


def reveal(changes: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """Changes with what was hidden from a client as it is in `current`.

    What has no such value there stays `(hidden)`.
    """
    revealed = dict(changes)
    llama = changes.get("llama")
    if isinstance(llama, dict) and isinstance(llama.get("flags"), dict):
        flags = _revealed(llama["flags"], current["llama"]["flags"])
        revealed["llama"] = {**llama, "flags": flags}
    if isinstance(changes.get("runners"), list):
        known = {runner["name"]: runner["env"] for runner in current["runners"]}
        revealed["runners"] = [_revealed_runner(runner, known) for runner in changes["runners"]]
    return revealed


def _revealed_runner(runner: Any, known: Mapping[str, Mapping[str, str]]) -> Any:
    if not isinstance(runner, dict) or not isinstance(runner.get("env"), dict):
        return runner
    return {**runner, "env": _revealed(runner["env"], known.get(str(runner.get("name")), {}))}


def _hidden(values: Mapping[str, str]) -> dict[str, str]:
    return {name: HIDDEN if value and is_secret(name) else value for name, value in values.items()}


def _revealed(values: Mapping[str, Any], known: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: known.get(name, value) if value == HIDDEN else value for name, value in values.items()
    }
