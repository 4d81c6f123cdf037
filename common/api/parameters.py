"""Engine parameters: the flags that an engine accepts, as it tells them itself."""

from __future__ import annotations

from typing import Literal

from common.api.base import Command, Role, Struct

ParameterType = Literal["int", "float", "bool", "enum", "path", "string"]
EngineKind = Literal["llama-server", "embedded", "shipped"]


class Range(Struct, frozen=True):
    """Bounds of a number, both included; null where there is none."""

    min: float | None = None
    max: float | None = None


class Parameter(Struct, frozen=True):
    """One flag. `name` is its canonical long form without dashes.

    `type`: `path` is a file, a directory or an address that something is read from. `default` is
    the literal value that holds without the flag, empty where there is none or where it depends on
    others. `choices` of an `enum` are all its values; of a `string`, the words of a list divided by
    commas; of an `int`, words that it takes beside numbers. `env` is the `LLAMA_ARG_…` name, which
    presets may use as well. `aliases` are all other spellings without dashes, `negations` those
    that mean the opposite (`no-jinja`). A `reserved` flag is refused in presets and settings;
    `reason` says why.
    """

    name: str
    type: ParameterType
    default: str = ""
    description: str = ""
    category: str = ""
    choices: tuple[str, ...] = ()
    range: Range | None = None
    env: str | None = None
    aliases: tuple[str, ...] = ()
    negations: tuple[str, ...] = ()
    reserved: bool = False
    reason: str | None = None


class RemovedFlag(Struct, frozen=True):
    """A flag that the engine knows only to refuse it; `advice` says what to use instead."""

    names: tuple[str, ...]
    advice: str


class DescribeParameters(Struct, frozen=True):
    """The flags of the engine that this runner would start; no fields."""


class EngineParameters(Struct, frozen=True):
    """The flags of an engine, in the order of its own help.

    `kind` is `shipped` where no engine could be asked: the catalogue that comes with this program.
    `path` is that of a llama-server, else empty; `version` is what the engine calls itself.
    """

    kind: EngineKind
    path: str
    version: str
    parameters: tuple[Parameter, ...]
    removed: tuple[RemovedFlag, ...] = ()


PARAMETERS = Command(
    "engine:parameters",
    DescribeParameters,
    EngineParameters,
    Role.ADMIN,
    "The flags of the engine that a runner would start.",
    internal=True,
)
