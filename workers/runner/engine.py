"""Which engine serves models here, and how it is started: program, arguments, environment.

Everything is decided before anything is started; nothing here runs a program. Facts about flags
come from llama.cpp's tools/server/README.md and common/preset.cpp.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.api.parameters import Parameter
from common.engine_flags.catalogue import shipped
from common.engine_flags.reserved import reserved_reason
from common.engine_flags.shipped import SHIPPED
from common.engine_flags.words import FALSE_WORDS, TRUE_WORDS, bare, is_decimal
from common.environment import ENGINE as ENGINE_TAG
from common.errors import ConfigInvalid, ModelLoadFailed
from workers.runner.embedded.flags import Flag
from workers.runner.embedded.table import BY_KEY

# LLAMA_PROXY_*: our own settings, tokens among them. LLAMA_ARG_*: llama-server takes each of its
# flags from the environment too, so one left in a shell would change what is started without
# showing in its arguments. LLAMA_SERVER_*: would make it believe that it is a router's child.
_DROPPED_PREFIXES = ("LLAMA_PROXY_", "LLAMA_ARG_", "LLAMA_SERVER_")


@dataclass(frozen=True)
class Engine:
    """A program that serves one model: what its command line begins with, and what it is."""

    kind: Literal["llama-server", "embedded"]
    program: tuple[str, ...]

    @property
    def shown(self) -> str:
        """How people are told of it: the path of a llama-server, or `embedded`."""
        return self.program[0] if self.kind == "llama-server" else "embedded"


def find_engine(server_path: str, search_path: str | None) -> Engine:
    """The engine to use: `server_path` if set, else llama-server on the search path, else ours.

    `search_path` is a PATH. Raises `ModelLoadFailed` where `server_path` cannot be run: a program
    that somebody chose is never silently replaced by another.
    """
    if server_path:
        return Engine("llama-server", (_runnable(server_path, search_path),))
    found = shutil.which("llama-server", path=search_path or "")
    if found:
        return Engine("llama-server", (found,))
    return Engine("embedded", (sys.executable, "-m", "workers.runner.embedded"))


def arguments(
    engine: Engine,
    *,
    model_path: str,
    host: str,
    port: int,
    alias: str | None,
    flags: Mapping[str, str],
    forms: Mapping[str, Flag] = BY_KEY,
) -> list[str]:
    """The argument list, program included.

    `flags` are written as in llama.cpp's preset files: long or short names without dashes, or
    `LLAMA_ARG_…`; switches are true or false. Nothing but what is needed to reach the engine is
    added to them, and nothing that they speak of themselves. `forms` says which of them are
    switches; one that it does not know is passed on by what its value looks like. Raises
    `ConfigInvalid`.
    """
    argv = [*engine.program, "--model", model_path, "--host", host, "--port", str(port)]
    if alias:
        argv += ["--alias", alias]
    chosen = [_typed(key, value, forms) for key, value in flags.items()]
    mentioned = {key.lstrip("-").removeprefix("no-") for key in flags}
    # Read by the metrics process, and to see that an engine is idle.
    argv += [f"--{need}" for need in ("metrics", "slots") if mentioned.isdisjoint(_keys(need))]
    return [*argv, *(word for words in chosen for word in words)]


def environment(
    base: Mapping[str, str],
    *,
    api_key: str,
    tag: str,
    device_uuids: Sequence[str] | None,
    extra: Mapping[str, str],
) -> dict[str, str]:
    """The engine's environment: `base` without what would interfere, then `extra`, then ours.

    The key goes by environment since every user of the machine can read arguments. `device_uuids`
    pins the engine to these CUDA devices (by UUID: indices change with the order of enumeration);
    an empty sequence hides them all, None leaves the matter to `base` and `extra`. An engine that
    aborts does so at once: ggml would first have a debugger print every thread's stack, which takes
    seconds, keeps its clients waiting, and buries the line that says why.
    """
    ours = {"LLAMA_API_KEY": api_key, ENGINE_TAG: tag, "GGML_NO_BACKTRACE": "1"}
    if device_uuids is not None:
        ours["CUDA_VISIBLE_DEVICES"] = ",".join(device_uuids)
    return {**without_interference(base), **extra, **ours}


def without_interference(base: Mapping[str, str]) -> dict[str, str]:
    """`base` without the variables that would change what an engine does, or tell it secrets."""
    return {name: value for name, value in base.items() if not name.startswith(_DROPPED_PREFIXES)}


def _runnable(server_path: str, search_path: str | None) -> str:
    if "/" not in server_path and (found := shutil.which(server_path, path=search_path or "")):
        return found
    path = Path(server_path).expanduser().absolute()
    if not path.exists():
        wrong = "does not exist"
    elif not path.is_file():
        wrong = "is not a file"
    elif not os.access(path, os.X_OK):
        wrong = f"is not executable; make it so with: chmod +x {path}"
    else:
        return str(path)
    raise ModelLoadFailed(
        f"The engine {path} {wrong}. Install llama.cpp's llama-server there, set llama.serverPath "
        "to where it is, or remove the setting to use the embedded engine.",
        details={"reason": "engine_missing", "path": str(path)},
    )


def _keys(name: str) -> set[str]:
    return {name, f"LLAMA_ARG_ENDPOINT_{name.upper()}"}


def _typed(key: str, value: str, forms: Mapping[str, Flag]) -> list[str]:
    """One preset entry as it is typed on a command line: `jinja = false` is `--no-jinja`."""
    spelled = key.lstrip("-")
    form = forms.get(spelled)
    name = form.name if form else spelled.removeprefix("LLAMA_ARG_").lower().replace("_", "-")
    if reason := reserved_reason(spelled, value):
        raise ConfigInvalid(
            f"The flag '{key}' cannot be set, since {reason}. Remove it.", details={"flag": key}
        )
    if not spelled or "\0" in key + value:
        raise ConfigInvalid(f"{key!r} = {value!r} is not a flag.", details={"flag": key})
    if form is None:
        # Were the flag a switch, such a value would be read as a flag, however reserved that is.
        if value.startswith("-") and not is_decimal(value):
            raise ConfigInvalid(
                f"The value '{value}' of the flag '{key}' looks like another flag.",
                details={"flag": key},
            )
        if known := SHIPPED.get(bare(spelled)):
            return _from_catalogue(spelled, value, known)
        return _guessed(key if key.startswith("-") else _dashed(name), value)
    if form.value_name is None:
        _check_switch(spelled, value)
        return _switched(spelled, value, form)
    # The spelling is kept: another version of llama.cpp may know only this one.
    spelling = next((typed for typed in form.names if typed.lstrip("-") == spelled), form.names[-1])
    return [spelling, value]


def _check_switch(spelled: str, value: str) -> None:
    if value not in TRUE_WORDS | FALSE_WORDS:
        raise ConfigInvalid(
            f"The flag '{spelled}' is a switch: it can be true or false, not '{value}'.",
            details={"flag": spelled, "allowed": ["true", "false"]},
        )


def _switched(spelled: str, value: str, form: Flag) -> list[str]:
    negated = any(typed.lstrip("-") == spelled for typed in form.negations)
    if (value in TRUE_WORDS) != negated:
        return [form.names[-1]]
    # Off is what a switch without a negative form is anyway.
    return [form.negations[-1]] if form.negations else []


def _from_catalogue(spelled: str, value: str, known: Parameter) -> list[str]:
    """A flag that the embedded engine has not, as llama-server's help has it.

    Short forms become long ones: how many dashes they have is not known here.
    """
    if known.type == "bool":
        _check_switch(spelled, value)
        _, meant = shipped().canonical(spelled, value)
        if meant in TRUE_WORDS:
            return [f"--{known.name}"]
        return [f"--{known.negations[-1]}"] if known.negations else []
    is_long_alias = "-" in spelled and bare(spelled) in known.aliases
    return [f"--{spelled if is_long_alias else known.name}", value]


def _guessed(typed: str, value: str) -> list[str]:
    """A flag that only the engine knows: true and false are a switch's, all else is a value."""
    if value in ("", "true"):
        return [typed]
    if value == "false":
        positive = typed.removeprefix("--no-")
        return [f"--{positive}" if positive != typed else f"--no-{typed.lstrip('-')}"]
    return [typed, value]


def _dashed(name: str) -> str:
    return f"-{name}" if len(name) == 1 else f"--{name}"
