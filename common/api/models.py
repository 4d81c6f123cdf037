"""Models: what there is, and what is loaded."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from common.api.base import Change, Command, Event, Role, Struct

ModelStatus = Literal["unloaded", "loading", "loaded", "unloading", "error"]


class Failure(Struct, frozen=True):
    """Why a load or an unload did not succeed.

    `reason` is a stable word (`cancelled`, `timeout`, `no_room`, `out_of_memory` …), `message` a
    sentence with the numbers, `hint` what to do, `excerpt` the engine's last lines.
    """

    code: str
    reason: str
    message: str
    hint: str | None = None
    excerpt: tuple[str, ...] = ()


class ModelFacts(Struct, frozen=True):
    """What a model's file says of it; null where its header does not.

    `quantization` is its file type as llama.cpp names it (`Q4_K_M`), `context_length` the longest
    context that it was trained for, in tokens.
    """

    architecture: str | None = None
    quantization: str | None = None
    parameter_count: int | None = None
    context_length: int | None = None


class Model(Struct, frozen=True):
    """Everything that the controller says of one model; gateways and proxies keep a copy.

    `scanner` is the runner that found the file and can describe it. `size` and `memory_usage` are
    in bytes, times ISO-8601 in UTC. `generation` grows with each
    load or unload that begins; whoever asked for one waits until that generation has settled.
    `progress` is 0 to 1 while the model loads, where the engine tells it. `preset` is what it is
    or gets loaded with, `ttl_seconds` that of this load alone. `expires_at` is when it will be
    unloaded unless it is used before; null while it is in use, and where it stays.
    """

    id: str
    name: str
    path: str
    size: int
    scanner: str
    mtime_ns: int
    status: ModelStatus
    facts: ModelFacts = ModelFacts()
    generation: int = 0
    reason: str | None = None
    failure: Failure | None = None
    progress: float | None = None
    runner: str | None = None
    instance_id: str | None = None
    preset: str | None = None
    memory_usage: int | None = None
    loaded_at: str | None = None
    ttl_seconds: float | None = None
    expires_at: str | None = None
    unloaded_at: str | None = None


class ModelRow(Struct, frozen=True):
    """One model in a list. `size` is in bytes; `parameters` are given by `models:info` only.

    `reason` says why the status is `error` and is absent otherwise.
    """

    id: str
    name: str
    path: str
    size: int
    status: ModelStatus
    parameters: None = None
    reason: str | UnsetType = UNSET


class ListModels(Struct, frozen=True):
    """All models; no fields."""


class ModelList(Struct, frozen=True):
    """Every model of every host, by id."""

    models: tuple[ModelRow, ...]
    total: int


class ModelInfoRequest(Struct, frozen=True):
    """Which model to describe, by its id or an alias."""

    id: str


class ModelInfo(Struct, frozen=True):
    """One model in detail.

    `parameters` groups the readable part of the file's header: General, Model, Tokenizer. It is
    null where the header is unreadable; `reason` then says why. `memory_usage` is in bytes.
    `preset` is there while it is loaded with one. `expires_at` is there while it is loaded and idle
    and has a `ttlSeconds`: when it will be unloaded unless it is used before.
    """

    id: str
    name: str
    path: str
    size: int
    status: ModelStatus
    parameters: dict[str, dict[str, Any]] | None
    memory_usage: int | None
    loaded_at: str | None
    reason: str | UnsetType = UNSET
    preset: str | UnsetType = UNSET
    expires_at: str | UnsetType = UNSET


class DescribeModels(Struct, frozen=True):
    """Which models, by their ids; null for all. Ids of which there is none are left out."""

    ids: tuple[str, ...] | None = None


class ModelDetails(ModelFacts, frozen=True, kw_only=True):
    """What a list of models does not tell of one.

    `runner`, `preset` and `memoryUsage` (bytes) are there while it has an engine. `expiresAt` is
    there while it is loaded and idle and has a `ttlSeconds`.
    """

    id: str
    runner: str | None
    preset: str | None
    memory_usage: int | None
    loaded_at: str | None
    expires_at: str | None


class ModelDetailsList(Struct, frozen=True):
    """Models by id."""

    models: tuple[ModelDetails, ...]


TtlSeconds = Annotated[float, Meta(ge=0, le=86_400)]
RunnerName = Annotated[str, Meta(min_length=1, max_length=200)]


class LoadModel(Struct, frozen=True):
    """Which model to load, by its id or an alias.

    `ttl_seconds`: unload it when it was not used for so long, 0 for never; until it is unloaded
    this is above the settings. `runner`: on which one, as `system:status` names it or without its
    host where only one has such; a model that is loaded on another one is loaded anew.
    `preset`: with which preset, just this time; a model that is loaded with another one is loaded
    anew. Null: the one that `presets:apply` has set for the model or for all, else `default`.
    """

    id: str
    ttl_seconds: TtlSeconds | None = None
    preset: str | None = None
    runner: RunnerName | None = None


class LoadedModel(Struct, frozen=True):
    """A model that answers requests now. `memory_usage` is in bytes."""

    id: str
    status: ModelStatus
    memory_usage: int
    loaded_at: str


class UnloadModel(Struct, frozen=True):
    """Which model to unload, by its id or an alias."""

    id: str


class UnloadedModel(Struct, frozen=True):
    """A model whose engine has ended."""

    id: str
    status: ModelStatus
    unloaded_at: str


class BeginLoad(Struct, frozen=True):
    """Which model to load, by its id. `on_demand`: for a request, and nobody has asked for the
    model itself; then one that just failed to load is not tried again at once, and the load is
    called off when no request waits for it any more. All else as in `models:load`.
    """

    id: str
    on_demand: bool = False
    ttl_seconds: float | None = None
    preset: str | None = None
    runner: str | None = None


class Accepted(Struct, frozen=True):
    """The controller's answer to a load or unload: it is under way (or was so already).

    `loaded`: the model was loaded, so that nothing had to be begun. Should it be unloaded at once,
    and the news of that overtake this answer, then no load was cancelled by it.
    """

    id: str
    generation: int
    loaded: bool = False


class ModelStatusChange(Struct, frozen=True):
    """A model's row after a change of its status or progress.

    `reason` says why it is in `error` or did not load; null where there is nothing to explain. A
    model of which neither file nor engine is left is told once more, in `error`; it is listed no
    more.
    `progress` is there while the model loads, from 0 to 1, where the engine tells it.
    """

    id: str
    name: str
    path: str
    size: int
    status: ModelStatus
    reason: str | None
    parameters: None = None
    progress: float | UnsetType = UNSET


class ModelMoved(Struct, frozen=True):
    """Which model was loaded or unloaded."""

    model_id: str


LIST = Command("models:list", ListModels, ModelList, Role.VIEWER, "All models, by id.")
INFO = Command("models:info", ModelInfoRequest, ModelInfo, Role.VIEWER, "One model in detail.")
DETAILS = Command(
    "models:details",
    DescribeModels,
    ModelDetailsList,
    Role.VIEWER,
    "What tables of models show beside their rows: of the files and of the engines.",
)
LOAD = Command(
    "models:load",
    LoadModel,
    LoadedModel,
    Role.OPERATOR,
    "Load a model; acknowledged when it answers requests.",
)
UNLOAD = Command(
    "models:unload",
    UnloadModel,
    UnloadedModel,
    Role.OPERATOR,
    "Unload a model; acknowledged when its engine has ended.",
)
BEGIN_LOAD = Command(
    "models:begin-load",
    BeginLoad,
    Accepted,
    Role.OPERATOR,
    "Accept a load; what becomes of it arrives in the table of models.",
    internal=True,
)
BEGIN_UNLOAD = Command(
    "models:begin-unload",
    UnloadModel,
    Accepted,
    Role.OPERATOR,
    "Accept an unload; what becomes of it arrives in the table of models.",
    internal=True,
)
MODEL = Event(
    "models:model",
    Change[Model],
    "The controller's record of a model.",
    stream="models",
    internal=True,
)
STATUS = Event(
    "models:status",
    ModelStatusChange,
    "A model's status changed, its loading went on, or it is gone.",
)
LOADED = Event("models:loaded", ModelMoved, "A model answers requests now.")
UNLOADED = Event("models:unloaded", ModelMoved, "A model's engine has ended.")
