"""How flags, their spellings and their values are written.

Facts come from llama.cpp's common/arg.cpp. Nothing is imported here but the standard library's
smallest parts: the embedded engine reads this before it starts.
"""

from __future__ import annotations

import re

TRUE_WORDS = frozenset({"on", "enabled", "true", "1"})
FALSE_WORDS = frozenset({"off", "disabled", "false", "0"})
"""What llama.cpp takes for on and for off."""

ENV_PREFIX = "LLAMA_ARG_"
_NEGATIVE_ENV_PREFIX = "LLAMA_ARG_NO_"

FLAG_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
"""What a preset file, or `llama.flags`, may call a flag."""

_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")


def bare(key: str) -> str:
    """A spelling as tables hold it: no leading dashes, and dashes for underscores.

    llama.cpp reads `--ctx_size` as `--ctx-size`; names of variables keep their underscores.
    """
    stripped = key.strip().lstrip("-")
    return stripped if stripped.isupper() else stripped.replace("_", "-")


def negative_env(env: str) -> str:
    """The variable that switches off what `env` switches on."""
    return _NEGATIVE_ENV_PREFIX + env.removeprefix(ENV_PREFIX)


def is_whole(text: str) -> bool:
    """Whether this is a whole number as C++ would read it to its end."""
    return _WHOLE.fullmatch(text) is not None


def is_decimal(text: str) -> bool:
    """Whether this is a finite decimal number."""
    return _DECIMAL.fullmatch(text) is not None and abs(float(text)) != float("inf")
