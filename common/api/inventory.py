"""Model files found on a host: what the scanning runner publishes and the controller merges."""

from __future__ import annotations

from typing import Any, Literal

from common.api.base import Change, Command, Event, Role, Struct

FileState = Literal["ok", "incomplete", "error"]


class ModelFile(Struct, frozen=True):
    """A `.gguf` file, or a set of shards counted once.

    `id` is the path below modelsDir without `.gguf` and shard suffix; `path` is absolute (the first
    shard of a set) and `paths` holds all shards in order; `size` is the sum of all shards in bytes
    and `mtime_ns` the newest of them. `state` is `incomplete` while a file still grows or shards
    are missing, `error` where the header is unreadable or the tensors do not fit in the file;
    `reason` then says why in a sentence. `kv_elements_per_token` is how many numbers the KV cache
    holds for each token of context, where the header tells it.
    """

    id: str
    name: str
    path: str
    paths: tuple[str, ...]
    size: int
    mtime_ns: int
    state: FileState
    reason: str | None = None
    mmproj: str | None = None
    architecture: str | None = None
    file_type: str | None = None
    context_length: int | None = None
    block_count: int | None = None
    kv_elements_per_token: int | None = None
    parameter_count: int | None = None


class DescribeFile(Struct, frozen=True):
    """Which file to describe, by model id."""

    id: str


class FileDescription(Struct, frozen=True):
    """The readable part of a GGUF header: group (General, Model, Tokenizer) → field → value."""

    id: str
    parameters: dict[str, dict[str, Any]]


FILE = Event(
    "inventory:file",
    Change[ModelFile],
    "A model file came, changed or went on a host.",
    stream="inventory",
    internal=True,
)
DESCRIBE = Command(
    "inventory:describe",
    DescribeFile,
    FileDescription,
    Role.VIEWER,
    "The readable part of a model file's header.",
    internal=True,
)
