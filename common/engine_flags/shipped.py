"""What this program knows of llama.cpp's flags without asking an engine.

`catalogue.json` is written by `workers.runner.catalogue_file` (make catalogue) from the help of a
llama-server. The descriptions in it are our own; categories and bounds are not in it, since code
decides them.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

import msgspec

from common.api.parameters import Parameter, ParameterType
from common.engine_flags.categories import category_of
from common.engine_flags.numbers import range_of
from common.engine_flags.spellings import by_spelling

FILE_NAME = "catalogue.json"


class ShippedFlag(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """One line of the file; fields as in `Parameter`, `section` as in `help_text`."""

    name: str
    type: ParameterType
    section: str
    default: str = ""
    description: str = ""
    choices: tuple[str, ...] = ()
    env: str | None = None
    aliases: tuple[str, ...] = ()
    negations: tuple[str, ...] = ()

    def parameter(self) -> Parameter:
        """The flag with what code knows of it; whether it is reserved is not filled in."""
        return Parameter(
            name=self.name,
            type=self.type,
            default=self.default,
            description=self.description,
            category=category_of(self.name, self.section),
            choices=self.choices,
            range=range_of(self.name) if self.type in ("int", "float") else None,
            env=self.env,
            aliases=self.aliases,
            negations=self.negations,
        )


class ShippedCatalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: the version of llama.cpp that it was made from, and its flags."""

    version: str
    flags: tuple[ShippedFlag, ...]


def read_file() -> ShippedCatalogue:
    """The file as it is."""
    data = resources.files(__package__).joinpath(FILE_NAME).read_bytes()
    return msgspec.json.decode(data, type=ShippedCatalogue)


_FILE = read_file()

VERSION = _FILE.version
PARAMETERS = tuple(flag.parameter() for flag in _FILE.flags)
"""In the order of llama.cpp's help."""
SHIPPED: Mapping[str, Parameter] = MappingProxyType(by_spelling(PARAMETERS))
"""The same by each of their spellings."""
