"""What the inventory remembers of one file's header. Pure."""

from __future__ import annotations

import msgspec

from workers.runner.inventory.describe import file_type_name
from workers.runner.inventory.gguf_header import Header
from workers.runner.inventory.kv_cache import kv_elements_per_token

_NAME_LENGTH = 64
"""What goes into every list of models is short, whatever a file says."""


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the inventory needs of one file's header; `error` says why there is none.

    `cut_short`: with an `error`, the file ended before its header did. `end` is the byte where the
    last tensor ends. `kind` is `general.type`.
    """

    error: str | None = None
    cut_short: bool = False
    end: int = 0
    tensor_count: int = 0
    parameter_count: int = 0
    kind: str | None = None
    architecture: str | None = None
    file_type: str | None = None
    context_length: int | None = None
    block_count: int | None = None
    split_number: int | None = None
    split_count: int | None = None
    kv_elements_per_token: int | None = None


def facts_of(header: Header) -> FileFacts:
    """The part of `header` that the inventory needs."""
    architecture = _name(header, "general.architecture")
    return FileFacts(
        end=header.end,
        tensor_count=header.tensor_count,
        parameter_count=header.parameter_count,
        kind=_name(header, "general.type"),
        architecture=architecture,
        file_type=file_type_name(header),
        context_length=header.integer(f"{architecture}.context_length"),
        block_count=header.integer(f"{architecture}.block_count"),
        split_number=header.integer("split.no"),
        split_count=header.integer("split.count"),
        kv_elements_per_token=kv_elements_per_token(header, architecture),
    )


def _name(header: Header, key: str) -> str | None:
    text = header.text(key)
    return None if text is None else text[:_NAME_LENGTH]
