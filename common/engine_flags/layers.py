"""Engine flags from several places, one above the other. Pure.

Two spellings of a flag are one flag: what a lower layer says of `c` is covered by an upper layer's
`ctx-size`, `LLAMA_ARG_CTX_SIZE` or, where a flag has one, its negation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from common.engine_flags.catalogue import Catalogue


class Chosen(NamedTuple):
    """The spelling and the value that won, and which layer they are from."""

    key: str
    value: str
    layer: int


def stacked(layers: Iterable[Mapping[str, str]], catalogue: Catalogue) -> dict[str, Chosen]:
    """Canonical name → what the uppermost layer that speaks of it says; the last layer is on top.

    Within a layer the last spelling wins.
    """
    found: dict[str, Chosen] = {}
    for number, layer in enumerate(layers):
        for key, value in layer.items():
            name, _ = catalogue.canonical(key, value)
            found[name] = Chosen(key, value, number)
    return found


def flags(chosen: Mapping[str, Chosen]) -> dict[str, str]:
    """What an engine is given: each flag as it is spelled where it was chosen."""
    return {each.key: each.value for each in chosen.values()}
