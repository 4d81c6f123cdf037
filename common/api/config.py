"""The configuration of the main host: `config.toml` with what the environment sets above it.

Sections and keys are those of the file; deploy/config.example.toml explains each of them. Values
that look like secrets (keys, tokens, passwords among engine flags and environments of runners)
never leave: they read `(hidden)`, and sending that back leaves them as they are.
"""

from __future__ import annotations

from typing import Any, Literal

from msgspec import UNSET

from common.api.base import Change, Command, Event, Role, Struct
from common.api.parameters import Range

Table = dict[str, Any]

HIDDEN = "(hidden)"
"""What a secret is shown as."""


class GetConfig(Struct, frozen=True):
    """The configuration; no fields."""


class Configuration(Struct, frozen=True):
    """Every section with every key: as it is configured, else its default."""

    server: Table
    llama: Table
    proxy: Table
    presets: Table
    logging: Table
    runner: Table
    metrics: Table
    host: Table
    backplane: Table
    runners: tuple[Table, ...]
    models: dict[str, Table]


SettingType = Literal["bool", "int", "float", "string", "path", "enum", "list", "table"]


class GetConfigSchema(Struct, frozen=True):
    """What may be configured; no fields."""


class SettingsSection(Struct, frozen=True):
    """A `[table]` of the file, or a list or table of tables (`runners`, `models`)."""

    name: str
    description: str


class Setting(Struct, frozen=True):
    """One key. `path` is `llama.maxModels`; `runners[].name` is that of each entry of a list,
    `models.*.aliases` of each of a table. `type` of a list's items, and of a table's values, is
    `items`, null where that may be anything; those of `runners` and `models` have keys of their own
    here. `default` is null where a key must be given, or where another one holds without it.

    `allowed` says in words what it takes; `range` and `choices` the same as data, where that is
    possible; `pattern` is a regular expression. `unit` is empty where it is a plain number.
    `restart` names the kinds of processes that a change has to be followed by `system:restart` for,
    or `up` where `llama-proxy up` itself has to be started anew. `role` may change it: nobody where
    it is `fixed`, then only the file can. `variable` is the environment variable for it, and
    `overridden` whether that is set, so that no change is accepted. Of a `secret` one, `config:get`
    hides the values whose names look like keys, tokens or passwords.
    """

    path: str
    section: str
    type: SettingType
    default: Any
    description: str
    allowed: str
    items: SettingType | None = None
    choices: tuple[str, ...] = ()
    range: Range | None = None
    pattern: str = ""
    unit: Literal["", "seconds", "bytes"] = ""
    restart: tuple[str, ...] = ()
    role: Role = Role.OPERATOR
    fixed: bool = False
    variable: str = ""
    overridden: bool = False
    secret: bool = False


class ConfigSchema(Struct, frozen=True):
    """Every section and every key, in the order of the file."""

    sections: tuple[SettingsSection, ...]
    settings: tuple[Setting, ...]


class ConfigChanges(Struct, frozen=True):
    """What is to change: sections with some of their keys. A JSON Merge Patch (RFC 7396): null
    takes a key back to its default, tables are merged, lists are replaced as a whole.
    """

    server: Any = UNSET
    llama: Any = UNSET
    proxy: Any = UNSET
    presets: Any = UNSET
    logging: Any = UNSET
    runner: Any = UNSET
    metrics: Any = UNSET
    host: Any = UNSET
    backplane: Any = UNSET
    runners: Any = UNSET
    models: Any = UNSET


class UpdatedConfig(Struct, frozen=True):
    """`updated`: whether anything has changed. `restart` names the processes, as `system:status`
    shows them, that need `system:restart` to follow, or `up` where `llama-proxy up` itself has to
    be started anew; all else holds already.
    """

    updated: bool
    restart_required: bool
    restart: tuple[str, ...]


class ConfigProblem(Struct, frozen=True):
    """Why a change is refused. `path` is a key or an environment variable; `given` is as JSON, and
    empty with `allowed` where that says nothing.
    """

    path: str
    message: str
    given: str = ""
    allowed: str = ""


class ConfigDifference(Struct, frozen=True):
    """A key that would change. `restart` as in `UpdatedConfig`, for this key alone."""

    path: str
    before: Any
    after: Any
    restart: tuple[str, ...]


class CheckedConfig(Struct, frozen=True):
    """What an update would do, or why it would be refused; `diff` is empty where it would be."""

    valid: bool
    errors: tuple[ConfigProblem, ...]
    diff: tuple[ConfigDifference, ...]
    restart_required: bool
    restart: tuple[str, ...]


class ProposedChanges(Struct, frozen=True):
    """`ConfigChanges` as an object, and the role of who asks for them."""

    changes: Table
    role: Role


class CurrentSettings(Struct, frozen=True):
    """All settings of the main host, secrets included, in the shape of `Configuration`."""

    settings: Table


GET = Command("config:get", GetConfig, Configuration, Role.VIEWER, "The configuration.")
SCHEMA = Command(
    "config:schema",
    GetConfigSchema,
    ConfigSchema,
    Role.VIEWER,
    "What may be configured: each key with its type, default, meaning and what its change takes.",
)
UPDATE = Command(
    "config:update",
    ConfigChanges,
    UpdatedConfig,
    Role.OPERATOR,
    "Change the configuration, and write it down. What names a program, a directory or an address"
    " needs the role `admin`.",
    misfit="CONFIG_INVALID",
)
VALIDATE = Command(
    "config:validate",
    ConfigChanges,
    CheckedConfig,
    Role.OPERATOR,
    "What `config:update` would do; nothing changes.",
    misfit="CONFIG_INVALID",
)
APPLY = Command(
    "config:apply",
    ProposedChanges,
    UpdatedConfig,
    Role.OPERATOR,
    "Change the configuration for a caller of this role.",
    internal=True,
)
CHECK = Command(
    "config:check",
    ProposedChanges,
    CheckedConfig,
    Role.OPERATOR,
    "What `config:apply` would do.",
    internal=True,
)
SETTINGS = Event(
    "config:settings",
    Change[CurrentSettings],
    "The settings of the main host have changed.",
    stream="config",
    internal=True,
)
