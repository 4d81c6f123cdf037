"""What clients are told of the settings."""

from __future__ import annotations

from common.api.base import Role
from common.api.parameters import Range
from common.settings_effects import EFFECTS
from common.settings_keys import KEYS, LISTS
from common.settings_secrets import SECRET_TABLES
from gateway.settings_schema import schema

TOLD = schema({"LLAMA_PROXY_LLAMA__MAX_MODELS": "2"})
BY_PATH = {setting.path: setting for setting in TOLD.settings}


def test_every_key_is_told_once_with_its_meaning() -> None:
    assert len(BY_PATH) == len(TOLD.settings)
    assert BY_PATH.keys() >= {key.path for key in (*KEYS.values(), *LISTS.values())}
    assert [setting.path for setting in TOLD.settings if not setting.description] == []
    assert {setting.section for setting in TOLD.settings} == {
        section.name for section in TOLD.sections
    }
    assert [section.name for section in TOLD.sections if not section.description] == []


def test_a_number_has_its_bounds_and_its_unit() -> None:
    port, wait = BY_PATH["server.port"], BY_PATH["llama.queueTimeout"]
    assert (port.type, port.default, port.range) == ("int", 3000, Range(min=1, max=65535))
    assert (wait.type, wait.unit, wait.range) == ("float", "seconds", Range(min=0, max=86_400))
    assert BY_PATH["llama.maxBodyBytes"].unit == "bytes"
    seconds = {path for path, setting in BY_PATH.items() if setting.unit == "seconds"}
    assert {path for path in BY_PATH if path.lower().endswith(("seconds", "timeout"))} == seconds


def test_texts_lists_and_tables() -> None:
    level = BY_PATH["logging.level"]
    assert (level.type, level.choices) == ("enum", ("debug", "info", "warn", "error"))
    assert BY_PATH["llama.modelsDir"].type == "path"
    assert (BY_PATH["llama.preload"].type, BY_PATH["llama.preload"].items) == ("list", "string")
    assert BY_PATH["llama.allowedServerDirs"].items == "path"
    assert BY_PATH["server.allowedOrigins"].pattern.startswith("^https?")
    assert (BY_PATH["llama.flags"].type, BY_PATH["llama.flags"].items) == ("table", "string")


def test_entries_have_keys_of_their_own() -> None:
    name, ttl = BY_PATH["runners[].name"], BY_PATH["models.*.ttlSeconds"]
    assert (name.type, name.default, name.section) == ("string", None, "runners")
    assert (ttl.type, ttl.default, ttl.unit) == ("float", None, "seconds")
    assert BY_PATH["models.*.setParams"].items is None
    assert {path for path, setting in BY_PATH.items() if setting.secret} == SECRET_TABLES


def test_what_a_change_takes_and_who_may_make_it() -> None:
    for path, effect in EFFECTS.items():
        told = BY_PATH[path]
        assert (told.restart, told.fixed) == (effect.restart, effect.fixed)
        assert (told.role is Role.ADMIN) == effect.admin
    assert BY_PATH["runners[].env"].role is Role.ADMIN


def test_what_the_environment_sets_is_marked() -> None:
    assert [path for path, setting in BY_PATH.items() if setting.overridden] == ["llama.maxModels"]
