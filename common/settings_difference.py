"""How two settings differ, key by key, and which of the differences only an admin may make."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from common.engine_flags.catalogue import Catalogue, shipped
from common.settings import Settings
from common.settings_effects import EFFECTS, StartedAnew
from common.settings_keys import KEYS, LISTS, Key
from common.settings_values import as_json

_PATH_WORDS = frozenset({"dir", "file", "path", "url"})


class Difference(NamedTuple):
    """A key whose value changes; the values are as JSON has them."""

    key: Key
    before: Any
    after: Any

    @property
    def path(self) -> str:
        """What messages call the key."""
        return self.key.path


def differences(before: Settings, after: Settings) -> list[Difference]:
    """What changes from one to the other, in the order of the file."""
    old, new = as_json(before), as_json(after)
    found = (
        Difference(key, _value(old, key), _value(new, key))
        for key in (*KEYS.values(), *LISTS.values())
    )
    return [difference for difference in found if difference.before != difference.after]


def restarts(changed: Iterable[Difference]) -> tuple[StartedAnew, ...]:
    """The kinds of processes that have to be started anew for these, each once."""
    kinds = (kind for difference in changed for kind in EFFECTS[difference.path].restart)
    return tuple(dict.fromkeys(kinds))


def admin_only(changed: Iterable[Difference], flags: Catalogue | None = None) -> list[str]:
    """The paths of the changes that only an admin may make: programs, directories, addresses.

    `flags` knows which engine flags take a path; without it, the shipped catalogue does.
    """
    known = flags or shipped()
    return [path for difference in changed for path in _admin_paths(difference, known)]


def _admin_paths(difference: Difference, flags: Catalogue) -> Iterator[str]:
    match difference.path:
        case "llama.flags":
            for flag in sorted(_changed(difference.before, difference.after)):
                values = (difference.before.get(flag, ""), difference.after.get(flag, ""))
                if any(takes_path(flag, value, flags) for value in values):
                    yield f"llama.flags.{flag}"
        case "runners":
            before, after = _environments(difference.before), _environments(difference.after)
            for name in sorted(_changed(before, after)):
                if before.get(name) or after.get(name):
                    yield f"runners.{name}.env"
        case path if EFFECTS[path].admin:
            yield path


def takes_path(flag: str, value: str, flags: Catalogue) -> bool:
    """Whether an engine flag names a file, a directory or a URL; rather once too often."""
    known = flags.find(flag)
    if known is not None and known.type == "path":
        return True
    words = flag.lower().replace("_", "-").split("-")
    return "/" in value or value.startswith("~") or not _PATH_WORDS.isdisjoint(words)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def _environments(runners: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {runner["name"]: runner["env"] for runner in runners}


def _value(tables: Mapping[str, Any], key: Key) -> Any:
    return tables[key.section][key.name] if key.section else tables[key.name]
