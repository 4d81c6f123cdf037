"""What no single field of the settings can say: values that do not go together, or that only the
rules of another part allow. Pure, and nothing is looked up.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import NamedTuple

from common.bus.addresses import split_tcp
from common.engine_flags.reserved import reserved_reason
from common.engine_flags.values import is_one_line
from common.engine_flags.words import FLAG_NAME
from common.hosts import is_address, is_loopback, is_reachable, numeric
from common.json_values import fits_json
from common.settings import OTHER_PROGRAMS, ModelSettings, NamedRunner, Settings


class Contradiction(NamedTuple):
    """A value that its own field allows, but not together with the rest."""

    path: tuple[str, ...]
    given: object
    allowed: str


def contradictions(settings: Settings) -> Iterator[Contradiction]:
    """What no single field can say: one port twice, reserved engine flags."""
    if settings.llama.port == settings.server.port and numeric(settings.llama.host) == numeric(
        settings.server.host
    ):
        yield Contradiction(
            ("llama", "port"), settings.llama.port, "another port than server.port on that address"
        )
    yield from _flag_contradictions(settings.llama.flags)
    yield from _path_contradictions(settings)
    yield from _backplane_contradictions(settings)
    yield from _model_contradictions(settings.models)
    yield from _runner_contradictions(
        settings.runners, OTHER_PROGRAMS.union(settings.proxy.names())
    )


def _flag_contradictions(flags: Mapping[str, str]) -> Iterator[Contradiction]:
    for flag, value in flags.items():
        at = ("llama", "flags", flag)
        if flag.startswith("-"):
            bare = flag.lstrip("-")
            yield Contradiction(at, value, f"flags named without leading dashes: {bare}")
        elif (reason := reserved_reason(flag, value)) is not None:
            yield Contradiction(at, value, f"any other flag; this one is reserved, since {reason}")
        elif FLAG_NAME.fullmatch(flag) is None:
            yield Contradiction(
                at, value, "flags whose names are letters, digits, dots, dashes and underscores"
            )
        elif not is_one_line(value):
            yield Contradiction(at, value, "a value on one line, without control characters")


def _path_contradictions(settings: Settings) -> Iterator[Contradiction]:
    """No process could start with a path that `Home.resolve` falls over."""
    llama = settings.llama
    named: list[tuple[tuple[str, ...], str]] = [
        (("llama", "serverPath"), llama.server_path),
        (("llama", "modelsDir"), llama.models_dir),
        (("presets", "path"), settings.presets.path),
        (("logging", "path"), settings.logging.path),
        (("backplane", "keysDir"), settings.backplane.keys_dir),
    ]
    for index, directory in enumerate(llama.allowed_server_dirs):
        named.append((("llama", "allowedServerDirs", f"[{index}]"), directory))
    for at, path in named:
        if not path.isprintable():
            yield Contradiction(at, path, "a path without control characters")
        elif not _is_expandable(path):
            yield Contradiction(at, path, "a path in the home directory of a user that there is")


def _is_expandable(path: str) -> bool:
    try:
        Path(path).expanduser()
    except RuntimeError:  # `~somebody` whom this host does not know
        return False
    return True


def _backplane_contradictions(settings: Settings) -> Iterator[Contradiction]:
    listen, join = settings.backplane.listen, settings.backplane.join
    if listen and join:
        yield Contradiction(
            ("backplane", "join"), join, "nothing where backplane.listen is set, or the reverse"
        )
    hosts = {}
    for key, address in (("listen", listen), ("join", join)):
        try:
            hosts[key] = split_tcp(address)[0] if address else ""
        except ValueError as error:
            yield Contradiction(
                ("backplane", key),
                address,
                f"tcp://HOST:PORT, as in tcp://10.0.0.1:7300, or nothing ({error})",
            )
    if hosts.get("listen") and not is_address(hosts["listen"]):
        yield Contradiction(
            ("backplane", "listen"), listen, "a numeric address of this host, not a name"
        )
    engine_host = settings.runner.engine_host
    if hosts.get("join") and not is_loopback(hosts["join"]) and not is_reachable(engine_host):
        yield Contradiction(
            ("runner", "engineHost"),
            engine_host,
            "the address of this host at which the main host's proxies reach its engines, since"
            " backplane.join is set",
        )


def _runner_contradictions(
    runners: Sequence[NamedRunner], others: Set[str]
) -> Iterator[Contradiction]:
    names: set[str] = set()
    devices: set[str] = set()
    for index, runner in enumerate(runners):
        at = ("runners", f"[{index}]")
        if runner.name in names | others:
            yield Contradiction(
                (*at, "name"), runner.name, "a name that no other process of this host has"
            )
        names.add(runner.name)
        if len(devices | set(runner.devices)) < len(devices) + len(runner.devices):
            yield Contradiction(
                (*at, "devices"), runner.devices, "each GPU once, and in one runner only"
            )
        devices |= set(runner.devices)
        for variable, value in runner.env.items():
            path = (*at, "env", variable)
            if not variable or "=" in variable or "\0" in variable + value:
                yield Contradiction(path, value, "a variable without =, without a zero byte")
            elif variable == "LLAMA_API_KEY" or variable.startswith("LLAMA_PROXY_"):
                yield Contradiction(path, value, "any variable but ours")
            elif runner.devices and variable == "CUDA_VISIBLE_DEVICES":
                yield Contradiction(path, value, "any other variable: devices decides this one")


def _model_contradictions(models: Mapping[str, ModelSettings]) -> Iterator[Contradiction]:
    meant: set[str] = set()
    for model_id, model in models.items():
        for index, alias in enumerate(model.aliases):
            if alias in meant:
                yield Contradiction(
                    ("models", model_id, "aliases", f"[{index}]"),
                    alias,
                    "a name that is given once: it stands for one model",
                )
            meant.add(alias)
        for name, value in model.set_params.items():
            if not fits_json(value):
                yield Contradiction(
                    ("models", model_id, "setParams", name),
                    value,
                    "what JSON has: text, numbers, true, false, lists and tables",
                )
