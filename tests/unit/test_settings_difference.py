from __future__ import annotations

from typing import Any

import msgspec
import pytest

from common.api import config
from common.api.parameters import Parameter
from common.engine_flags.catalogue import Catalogue
from common.settings import (
    Llama,
    Logging,
    Metrics,
    ModelSettings,
    NamedRunner,
    Proxy,
    Server,
    Settings,
)
from common.settings_difference import admin_only, differences, restarts
from common.settings_effects import EFFECTS
from common.settings_keys import KEYS, LISTS

FLAGS = Catalogue([Parameter(name="lora", type="path"), Parameter(name="threads", type="int")])


def changed(**sections: Any) -> Settings:
    return msgspec.structs.replace(Settings(), **sections)


def flags(**values: str) -> Settings:
    return changed(
        llama=Llama(flags={name.replace("_", "-"): text for name, text in values.items()})
    )


def runners(**environments: dict[str, str]) -> Settings:
    return changed(runners=tuple(NamedRunner(name=n, env=env) for n, env in environments.items()))


def test_every_key_has_an_effect_and_nothing_else_has() -> None:
    assert set(EFFECTS) == {key.path for key in (*KEYS.values(), *LISTS.values())}


def test_clients_see_and_may_change_every_section() -> None:
    sections = [field.encode_name for field in msgspec.structs.fields(Settings)]
    for struct in (config.Configuration, config.ConfigChanges):
        assert [field.encode_name for field in msgspec.structs.fields(struct)] == sections


def test_the_same_settings_do_not_differ() -> None:
    assert differences(Settings(), Settings()) == []


def test_differences_name_the_key_with_both_values() -> None:
    after = changed(server=Server(port=3001), metrics=Metrics(interval_seconds=2))
    found = [(one.path, one.before, one.after) for one in differences(Settings(), after)]
    assert found == [("server.port", 3000, 3001), ("metrics.intervalSeconds", 1.0, 2.0)]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (changed(server=Server(port=3001)), ("gateway", "proxy")),
        (changed(llama=Llama(port=8081)), ("proxy",)),
        (changed(llama=Llama(max_models=8)), ()),
        (changed(logging=Logging(level="debug")), ()),
        (changed(server=Server(port=3001), llama=Llama(port=8081)), ("gateway", "proxy")),
        (changed(proxy=Proxy(processes=2), logging=Logging(path="/logs")), ("up",)),
        (runners(a={}), ("up",)),
        (changed(models={"a": ModelSettings(ttl_seconds=5)}), ()),
    ],
)
def test_each_kind_that_has_to_be_started_anew_is_named_once(
    after: Settings, expected: tuple[str, ...]
) -> None:
    assert restarts(differences(Settings(), after)) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (Settings(), changed(llama=Llama(max_models=8)), []),
        (Settings(), changed(server=Server(port=3001)), []),
        (Settings(), changed(server=Server(host="::1")), ["server.host"]),
        (Settings(), changed(llama=Llama(models_dir="/m")), ["llama.modelsDir"]),
        (Settings(), changed(llama=Llama(server_path="/x")), ["llama.serverPath"]),
        (Settings(), changed(logging=Logging(path="/logs", level="debug")), ["logging.path"]),
        (Settings(), flags(threads="4"), []),
        (Settings(), flags(lora="adapter.gguf"), ["llama.flags.lora"]),
        (flags(lora="adapter.gguf"), Settings(), ["llama.flags.lora"]),
        (Settings(), flags(unheard_of="/etc/passwd"), ["llama.flags.unheard-of"]),
        (Settings(), flags(unheard_of="~/secret"), ["llama.flags.unheard-of"]),
        (Settings(), flags(grammar_file="g"), ["llama.flags.grammar-file"]),
        (flags(lora="a", threads="1"), flags(lora="a", threads="2"), []),
        (Settings(), runners(a={}), []),
        (Settings(), runners(a={"X": "1"}), ["runners.a.env"]),
        (runners(a={"X": "1"}), runners(a={"X": "2"}), ["runners.a.env"]),
        (runners(a={"X": "1"}), runners(a={"X": "1"}, b={}), []),
        (runners(a={"X": "1"}), runners(b={}), ["runners.a.env"]),
    ],
)
def test_programs_directories_and_addresses_are_for_admins(
    before: Settings, after: Settings, expected: list[str]
) -> None:
    assert admin_only(differences(before, after), FLAGS) == expected


def test_every_key_that_names_a_place_or_an_address_is_for_admins() -> None:
    telling = ("Path", "Dir", "host", "path", "Host", "Origins", "Hosts", "listen", "join")
    named = {key.path for key in KEYS.values() if key.name.endswith(telling)}
    assert {path for path in named if not EFFECTS[path].admin} == set()
