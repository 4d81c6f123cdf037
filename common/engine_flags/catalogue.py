"""The flags of one engine, found by any of their spellings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

from common.api.parameters import Parameter, RemovedFlag
from common.engine_flags.categories import CATEGORIES
from common.engine_flags.removed import REMOVED
from common.engine_flags.reserved import marked
from common.engine_flags.shipped import PARAMETERS
from common.engine_flags.spellings import by_spelling, negative_spellings
from common.engine_flags.words import FALSE_WORDS, TRUE_WORDS, bare


class Catalogue:
    """Flags by name. What `parameters` says of `reserved` is kept; `marked` fills it in."""

    def __init__(
        self, parameters: Iterable[Parameter], removed: Iterable[RemovedFlag] = ()
    ) -> None:
        self.parameters = tuple(parameters)
        self._known: Mapping[str, Parameter] = by_spelling(self.parameters)
        self._removed = {name: flag.advice for flag in removed for name in flag.names}

    @property
    def spellings(self) -> Iterable[str]:
        """Everything that a preset may call a flag of this engine."""
        return self._known.keys()

    def find(self, key: str) -> Parameter | None:
        """The flag that a preset's key means: long or short, with or without dashes, `LLAMA_ARG_…`.

        None where the engine has none such.
        """
        return self._known.get(bare(key))

    def canonical(self, key: str, value: str) -> tuple[str, str]:
        """A preset's entry under the flag's own name: `no-jinja = on` is `jinja`, `false`.

        A switch's value becomes `true` or `false`. What is not known stays as it is.
        """
        parameter = self.find(key)
        if parameter is None:
            return bare(key), value
        if parameter.type != "bool" or value not in TRUE_WORDS | FALSE_WORDS:
            return parameter.name, value
        negative = bare(key) in negative_spellings(parameter)
        return parameter.name, "true" if (value in TRUE_WORDS) != negative else "false"

    def successor(self, key: str) -> str | None:
        """What took the place of a flag that the engine does not have any more."""
        name = bare(key)
        return self._removed.get(name) or REMOVED.get(name)

    def by_category(self) -> dict[str, tuple[Parameter, ...]]:
        """The flags grouped as a page shows them; groups without a flag are left out."""
        grouped: dict[str, list[Parameter]] = {category: [] for category in CATEGORIES}
        for parameter in self.parameters:
            grouped.setdefault(parameter.category, []).append(parameter)
        return {category: tuple(flags) for category, flags in grouped.items() if flags}


@cache
def shipped() -> Catalogue:
    """The catalogue that comes with this program, for where no engine can be asked."""
    return Catalogue(marked(parameter) for parameter in PARAMETERS)
