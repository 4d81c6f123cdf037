"""Which flags no preset, request or `llama.flags` may set, since they are ours or open a hole.

The rule for places is turned round, since a list of forbidden flags ages badly: a flag whose value
is a file, a directory or an address is refused unless it is in `PATH_FLAGS`, and what it is given
must lie where `paths` allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from common.api.parameters import Parameter
from common.engine_flags.shipped import SHIPPED
from common.engine_flags.spellings import spellings
from common.engine_flags.words import ENV_PREFIX, bare

PATH_FLAGS = frozenset(
    {
        # The engine reads these and shows their content to nobody: weights, and rules for sampling.
        *("mmproj", "lora", "lora-scaled", "control-vector", "control-vector-scaled"),
        *("spec-draft-model", "grammar-file", "json-schema-file", "lookup-cache-static"),
        # Shown at /props, so `paths` keeps it away from secrets in home.
        "chat-template-file",
    }
)
"""Flags that may name files. Not among them: what the engine would write (slot-save-path,
lookup-cache-dynamic), serve (path, media-path, ui-config-file), or run (video-ffmpeg-dir)."""

_MODEL = "each instance serves the model it was loaded for"
_ROUTER = "llama-proxy itself decides which models run"
_ADDRESS = "the runner chooses the address where it reaches its engines"
_ORIGINS = "llama-proxy's own entrance decides which pages may call it"
_KEY = "every instance gets a random key of its own"
_LOG = "the runner collects the engine's log and reads its lines"
_PROGRAMS = "whoever may chat could then read files and run programs on this machine"
_MACHINES = "it would have the engine talk to other machines"
_DOWNLOAD = "the engine would download a model of its own choice"
_ENDS = "the engine would print something and end"
_TWO_VALUES = "it takes two values, and a preset has one for each flag"

_NAMES: Mapping[str, str] = {
    **dict.fromkeys(("model", "model-url", "docker-repo", "alias"), _MODEL),
    **dict.fromkeys(("host", "port", "reuse-port", "api-prefix"), _ADDRESS),
    **dict.fromkeys(("log-disable", "log-file", "log-jsonl", "log-colors"), _LOG),
    **dict.fromkeys(("log-prefix", "log-timestamps", "log-prompts-dir"), _LOG),
    **dict.fromkeys(("agent", "ui-mcp-proxy", "webui-mcp-proxy", "video-ffmpeg-dir"), _PROGRAMS),
    **dict.fromkeys(("help", "version", "cache-list", "list-devices"), _ENDS),
    **dict.fromkeys(("completion-bash", "license", "usage"), _ENDS),
    "rpc": _MACHINES,
    "spec-draft-hf": _DOWNLOAD,
    "mmproj-url": _DOWNLOAD,
    "control-vector-layer-range": _TWO_VALUES,
    # These are variables, which llama.cpp's presets take for names of flags.
    "LLAMA_API_KEY": _KEY,
    "HF_TOKEN": _DOWNLOAD,
}
_PREFIXES: Mapping[str, str] = {
    "models-": _ROUTER,
    "ssl-": _ADDRESS,
    "cors-": _ORIGINS,
    "api-key": _KEY,
    "tools": _PROGRAMS,
    "mcp": _PROGRAMS,
    "rpc-": _MACHINES,
    "hf-": _DOWNLOAD,
}

_PLACE = "its value is a file, a directory or an address, and only some flags may name one"
_UNKNOWN = "it is not a flag that is known to be harmless, and it seems to name a place or a secret"

# In the name of a flag that this program does not know.
_SUSPECT_WORDS = frozenset(
    {
        *("file", "path", "dir", "directory", "url", "uri", "repo", "hf", "model", "lib"),
        *("host", "port", "socket", "proxy", "server", "servers", "listen", "bind"),
        *("key", "token", "secret", "cert", "password"),
        *("exec", "command", "cmd", "script", "plugin", "tool", "mcp", "rpc", "ssl", "docker"),
    }
)
_DOWNLOADS = re.compile(r"\bdownload", re.IGNORECASE)


def reserved_reason(flag: Parameter | str, value: str = "") -> str | None:
    """Why a flag may not be set, as the end of a sentence (`since …`); None where it may.

    A `Parameter` of the engine in use is judged by all its spellings and its type. A name (any
    spelling) is judged by what this program knows of llama.cpp; one that it does not know must not
    look like a place, and neither must its `value`.
    """
    if isinstance(flag, Parameter):
        return _reason_of(flag)
    known = SHIPPED.get(bare(flag))
    if known is not None:
        return _reason_of(known)
    name = bare(flag)
    if name.startswith(ENV_PREFIX):
        # The flag that it would be taken for must not name a place unnoticed.
        meant = SHIPPED.get(_name_of_variable(name))
        if meant is not None and meant.type == "path":
            return f"llama.cpp has no such variable; the flag is {meant.name}"
    by_name = _by_name((name, _name_of_variable(name)))
    return by_name or (_UNKNOWN if _looks_like_a_place(value) else None)


def marked(parameter: Parameter) -> Parameter:
    """The flag with `reserved` and `reason` filled in."""
    reason = reserved_reason(parameter)
    return msgspec.structs.replace(parameter, reserved=reason is not None, reason=reason)


def _reason_of(parameter: Parameter) -> str | None:
    if (reason := _by_rule(spellings(parameter))) is not None:
        return reason
    if parameter.type == "path" and parameter.name not in PATH_FLAGS:
        return _PLACE
    if _DOWNLOADS.search(parameter.description) and parameter.type == "bool":
        return _DOWNLOAD
    known = SHIPPED.get(parameter.name)
    return None if known or parameter.name in PATH_FLAGS else _by_name((parameter.name,))


def _by_name(names: Iterable[str]) -> str | None:
    candidates = tuple(names)
    if (reason := _by_rule(candidates)) is not None:
        return reason
    words = {word for name in candidates for word in name.lower().split("-")}
    return None if words.isdisjoint(_SUSPECT_WORDS) else _UNKNOWN


def _by_rule(names: Iterable[str]) -> str | None:
    for name in names:
        if name in _NAMES:
            return _NAMES[name]
        for prefix, reason in _PREFIXES.items():
            if name.startswith(prefix):
                return reason
    return None


def _name_of_variable(name: str) -> str:
    """`LLAMA_ARG_MODEL_URL` as the name of a flag: `model-url`."""
    return name.removeprefix(ENV_PREFIX).lower().replace("_", "-")


def _looks_like_a_place(value: str) -> bool:
    return "/" in value or value.startswith("~")
