"""What a preset may be called. Its file is `<name>.ini`, directly in the presets directory."""

from __future__ import annotations

import re

SUFFIX = ".ini"
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")


class BadName(ValueError):
    """A text that no preset can be called; the message says what is allowed."""


def preset_name(text: str) -> str:
    """The name that a client means: a trailing `.ini` is taken off. Raises `BadName`.

    Nothing in a name can lead out of the directory: there is no slash, no zero byte, no percent
    sign to decode, and no leading dot (hidden files, `..`).
    """
    name = name_of_file(text.removesuffix(SUFFIX) + SUFFIX)
    if name is None:
        raise BadName(
            f"{text[:80]!r} is no name of a preset: 1 to 64 letters, digits, dots, dashes and"
            " underscores, not beginning with a dot, not ending in .ini.ini"
        )
    return name


def name_of_file(filename: str) -> str | None:
    """The preset that a directory entry holds; null where it is no preset's file."""
    name = filename.removesuffix(SUFFIX)
    if name == filename or name.endswith(SUFFIX) or not _NAME.fullmatch(name):
        return None
    return name
